"""oom_score_adj entries: which go to a node, in which order, and how far a policy's have got.

Which processes an entry names, only the node's agent can tell. So a node is given the entries of all its
policies, those of the highest standing first and those that only audit last, and its agent lets the first
that names a process decide. What lost comes back in the agents' reports.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .records import NodeState, Policy

Entry = Mapping[str, Any]
"""One of OOMNode.spec.oomScoreAdjustments."""

MAX_ENTRIES = 32
"""What OOMNode.spec has room for."""
MAX_NAMED = 2


def entries_of(policy: Policy) -> tuple[Entry, ...]:
    """A policy's entries as an OOMNode has them."""
    if policy.spec is None:
        return ()
    common = {
        "policy": policy.name,
        "mode": str(policy.spec.mode),
        "onRelease": str(policy.spec.on_release),
    }
    return tuple({**entry.to_dict(), **common} for entry in policy.spec.oom_score_adjustments)


def lined_up(policies: Sequence[Policy], *, offers: Mapping[str, tuple[Entry, ...]]) -> tuple[Entry, ...]:
    """The entries for one node of the policies that select it, given by standing. Those at the end that an
    OOMNode has no room for are left out."""
    entries = [entry for policy in policies for entry in offers[policy.name]]
    # An audit displaces nothing (docs/decisions/102), and sorted() keeps the order otherwise.
    return tuple(sorted(entries, key=lambda entry: bool(entry["mode"] == "Audit"))[:MAX_ENTRIES])


def standing_of(
    policy: Policy, state: NodeState | None, *, desired: Iterable[Entry]
) -> list[tuple[str, str]]:
    """State and message of each entry of the policy on a node whose agent has answered for the present
    spec."""
    if policy.spec is None or policy.spec.suspend:
        return []
    there = {entry["name"] for entry in desired if entry["policy"] == policy.name}
    found = []
    for entry in policy.spec.oom_score_adjustments:
        where = f"oomScoreAdjustments {entry.name}"
        report = state.adjusted.get((policy.name, entry.name)) if state else None
        if entry.name not in there:
            found.append(("Refused", f"{where}: left out, a node takes {MAX_ENTRIES} entries in all"))
        elif report is None or report.value != entry.value:
            found.append(("Pending", f"{where}: the agent has not reported on it yet"))
        elif report.state == "InSync":
            found.append(("InSync", f"{where}: {report.in_force} processes have it"))
        elif report.state == "Audited":
            found.append(("Drifted", f"{where}: {report.differing} processes have another value"))
        else:
            count = f"{report.failed} processes have another value: " if report.failed else ""
            because = f"{report.reason}: " if report.reason else ""
            state_name = report.state if report.state in ("Refused", "Drifted") else "Pending"
            found.append((state_name, f"{where}: {count}{because}{report.message}"))
    return found


@dataclass(slots=True)
class _Sum:
    nodes: int = 0
    pods: int = 0
    in_force: int = 0
    failed: int = 0
    overridden: int = 0
    differing: int = 0
    by: set[str] = field(default_factory=set)


def summed(policy: Policy, states: Iterable[NodeState | None]) -> list[dict[str, Any]]:
    """OOMPolicy.status.oomScoreAdjustments: one item per entry of the spec, over the policy's nodes."""
    if policy.spec is None or policy.spec.suspend:
        return []
    sums = {entry.name: _Sum() for entry in policy.spec.oom_score_adjustments}
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


def losses(policy: Policy, totals: Iterable[Mapping[str, Any]]) -> list[str]:
    """Entries that lose processes to another policy, each with that one. Two entries of one policy are in the
    order that its author gave them: no conflict."""
    return [
        f"{total['name']} (by {', '.join(others)})"
        for total in totals
        if (others := [one for one in total.get("overriddenBy", ()) if not one.startswith(f"{policy.name}/")])
    ]
