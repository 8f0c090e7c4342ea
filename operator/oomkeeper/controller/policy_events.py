"""Events of an OOMPolicy: a conflict with another policy, and the steps of a rollout."""

from oomkeeper.model.policy import RolloutPhase
from oomkeeper.resources.oompolicy import OOMPolicyStatus, PanicBreakerStatus, RolloutStatus

from .event_objects import ClusterEvent, Subject
from .objects import Policy


def conflict_event(policy: Policy, status: OOMPolicyStatus) -> ClusterEvent | None:
    """Return the Event of a conflict that the new status shows and the present one does not."""
    conflict = _conflict(status)
    if conflict is None or policy.status is None or conflict == _conflict(policy.status):
        return None
    subject = Subject("OOMPolicy", policy.name, policy.uid)
    return ClusterEvent(subject, "conflict", "Warning", "PolicyConflicted", conflict)


def rollout_event(policy: Policy, before: RolloutStatus | None, after: RolloutStatus) -> ClusterEvent | None:
    """Return the Event of a step. A halt is a series of its own, so that a step just before does not delay
    it."""
    if before is None and after.phase == RolloutPhase.COMPLETE:
        return None
    if before is not None and (before.phase, before.generation, before.updated) == (
        after.phase,
        after.generation,
        after.updated,
    ):
        return None
    subject = Subject("OOMPolicy", policy.name, policy.uid)
    message = f"generation {after.generation}: {after.progress} nodes: {after.message}"
    match after.phase:
        case RolloutPhase.HALTED:
            return ClusterEvent(subject, "rollout-halted", "Warning", "RolloutHalted", message)
        case RolloutPhase.PAUSED:
            return ClusterEvent(subject, "rollout-paused", "Normal", "RolloutPaused", message)
        case RolloutPhase.COMPLETE:
            return ClusterEvent(subject, "rollout-complete", "Normal", "RolloutComplete", message)
        case _:
            return ClusterEvent(subject, "rollout", "Normal", "RolloutProgressing", message)


def breaker_event(
    policy: Policy, before: PanicBreakerStatus | None, after: PanicBreakerStatus | None
) -> ClusterEvent | None:
    """Return the Event of a panic breaker that has tripped or was reset."""
    was, tripped = bool(before and before.tripped), bool(after and after.tripped)
    if was == tripped:
        return None
    subject = Subject("OOMPolicy", policy.name, policy.uid)
    if after is not None and tripped:
        message = f"vm.panic_on_oom is set to 0 on every node of the policy after {after.panics} OOM panics"
        return ClusterEvent(subject, "panic-breaker", "Warning", "PanicBreakerTripped", message)
    return ClusterEvent(
        subject, "panic-breaker-reset", "Normal", "PanicBreakerReset", "the breaker was reset"
    )


def _conflict(status: OOMPolicyStatus) -> str | None:
    """Return the message of the condition Conflicted if it is True."""
    return next(
        (one.message for one in status.conditions if (one.type, one.status) == ("Conflicted", "True")), None
    )
