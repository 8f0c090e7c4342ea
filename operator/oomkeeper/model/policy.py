"""The closed vocabularies of policies and node states, with the values of the custom resources' enums."""

from collections.abc import Mapping
from enum import StrEnum

from .names import ROLLOUT_RESUME


class Mode(StrEnum):
    """Whether the nodes are changed."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"


class Persistence(StrEnum):
    """Whether a value outlives a reboot by itself."""

    RUNTIME = "Runtime"
    PERSISTENT = "Persistent"


class OnRelease(StrEnum):
    """What happens to a value that no policy sets any more."""

    RESTORE = "Restore"
    KEEP = "Keep"


class Acknowledgement(StrEnum):
    """A consequence that the author of a policy accepts in writing."""

    KUBELET_CONFLICT = "KubeletConflict"
    NODE_PANIC = "NodePanic"
    CONTAINER_LIMIT_PANICS_NODE = "ContainerLimitPanicsNode"


class SysctlState(StrEnum):
    """State of one sysctl on a node."""

    IN_SYNC = "InSync"
    DRIFTED = "Drifted"
    PENDING = "Pending"
    REFUSED = "Refused"
    UNSUPPORTED = "Unsupported"
    AUDITED = "Audited"


class AdjustmentState(StrEnum):
    """State of one oom_score_adj entry on a node."""

    IN_SYNC = "InSync"
    DRIFTED = "Drifted"
    PENDING = "Pending"
    REFUSED = "Refused"
    AUDITED = "Audited"


class OOMChoice(StrEnum):
    """What the kernel does when a node is out of memory."""

    HIGHEST_SCORE = "HighestScore"
    ALLOCATING_TASK = "AllocatingTask"
    PANIC = "Panic"


class RolloutPhase(StrEnum):
    """How far a change of a policy's values is."""

    PROGRESSING = "Progressing"
    SOAKING = "Soaking"
    HALTED = "Halted"
    PAUSED = "Paused"
    COMPLETE = "Complete"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


def rolled_out(spec: Mapping[str, object]) -> dict[str, object]:
    """Return the part of an OOMPolicy's spec that is rolled out to nodes: all of it but how this is done, and
    whether it is suspended."""
    return {key: value for key, value in spec.items() if key not in ("rollout", "suspend")}


def next_resume(present: str | None, *, now: float) -> str:
    """Return a value of the annotation oomkeeper.dev/rollout that resumes a rollout, whatever its present
    value. `now`: seconds since the epoch."""
    return f"{ROLLOUT_RESUME}-{int(now)}" if (present or "").startswith(ROLLOUT_RESUME) else ROLLOUT_RESUME
