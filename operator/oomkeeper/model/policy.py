"""The closed vocabularies of policies and node states, with the values of the custom resources' enums."""

from enum import StrEnum


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
