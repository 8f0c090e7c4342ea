"""oom_score_adj entries of policies: their order in OOMNode.spec, and their state in OOMPolicy.status.

Only a node's agent knows which processes an entry names. So an OOMNode gets the entries of all its policies,
those of the highest precedence first and those of auditing policies last, and the agent lets the first that
names a process decide. Its status says which entries were overridden.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .objects import OOMNodeState, Policy

Entry = Mapping[str, Any]
"""One of OOMNode.spec.oomScoreAdjustments."""

MAX_ENTRIES = 32
"""Entries that an OOMNode.spec holds."""
MAX_NAMED = 2


def entries_of(policy: Policy) -> tuple[Entry, ...]:
    """Return a policy's entries as OOMNode.spec holds them."""
    if policy.spec is None:
        return ()
    common = {
        "policy": policy.name,
        "mode": str(policy.spec.mode),
        "onRelease": str(policy.spec.on_release),
    }
    return tuple({**entry.to_dict(), **common} for entry in policy.spec.oom_score_adjustments)


def ordered_entries(
    policies: Sequence[Policy], *, entries: Mapping[str, tuple[Entry, ...]]
) -> tuple[Entry, ...]:
    """Return the entries for one node. `policies`: those that select it, by precedence; `entries`: those of
    each policy. Entries beyond MAX_ENTRIES are left out."""
    found = [entry for policy in policies for entry in entries[policy.name]]
    # An audit overrides nothing (docs/decisions/102); sorted() keeps the order otherwise.
    return tuple(sorted(found, key=lambda entry: bool(entry["mode"] == "Audit"))[:MAX_ENTRIES])


def adjustment_states(
    policy: Policy, state: OOMNodeState | None, *, desired: Iterable[Entry]
) -> list[tuple[str, str]]:
    """Return state and message of each entry of the policy on a node whose agent has reported on the present
    spec."""
    if policy.spec is None or policy.spec.suspend:
        return []
    written = {entry["name"] for entry in desired if entry["policy"] == policy.name}
    found = []
    for entry in policy.spec.oom_score_adjustments:
        label = f"oomScoreAdjustments {entry.name}"
        report = state.adjusted.get((policy.name, entry.name)) if state else None
        if entry.name not in written:
            found.append(("Refused", f"{label}: left out: a node takes {MAX_ENTRIES} entries in all"))
        elif report is None or report.value != entry.value:
            found.append(("Pending", f"{label}: the agent has not reported on it yet"))
        elif report.state == "InSync":
            found.append(("InSync", f"{label}: {report.in_force} processes have it"))
        elif report.state == "Audited":
            found.append(("Drifted", f"{label}: {report.differing} processes have another value"))
        else:
            count = f"{report.failed} processes have another value: " if report.failed else ""
            because = f"{report.reason}: " if report.reason else ""
            state_name = report.state if report.state in ("Refused", "Drifted") else "Pending"
            found.append((state_name, f"{label}: {count}{because}{report.message}"))
    return found


@dataclass(slots=True)
class _Totals:
    nodes: int = 0
    pods: int = 0
    in_force: int = 0
    failed: int = 0
    overridden: int = 0
    differing: int = 0
    by: set[str] = field(default_factory=set)


def adjustment_totals(policy: Policy, states: Iterable[OOMNodeState | None]) -> list[dict[str, Any]]:
    """Return OOMPolicy.status.oomScoreAdjustments: one item per entry of the spec, summed over the policy's
    nodes."""
    if policy.spec is None or policy.spec.suspend:
        return []
    sums = {entry.name: _Totals() for entry in policy.spec.oom_score_adjustments}
    for state in states if sums else ():
        for name, total in sums.items():
            report = state.adjusted.get((policy.name, name)) if state else None
            if report is None:
                continue
            found = report.in_force + report.failed + report.overridden + report.differing
            total.nodes += bool(found)
            total.pods += report.pods
            total.in_force += report.in_force
            total.failed += report.failed
            total.overridden += report.overridden
            total.differing += report.differing
            total.by |= {report.overridden_by} - {""}
    return [
        {
            "name": name,
            "nodes": total.nodes,
            "pods": total.pods,
            "inForce": total.in_force,
            "failed": total.failed,
            "overridden": total.overridden,
            "differing": total.differing,
            **({"overriddenBy": sorted(total.by)[:MAX_NAMED]} if total.by else {}),
        }
        for name, total in sums.items()
    ]


def overridden_entries(policy: Policy, totals: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the entries that lose processes to another policy, each with that policy's entry. Two entries of
    one policy do not conflict: their order is their author's."""
    return [
        f"{total['name']} (by {', '.join(others)})"
        for total in totals
        if (others := [one for one in total.get("overriddenBy", ()) if not one.startswith(f"{policy.name}/")])
    ]
