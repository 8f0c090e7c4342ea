"""oom_score_adj entries of policies: their order in OOMNode.spec, and their state in OOMPolicy.status.

Only a node's agent knows which processes an entry names. So an OOMNode gets the entries of all its policies,
those of the highest precedence first and those of auditing policies last, and the agent lets the first that
names a process decide. Its status says which entries were overridden.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from oomkeeper.resources.oomnode import DesiredAdjustment, OOMNodeSpec
from oomkeeper.resources.oompolicy import AdjustmentTotals
from oomkeeper.resources.record import max_items, read

from .objects import OOMNodeState, Policy

MAX_ENTRIES = max_items(OOMNodeSpec, "oom_score_adjustments")
"""Entries that an OOMNode.spec holds."""
_MAX_NAMED = max_items(AdjustmentTotals, "overridden_by")


def entries_of(policy: Policy) -> tuple[DesiredAdjustment, ...]:
    """Return a policy's entries as OOMNode.spec holds them."""
    if policy.spec is None:
        return ()
    common = {
        "policy": policy.name,
        "mode": str(policy.spec.mode),
        "onRelease": str(policy.spec.on_release),
    }
    return tuple(
        read(DesiredAdjustment, {**entry.to_dict(), **common}) for entry in policy.spec.oom_score_adjustments
    )


def ordered_entries(entries: Iterable[DesiredAdjustment]) -> tuple[DesiredAdjustment, ...]:
    """Return the entries of one node in their final order, without those beyond MAX_ENTRIES. `entries`: by
    precedence of their policies."""
    # An audit overrides nothing (docs/decisions/102); sorted() keeps the order otherwise.
    return tuple(sorted(entries, key=lambda entry: entry.mode == "Audit")[:MAX_ENTRIES])


def adjustment_states(
    policy: Policy, state: OOMNodeState | None, *, desired: Iterable[DesiredAdjustment]
) -> list[tuple[str, str]]:
    """Return state and message of each entry of the policy on a node whose agent has reported on the present
    spec."""
    if policy.spec is None or policy.spec.suspend:
        return []
    written = {entry.name for entry in desired if entry.policy == policy.name}
    found = []
    for entry in policy.spec.oom_score_adjustments:
        label = f"oomScoreAdjustments {entry.name}"
        report = state.adjustments.get((policy.name, entry.name)) if state else None
        if entry.name not in written:
            found.append(("Refused", f"{label}: left out: a node takes {MAX_ENTRIES} entries in all"))
        elif report is None or report.value != entry.value:
            found.append(("Pending", f"{label}: the agent has not reported on it yet"))
        elif report.state == "InSync":
            found.append(("InSync", f"{label}: {report.in_force or 0} processes have it"))
        elif report.state == "Audited":
            found.append(("Drifted", f"{label}: {report.differing or 0} processes have another value"))
        else:
            count = f"{report.failed} processes have another value: " if report.failed else ""
            because = f"{report.reason}: " if report.reason else ""
            state_name = report.state if report.state in ("Refused", "Drifted") else "Pending"
            found.append((state_name, f"{label}: {count}{because}{report.message or ''}"))
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


def adjustment_totals(policy: Policy, states: Iterable[OOMNodeState | None]) -> tuple[AdjustmentTotals, ...]:
    """Return OOMPolicy.status.oomScoreAdjustments: one item per entry of the spec, summed over the policy's
    nodes."""
    if policy.spec is None or policy.spec.suspend:
        return ()
    sums = {entry.name: _Totals() for entry in policy.spec.oom_score_adjustments}
    for state in states if sums else ():
        for name, total in sums.items():
            report = state.adjustments.get((policy.name, name)) if state else None
            if report is None:
                continue
            in_force, failed = report.in_force or 0, report.failed or 0
            overridden, differing = report.overridden or 0, report.differing or 0
            total.nodes += bool(in_force + failed + overridden + differing)
            total.pods += report.pods or 0
            total.in_force += in_force
            total.failed += failed
            total.overridden += overridden
            total.differing += differing
            if report.overridden_by:
                total.by.add(report.overridden_by)
    return tuple(
        AdjustmentTotals(
            name=name,
            nodes=total.nodes,
            pods=total.pods,
            in_force=total.in_force,
            failed=total.failed,
            overridden=total.overridden,
            differing=total.differing,
            overridden_by=tuple(sorted(total.by)[:_MAX_NAMED]),
        )
        for name, total in sums.items()
    )


def overridden_entries(policy: Policy, totals: Iterable[AdjustmentTotals]) -> list[str]:
    """Return the entries that lose processes to another policy, each with that policy's entry. Two entries of
    one policy do not conflict: their order is their author's."""
    return [
        f"{total.name} (by {', '.join(others)})"
        for total in totals
        if (others := [name for name in total.overridden_by if not name.startswith(f"{policy.name}/")])
    ]
