"""OOMPolicy.status: counts of nodes, conditions, overrides and the kills of the policy's nodes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from oomkeeper.model.times import format_time

from .conditions import conditions
from .node_result import NodeResult
from .objects import Policy
from .oomscoreadj import overridden_entries
from .policy_conditions import WORST_FIRST, policy_conditions
from .precedence import Override, OverrideCount

MAX_EXAMPLES = 10
MAX_OVERRIDDEN = 32
_MESSAGE_MAX = 256
_COUNTERS = {
    "InSync": "inSync",
    "Drifted": "drifted",
    "Pending": "pending",
    "Refused": "refused",
    "Unsupported": "unsupported",
    "Unreachable": "unreachable",
}


class Facts(NamedTuple):
    """What a policy's status is made from."""

    results: Sequence[NodeResult]
    """One per Linux node that the policy selects."""
    overrides: Mapping[Override, OverrideCount]
    oom: Mapping[str, Any]
    adjustments: Sequence[Mapping[str, Any]] = ()
    """status.oomScoreAdjustments."""


def policy_status(policy: Policy, *, facts: Facts, now: float) -> dict[str, Any]:
    """Return the whole status, bounded whatever the size of the cluster."""
    counts = Counter(result.state for result in facts.results)
    status: dict[str, Any] = {
        "observedGeneration": policy.generation,
        "conditions": conditions(
            policy_conditions(
                policy,
                results=facts.results,
                overrides=facts.overrides,
                overridden_entries=overridden_entries(policy, facts.adjustments),
            ),
            previous=policy.status.get("conditions"),
            generation=policy.generation,
            now=format_time(now),
        ),
        "nodes": {"matched": len(facts.results)} | {name: counts[key] for key, name in _COUNTERS.items()},
        "oom": dict(facts.oom),
    }
    if counts["InSync"] < len(facts.results):
        status["exampleNodes"] = _examples(facts.results)
    if facts.adjustments:
        status["oomScoreAdjustments"] = [dict(total) for total in facts.adjustments]
    if facts.overrides:
        ranked = sorted(facts.overrides.items(), key=lambda item: (-item[1].nodes, item[0]))
        status["overridden"] = [
            {"sysctl": override.sysctl, "by": override.by, "nodes": count.nodes}
            for override, count in ranked[:MAX_OVERRIDDEN]
        ]
    return status


def _examples(results: Sequence[NodeResult]) -> list[dict[str, str]]:
    failing = [result for result in results if result.state != "InSync"]
    worst = sorted(failing, key=lambda result: (WORST_FIRST.index(result.state), result.node))
    return [
        {"name": result.node, "state": result.state, "message": result.message[:_MESSAGE_MAX]}
        for result in worst[:MAX_EXAMPLES]
    ]
