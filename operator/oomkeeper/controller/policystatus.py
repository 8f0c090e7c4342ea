"""OOMPolicy.status from the resolution, the agents' answers and the incidents of the policy's nodes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from oomkeeper.reporting.times import format_time

from .adjustments import losses
from .conditions import Finding, conditions
from .nodestates import NodeOutcome
from .records import Policy
from .resolution import Defeat, Tally

MAX_EXAMPLES = 10
MAX_OVERRIDDEN = 32
_MESSAGE_MAX = 256
_WORST_FIRST = ("Refused", "Unsupported", "Drifted", "Unreachable", "Pending", "InSync")
_COUNTERS = {
    "InSync": "inSync",
    "Drifted": "drifted",
    "Pending": "pending",
    "Refused": "refused",
    "Unsupported": "unsupported",
    "Unreachable": "unreachable",
}


class Facts(NamedTuple):
    """What a policy's status is made of."""

    outcomes: Sequence[NodeOutcome]
    """One per Linux node that the policy selects."""
    defeats: Mapping[Defeat, Tally]
    oom: Mapping[str, Any]
    adjustments: Sequence[Mapping[str, Any]] = ()
    """status.oomScoreAdjustments."""


def policy_status(policy: Policy, *, facts: Facts, now: float) -> dict[str, Any]:
    """The whole status, bounded whatever the size of the cluster."""
    counts = Counter(outcome.state for outcome in facts.outcomes)
    nodes = {"matched": len(facts.outcomes)} | {name: counts[state] for state, name in _COUNTERS.items()}
    status: dict[str, Any] = {
        "observedGeneration": policy.generation,
        "conditions": conditions(
            _findings(policy, facts=facts, counts=counts),
            previous=policy.status.get("conditions"),
            generation=policy.generation,
            now=format_time(now),
        ),
        "nodes": nodes,
        "oom": dict(facts.oom),
    }
    if counts["InSync"] < len(facts.outcomes):
        status["exampleNodes"] = _examples(facts.outcomes)
    if facts.adjustments:
        status["oomScoreAdjustments"] = [dict(total) for total in facts.adjustments]
    if facts.defeats:
        ranked = sorted(facts.defeats.items(), key=lambda item: (-item[1].nodes, item[0]))
        status["overridden"] = [
            {"sysctl": defeat.sysctl, "by": defeat.by, "nodes": tally.nodes}
            for defeat, tally in ranked[:MAX_OVERRIDDEN]
        ]
    return status


def _examples(outcomes: Sequence[NodeOutcome]) -> list[dict[str, str]]:
    failing = [outcome for outcome in outcomes if outcome.state != "InSync"]
    worst = sorted(failing, key=lambda outcome: (_WORST_FIRST.index(outcome.state), outcome.node))
    return [
        {"name": outcome.node, "state": outcome.state, "message": outcome.message[:_MESSAGE_MAX]}
        for outcome in worst[:MAX_EXAMPLES]
    ]


def _findings(policy: Policy, *, facts: Facts, counts: Counter[str]) -> list[Finding]:
    if policy.spec is None:
        wrong = policy.invalid or "spec: invalid"
        return [
            Finding("Ready", False, "InvalidSpec", wrong),
            Finding("Progressing", False, "InvalidSpec", "the policy sets nothing until its spec is mended"),
            Finding("Degraded", True, "InvalidSpec", wrong),
            Finding("Conflicted", False, "InvalidSpec"),
        ]
    if policy.spec.suspend:
        return [
            Finding(
                "Ready", False, "Suspended", "spec.suspend is true: the policy holds nothing on any node"
            ),
            Finding("Progressing", False, "Suspended"),
            Finding("Degraded", False, "Suspended"),
            Finding("Conflicted", False, "Suspended"),
        ]
    return [
        _ready(facts, counts),
        _progressing(counts),
        _degraded(policy, facts, counts),
        _conflicted(facts.defeats, losses(policy, facts.adjustments)),
    ]


def _ready(facts: Facts, counts: Counter[str]) -> Finding:
    matched, in_sync = len(facts.outcomes), counts["InSync"]
    if not matched:
        return Finding("Ready", True, "NoNodesMatched", "spec.nodeSelector selects no Linux node")
    if in_sync == matched:
        return Finding("Ready", True, "InSync", f"{matched} of {matched} nodes are as the policy says")
    reason = next(state for state in _WORST_FIRST if counts[state])
    return Finding("Ready", False, f"Nodes{reason}", f"{in_sync} of {matched} nodes are as the policy says")


def _progressing(counts: Counter[str]) -> Finding:
    if counts["Pending"]:
        return Finding(
            "Progressing",
            True,
            "WaitingForAgents",
            f"{counts['Pending']} nodes have not answered for the present spec",
        )
    return Finding("Progressing", False, "UpToDate")


def _degraded(policy: Policy, facts: Facts, counts: Counter[str]) -> Finding:
    # What an auditing policy finds different is its result, not its failure.
    failing = [
        state
        for state in _WORST_FIRST[:4]
        if counts[state] and not (state == "Drifted" and policy.spec and policy.spec.mode == "Audit")
    ]
    if not failing:
        return Finding("Degraded", False, "AsExpected")
    worst = min(
        (outcome for outcome in facts.outcomes if outcome.state == failing[0]), key=lambda found: found.node
    )
    number = "1 node" if counts[failing[0]] == 1 else f"{counts[failing[0]]} nodes"
    return Finding("Degraded", True, f"Nodes{failing[0]}", f"{number}; {worst.node}: {worst.message}")


def _conflicted(defeats: Mapping[Defeat, Tally], lost: Sequence[str]) -> Finding:
    shared = sorted(defeat for defeat, tally in defeats.items() if tally.shared_kernel)
    if shared:
        return Finding(
            "Conflicted",
            True,
            "SharedKernel",
            "nodes of one kernel cannot differ, and another policy's value holds there: " + _named(shared),
        )
    differing = sorted(defeat for defeat, tally in defeats.items() if tally.differing)
    if differing:
        return Finding(
            "Conflicted", True, "Overridden", "another policy holds a different value: " + _named(differing)
        )
    if lost:
        return Finding(
            "Conflicted",
            True,
            "Overridden",
            "another policy decides for processes of oomScoreAdjustments " + "; ".join(lost),
        )
    return Finding("Conflicted", False, "NoConflict")


def _named(defeats: Sequence[Defeat]) -> str:
    named = ", ".join(f"{defeat.sysctl} (by {defeat.by})" for defeat in defeats[:3])
    return named if len(defeats) <= 3 else f"{named} and {len(defeats) - 3} more"
