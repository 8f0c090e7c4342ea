"""What the agent stores for itself, beside the resources: decoded with type checks, unknown fields
ignored."""

from typing import Any

import msgspec

from oomkeeper.kernel.tracefs.events import VictimMarked
from oomkeeper.resources.oomnode import LastPanic


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of the stored records: camelCase in JSON, fields at their default are left out."""


class SysctlNote(StoredRecord, frozen=True, kw_only=True):
    """What is known of one sysctl that oomkeeper writes."""

    original: int
    """The value found in this boot before the first write."""
    boot: str | None = None
    """The boot that `original`, `applied` and `drifts` belong to."""
    applied: int | None = None
    """The value written last; None before the first write succeeded."""
    policy: str = ""
    on_release: str = "Restore"
    kubelet_start: int | None = None
    """Start of the kubelet that ran when the value was last written, in ticks after boot."""
    drifts: tuple[float, ...] = ()
    """Recent changes by another writer, in seconds after boot."""
    drift_count: int = 0
    last_drift: str | None = None
    suspected_writer: str | None = None


class PanicNote(StoredRecord, frozen=True, kw_only=True):
    """OOM panics found in pstore."""

    seen: tuple[str, ...] = ()
    """Identities of the records that are counted, oldest first."""
    count: int = 0
    last: LastPanic | None = None
    times: tuple[str, ...] = ()
    """Times of the last ones, oldest first."""
    found: dict[str, str] = {}
    """Identity -> time of the last panics of this kernel, whether they are counted yet and by which node or
    not."""


class PanicBreakerNote(StoredRecord, frozen=True, kw_only=True):
    """That the node's own panic breaker has tripped."""

    policy: str
    counted_from: str
    """Of the limit that was exceeded."""
    panics: int


BEFORE_INSTALL_NOTE = "before install"
"""Name in the store of the BeforeInstallNote; a state that an older release began has none."""


class BeforeInstallNote(StoredRecord, frozen=True, kw_only=True):
    """How far the kills before the first start are recorded (before_install.py)."""

    boot: str
    """The boot of the first start."""
    until: int
    """Sequence number of the last log record that was printed before."""
    through: int = -1
    """The kills up to this sequence number are recorded."""
    kills: int = 0
    """Kills recorded, those of container statuses included."""
    left_out: int | None = None
    """Kills in the log that were too many or too old; None while they are not counted."""
    done: bool = False
    """Whether nothing of the log is left to be read."""


class KernelCount(StoredRecord, frozen=True, kw_only=True):
    """Kills that the kernel has counted, over all boots: numbers that only grow, for the metrics."""

    boot: str
    counted: int
    """oom_kill of /proc/vmstat in that boot, as far as it is in `kills`."""
    kills: int = 0
    unattributed: int = 0
    """Of these, kills that had no record when they were looked at; a record may be found later."""


class AdoptedUntil(StoredRecord, frozen=True, kw_only=True):
    """The last of what an earlier state of this node had counted, by its incidents in the cluster."""

    last_seen: str | None = None
    """The last kill."""
    seqs: dict[str, int] = {}
    """Boot id -> sequence number of its last kill."""


TRACED_NOTE = "traced since"
"""Name in the store of the TracedSince."""
KILLERS_NOTE = "container kills by killer"
"""Name in the store of: killer -> ends of containers that this state has counted. For the metrics: it only
grows."""
ADOPTED_ENDS_NOTE = "adopted ends"
"""Name in the store of: key of an adopted ContainerKill that names as many ends as it can -> the oldest of
them. Earlier ends are counted in it."""


class TracedSince(StoredRecord, frozen=True, kw_only=True):
    """Since when the kernel's trace of SIGKILLs lacks nothing."""

    boot: str
    since: float
    """Seconds since boot."""


UNLOGGED_NOTE = "unlogged kills"
"""Name in the store of the UnloggedNote."""


class UnloggedNote(StoredRecord, frozen=True, kw_only=True):
    """Kills that were read from the trace while records of the log were lost, and have no line yet."""

    boot: str
    kills: tuple[VictimMarked, ...]


CLAIMS_NOTE = "claimed kills"
"""Name in the store of the ClaimNotes, oldest first."""


class ClaimNote(StoredRecord, frozen=True, kw_only=True):
    """A line of the kernel log in which an OOM killer in user space reports a kill."""

    boot: str
    usec: int
    """When it was written, on the kernel's clock."""
    program: str
    text: str
    cgroup: str | None = None
    pid: int | None = None


class ClockOffset(StoredRecord, frozen=True, kw_only=True):
    """The clock's distance from the time since boot, with which the kills of a boot are dated."""

    boot: str
    seconds: float


class DesiredNote(StoredRecord, frozen=True, kw_only=True):
    """The OOMNode as the API server had it last."""

    generation: int | None = None
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
