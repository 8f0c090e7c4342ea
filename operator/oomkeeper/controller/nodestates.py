"""How one node stands to one policy."""

from collections.abc import Sequence
from typing import NamedTuple

from .adjustments import Entry, standing_of
from .records import DesiredSysctl, Node, NodeState, Policy, SysctlReport

SILENT_SECONDS = 60
"""How long an agent's answer may be behind before a node of unknown health counts as unreachable."""

_WORST_FIRST = ("Refused", "Unsupported", "Drifted", "Pending", "InSync")


class NodeOutcome(NamedTuple):
    """A node's standing."""

    node: str
    state: str
    """InSync, Drifted, Pending, Refused, Unsupported, Unreachable."""
    message: str


def outcome(
    policy: Policy,
    *,
    node: Node,
    state: NodeState | None,
    desired: Sequence[DesiredSysctl],
    adjustments: Sequence[Entry] = (),
    behind_seconds: float,
) -> NodeOutcome:
    """The worst of the policy's keys and entries on the node. Keys that another policy holds there count for
    that other one.

    `desired`, `adjustments`: what the node was given; `behind_seconds`: for how long the agent has not
    answered for the present spec.
    """
    if node.ready is False:
        return NodeOutcome(node.name, "Unreachable", "the node is not Ready")
    held = [entry for entry in desired if entry.policy == policy.name]
    audited = _audited(policy, state, held=held)
    adjusts = policy.spec is not None and bool(policy.spec.oom_score_adjustments) and not policy.spec.suspend
    if not held and not audited and not adjusts:
        return NodeOutcome(node.name, "InSync", "no sysctl of this policy is in effect here")
    # Without an agent there is no answer to the present generation, whatever the status says.
    given = state is not None and (state.sysctls, state.adjustments) == (tuple(desired), tuple(adjustments))
    if state is None or state.observed_generation < state.generation or not given:
        if node.ready is None and behind_seconds > SILENT_SECONDS:
            return NodeOutcome(
                node.name,
                "Unreachable",
                "the node has no Ready condition and its agent has not answered for over a minute",
            )
        return NodeOutcome(node.name, "Pending", "waiting for the node's agent")
    found = [_judge(entry, state.reports.get(entry.name)) for entry in held] + audited
    found += standing_of(policy, state, desired=adjustments)
    worst, message = min(found, key=lambda pair: _WORST_FIRST.index(pair[0]))
    return NodeOutcome(node.name, worst, message)


def _judge(entry: DesiredSysctl, report: SysctlReport | None) -> tuple[str, str]:
    """State and message of one key that the policy holds."""
    if report is None or report.desired != entry.value:
        return "Pending", f"{entry.name}: the agent has not reported on {entry.value} yet"
    if report.state == "InSync":
        return "InSync", f"{entry.name} is {entry.value}"
    described = report.message or _described(entry.name, report.actual, entry.value)
    because = f"{report.reason}: {described}" if report.reason else described
    if report.state == "Audited":
        return "Drifted", because
    return (report.state, because) if report.state in _WORST_FIRST else ("Pending", because)


def _audited(
    policy: Policy, state: NodeState | None, *, held: Sequence[DesiredSysctl]
) -> list[tuple[str, str]]:
    """An auditing policy compares its own value with what the node has, also where an enforcing policy
    holds the key."""
    if state is None or policy.spec is None or policy.spec.mode != "Audit" or policy.spec.suspend:
        return []
    mine = {entry.name for entry in held}
    found = []
    for key, value in sorted(policy.spec.sysctls.items()):
        report = state.reports.get(key)
        if key not in mine and report is not None and report.actual is not None:
            found.append(
                ("InSync", f"{key} is {value}")
                if report.actual == value
                else ("Drifted", _described(key, report.actual, value))
            )
    return found


def _described(key: str, actual: int | None, wanted: int) -> str:
    return f"{key} is {'unknown' if actual is None else actual}, not {wanted}"
