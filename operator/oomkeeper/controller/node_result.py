"""Result of one policy on one node."""

from collections.abc import Sequence
from typing import NamedTuple

from oomkeeper.resources.oomnode import DesiredAdjustment, DesiredSysctl, ObservedSysctl

from .agent_health import UNKNOWN, AgentHealth
from .objects import Node, OOMNodeState, Policy
from .oomscoreadj import adjustment_states

SILENT_SECONDS = 60
"""How long a node without a Ready condition may leave the latest spec unanswered before it is Unreachable."""

_WORST_FIRST = ("Refused", "Unsupported", "Drifted", "Overridden", "Pending", "InSync")


class NodeResult(NamedTuple):
    """State of a policy on a node."""

    node: str
    state: str
    """InSync, Drifted, Pending, Refused, Unsupported, Overridden, Unreachable, AgentSilent, Unmanaged."""
    message: str


def node_result(
    policy: Policy,
    *,
    node: Node,
    state: OOMNodeState | None,
    desired: Sequence[DesiredSysctl],
    adjustments: Sequence[DesiredAdjustment] = (),
    unanswered_seconds: float,
    agent: AgentHealth = UNKNOWN,
) -> NodeResult:
    """Return the worst state of the policy's sysctls and entries on the node. A sysctl that another policy
    decides is in sync if that policy's value is the same and in force.

    `desired`, `adjustments`: what the node's OOMNode.spec holds; `unanswered_seconds`: since when the agent
    has not reported on the present spec; `agent`: health of the node's agent.
    """
    if node.ready is False:
        return NodeResult(node.name, "Unreachable", "the node is not Ready")
    decided = [entry for entry in desired if entry.policy == policy.name]
    audited = _audited_elsewhere(policy, state, decided=decided)
    others = _decided_by_others(policy, desired)
    adjusts = policy.spec is not None and bool(policy.spec.oom_score_adjustments) and not policy.spec.suspend
    if not decided and not audited and not others and not adjusts:
        return NodeResult(node.name, "InSync", "the policy sets nothing here")
    if agent.away:
        return NodeResult(node.name, agent.state, agent.message)
    # A status about an earlier spec says nothing about the present one.
    written = state is not None and (
        (state.spec.sysctls, state.spec.oom_score_adjustments) == (tuple(desired), tuple(adjustments))
    )
    if state is None or state.observed_generation < state.generation or not written:
        if node.ready is None and unanswered_seconds > SILENT_SECONDS:
            return NodeResult(
                node.name,
                "Unreachable",
                "the node has no Ready condition and its agent has not reported for over a minute",
            )
        return NodeResult(node.name, "Pending", "waiting for the node's agent")
    enforces = policy.spec is not None and policy.spec.mode == "Enforce"
    found = [
        _sysctl_state(entry, state.sysctls.get(entry.name), enforces=enforces) for entry in decided
    ] + audited
    for entry, own_value in others:
        if entry.value == own_value:
            found.append(_sysctl_state(entry, state.sysctls.get(entry.name), enforces=enforces))
        else:
            message = f"{entry.name} is {entry.value} by policy {entry.policy}, not {own_value}"
            found.append(("Overridden", message))
    found += adjustment_states(policy, state, desired=adjustments)
    worst, message = min(found, key=lambda pair: _WORST_FIRST.index(pair[0]))
    return NodeResult(node.name, worst, message)


def _sysctl_state(entry: DesiredSysctl, report: ObservedSysctl | None, *, enforces: bool) -> tuple[str, str]:
    """Return state and message of one sysctl that the policy decides. `enforces`: the policy's mode; an entry
    that only audits is then enforced by another node of the same kernel, in a moment."""
    if report is None or report.desired != entry.value:
        return "Pending", f"{entry.name}: the agent has not reported on {entry.value} yet"
    if report.state == "InSync":
        return "InSync", f"{entry.name} is {entry.value}"
    described = report.message or _difference(entry.name, report.actual, entry.value)
    message = f"{report.reason}: {described}" if report.reason else described
    if report.state == "Audited" and enforces:
        return "Pending", f"{message}; another node sets it for the kernel that they share"
    if report.state == "Audited":
        return "Drifted", message
    return (report.state, message) if report.state in _WORST_FIRST else ("Pending", message)


def _decided_by_others(policy: Policy, desired: Sequence[DesiredSysctl]) -> list[tuple[DesiredSysctl, int]]:
    """Return an enforcing policy's sysctls that another policy decides, with the policy's own values."""
    if policy.spec is None or policy.spec.mode != "Enforce" or policy.spec.suspend:
        return []
    own = policy.spec.sysctls
    others = (entry for entry in desired if entry.policy != policy.name)
    return [(entry, own[entry.name]) for entry in others if entry.name in own]


def _audited_elsewhere(
    policy: Policy, state: OOMNodeState | None, *, decided: Sequence[DesiredSysctl]
) -> list[tuple[str, str]]:
    """Return state and message of an auditing policy's sysctls that an enforcing policy decides: the value
    in force is compared with the auditing policy's own."""
    if state is None or policy.spec is None or policy.spec.mode != "Audit" or policy.spec.suspend:
        return []
    own = {entry.name for entry in decided}
    found = []
    for name, value in sorted(policy.spec.sysctls.items()):
        report = state.sysctls.get(name)
        if name not in own and report is not None and report.actual is not None:
            found.append(
                ("InSync", f"{name} is {value}")
                if report.actual == value
                else ("Drifted", _difference(name, report.actual, value))
            )
    return found


def _difference(name: str, actual: int | None, wanted: int) -> str:
    return f"{name} is {'unknown' if actual is None else actual}, not {wanted}"
