"""The specs whose rollouts were complete, which `kubectl oom rollout undo` restores.

They are in OOMPolicy.status, as text and bounded: the API server keeps no earlier spec
(docs/decisions/112-undo-restores-the-last-complete-rollout.md).
"""

import json

from oomkeeper.model.policy import RolloutPhase, rolled_out
from oomkeeper.model.times import format_time
from oomkeeper.resources.oompolicy import CompletedRollout, OOMPolicyStatus, RolloutStatus
from oomkeeper.resources.record import max_items, max_length

from .objects import Policy

_MAX = max_items(OOMPolicyStatus, "completed_rollouts")
_MAX_SPEC = max_length(CompletedRollout, "spec")


def completed_rollouts(
    policy: Policy, *, rollout: RolloutStatus | None, now: float
) -> tuple[CompletedRollout, ...]:
    """Return the completed rollouts, newest first, with the present one if it is complete.

    A spec with the values of the newest one, such as one that changes only spec.rollout, replaces it: two
    entries always differ in what nodes are given. `now`: seconds since the epoch.
    """
    before = policy.status.completed_rollouts if policy.status else ()
    if (
        policy.spec is None
        or rollout is None
        or rollout.phase != RolloutPhase.COMPLETE
        or rollout.generation != policy.spec_generation
        or (before and before[0].generation == rollout.generation)
    ):
        return before
    spec = policy.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    text: str | None = json.dumps(spec, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    if text is not None and len(text) > _MAX_SPEC:
        text = None
    entry = CompletedRollout(generation=rollout.generation, completed_at=format_time(now), spec=text)
    same = bool(before) and text is not None and _values(before[0]) == rolled_out(spec)
    return (entry, *before[1 if same else 0 :])[:_MAX]


def _values(entry: CompletedRollout) -> object:
    try:
        spec = json.loads(entry.spec or "null")
    except ValueError:
        return None
    return rolled_out(spec) if isinstance(spec, dict) else None
