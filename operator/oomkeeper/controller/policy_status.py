"""OOMPolicy.status: counts of nodes, conditions, overrides and the kills of the policy's nodes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from oomkeeper.model.policy import RolloutPhase
from oomkeeper.model.times import format_time
from oomkeeper.resources.oompolicy import (
    AdjustmentTotals,
    ExampleNode,
    NodeCounts,
    OOMPolicyStatus,
    OOMSummary,
    Overridden,
    PanicBreakerStatus,
    RolloutStatus,
)
from oomkeeper.resources.record import bounded, max_items

from .completed_rollouts import completed_rollouts
from .conditions import conditions
from .node_result import NodeResult
from .objects import Policy
from .oomscoreadj import overridden_entries
from .policy_conditions import WORST_FIRST, policy_conditions
from .precedence import Override, OverrideCount

_MAX_EXAMPLES = max_items(OOMPolicyStatus, "example_nodes")
_MAX_OVERRIDDEN = max_items(OOMPolicyStatus, "overridden")


class Facts(NamedTuple):
    """What a policy's status is made from."""

    matched: int
    """Linux nodes that the policy selects."""
    failing: Sequence[NodeResult]
    """Results on those of them that are not in sync."""
    overrides: Mapping[Override, OverrideCount]
    oom: OOMSummary
    adjustments: tuple[AdjustmentTotals, ...] = ()
    drifts: int = 0
    rollout: RolloutStatus | None = None
    """How far the rollout is, if changes of the policy are limited."""
    breaker: PanicBreakerStatus | None = None
    cordons_nodes: bool = False
    """Whether the controller may cordon Nodes."""


def policy_status(policy: Policy, *, facts: Facts, now: float) -> OOMPolicyStatus:
    """Return the whole status, bounded whatever the size of the cluster."""
    counts = Counter(result.state for result in facts.failing)
    rollout = facts.rollout or _immediate(policy, facts, pending=counts["Pending"], now=now)
    return bounded(
        OOMPolicyStatus(
            observed_generation=policy.generation,
            conditions=conditions(
                policy_conditions(
                    policy,
                    matched=facts.matched,
                    failing=facts.failing,
                    overrides=facts.overrides,
                    overridden_entries=overridden_entries(policy, facts.adjustments),
                    rollout=facts.rollout,
                    breaker=facts.breaker,
                    cordons_nodes=facts.cordons_nodes,
                ),
                previous=policy.status.conditions if policy.status else (),
                generation=policy.generation,
                now=format_time(now),
            ),
            nodes=NodeCounts(
                matched=facts.matched,
                in_sync=facts.matched - len(facts.failing),
                drifted=counts["Drifted"],
                pending=counts["Pending"],
                refused=counts["Refused"],
                unsupported=counts["Unsupported"],
                overridden=counts["Overridden"],
                unreachable=counts["Unreachable"],
                agent_silent=counts["AgentSilent"],
                unmanaged=counts["Unmanaged"],
            ),
            rollout=rollout,
            completed_rollouts=completed_rollouts(policy, rollout=rollout, now=now),
            panic_breaker=facts.breaker,
            drifts=facts.drifts,
            example_nodes=_examples(facts.failing),
            overridden=_overridden(facts.overrides),
            oom_score_adjustments=facts.adjustments,
            oom=facts.oom,
        )
    )


def _immediate(policy: Policy, facts: Facts, *, pending: int, now: float) -> RolloutStatus | None:
    """Return the rollout of a policy whose changes reach all nodes immediately. It differs from the one
    before only when other parts of the status do."""
    before = policy.status.rollout if policy.status else None
    if policy.spec is None:
        return before
    if policy.spec.suspend:
        return None
    phase = RolloutPhase.PROGRESSING if pending else RolloutPhase.COMPLETE
    return RolloutStatus(
        generation=policy.spec_generation,
        phase=str(phase),
        updated=facts.matched,
        total=facts.matched,
        progress=f"{facts.matched}/{facts.matched}",
        reason="WaitingForAgents" if pending else "AllNodesUpdated",
        message="changes of this policy reach all nodes immediately",
        since=before.since if before is not None and before.phase == phase else format_time(now),
    )


def _examples(failing: Sequence[NodeResult]) -> tuple[ExampleNode, ...]:
    worst = sorted(failing, key=lambda result: (WORST_FIRST.index(result.state), result.node))
    return tuple(
        ExampleNode(name=result.node, state=result.state, message=result.message)
        for result in worst[:_MAX_EXAMPLES]
    )


def _overridden(overrides: Mapping[Override, OverrideCount]) -> tuple[Overridden, ...]:
    ranked = sorted(overrides.items(), key=lambda item: (-item[1].nodes, item[0]))
    return tuple(
        Overridden(sysctl=override.sysctl, by=override.by, nodes=count.nodes)
        for override, count in ranked[:_MAX_OVERRIDDEN]
    )
