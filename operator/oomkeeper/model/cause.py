"""The closed vocabularies of a diagnosis: cause, level, outcome, visibility, contributors, confidence.

The values are those of the custom resources' enums and of the JSON that `oomkeeper explain` prints, so they
never change their spelling.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Scope(StrEnum):
    """Whose memory ran out: a memory cgroup's limit, or the page allocator's."""

    MEMCG = "Memcg"
    GLOBAL = "Global"
    UNKNOWN = "Unknown"


class Cause(StrEnum):
    """Why the kernel killed. Decided by `oomkeeper.diagnosis`."""

    CONTAINER_LIMIT = "ContainerLimit"
    POD_LIMIT = "PodLimit"
    QOS_LIMIT = "QOSLimit"
    NODE_ALLOCATABLE_LIMIT = "NodeAllocatableLimit"
    SYSTEM_SLICE_LIMIT = "SystemSliceLimit"
    ENCLOSING_LIMIT = "EnclosingLimit"
    CGROUP_LIMIT = "CgroupLimit"
    ANCESTOR_CGROUP_LIMIT = "AncestorCgroupLimit"
    UNKNOWN_CGROUP_LIMIT = "UnknownCgroupLimit"
    NODE_MEMORY = "NodeMemory"
    ZONE_MEMORY = "ZoneMemory"
    NUMA_MEMORY_POLICY = "NUMAMemoryPolicy"
    NUMA_CPUSET = "NUMACpuset"
    FRAGMENTATION = "Fragmentation"
    MANUAL_TRIGGER = "ManualTrigger"
    EXTERNAL_POLICY = "ExternalPolicy"
    NO_KILLABLE_PROCESS = "NoKillableProcess"
    UNKNOWN = "Unknown"


class Level(StrEnum):
    """Which cgroup's limit was hit, seen from the victim; None (no level) for the page allocator."""

    CONTAINER = "Container"
    POD = "Pod"
    QOS = "QOS"
    ALLOCATABLE = "Allocatable"
    SYSTEM_SLICE = "SystemSlice"
    ENCLOSING = "Enclosing"
    OWN = "Own"
    ANCESTOR = "Ancestor"
    UNKNOWN = "Unknown"


class Outcome(StrEnum):
    """What happened."""

    KILLED = "Killed"
    KILLED_GROUP = "KilledGroup"
    PANICKED = "Panicked"
    NO_VICTIM = "NoVictim"


class Visibility(StrEnum):
    """Which sources reported the kill."""

    REPORTED = "Reported"
    """The kernel's record and the container's status (reason OOMKilled) agree."""
    INVISIBLE = "Invisible"
    """The kernel killed and kubelet did not report it: a child process, while the container kept running."""
    REPORTED_ONLY = "ReportedOnly"
    """The container's status says OOMKilled, and no kernel evidence was found."""
    HOST = "Host"
    """The victim belonged to no pod."""


class ContainerKind(StrEnum):
    """In which list of a pod's spec a container is."""

    CONTAINER = "Container"
    INIT_CONTAINER = "InitContainer"
    EPHEMERAL_CONTAINER = "EphemeralContainer"


class BindingCounter(StrEnum):
    """Which of a memory cgroup's counters was at its limit."""

    MEMORY = "Memory"
    MEMORY_SWAP = "MemorySwap"
    KMEM = "Kmem"


class ContributorName(StrEnum):
    """Kinds of memory, as the report's own counters name them."""

    ANONYMOUS = "Anonymous"
    SHARED_MEMORY = "SharedMemory"
    DIRTY_PAGE_CACHE = "DirtyPageCache"
    PAGE_CACHE = "PageCache"
    KERNEL_SLAB = "KernelSlab"
    PAGE_TABLES = "PageTables"
    KERNEL_STACK = "KernelStack"
    SOCKETS = "Sockets"
    HUGE_PAGES = "HugePages"
    SWAP = "Swap"
    UNACCOUNTED = "Unaccounted"


class Confidence(StrEnum):
    """How well the evidence supports the diagnosis."""

    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"


class Remedy(StrEnum):
    """What a piece of advice is about. The first three are the classic remedies of OOM handbooks, which the
    others make concrete: see REMEDY_OF."""

    FIND_LEAK = "FindLeak"
    FIT_LIMIT = "FitLimit"
    GROW_NODE = "GrowNode"
    MOVE_TMPFS = "MoveTmpfs"
    SLOW_STORAGE = "SlowStorage"
    LOWER_HEAP = "LowerHeap"
    MATCH_REQUESTS = "MatchRequests"
    SPREAD_NUMA = "SpreadNUMA"
    RESERVE_SYSTEM_MEMORY = "ReserveSystemMemory"
    COMPACT_MEMORY = "CompactMemory"
    FREE_KERNEL_MEMORY = "FreeKernelMemory"
    LOWER_OOM_SCORE_ADJ = "LowerOOMScoreAdj"
    CHECK_TRIGGER = "CheckTrigger"


REMEDY_OF: Mapping[Remedy, Remedy | None] = MappingProxyType(
    {
        Remedy.FIND_LEAK: Remedy.FIND_LEAK,
        Remedy.FREE_KERNEL_MEMORY: Remedy.FIND_LEAK,
        Remedy.MOVE_TMPFS: Remedy.FIND_LEAK,
        Remedy.FIT_LIMIT: Remedy.FIT_LIMIT,
        Remedy.SLOW_STORAGE: Remedy.FIT_LIMIT,
        Remedy.LOWER_HEAP: Remedy.FIT_LIMIT,
        Remedy.RESERVE_SYSTEM_MEMORY: Remedy.FIT_LIMIT,
        Remedy.GROW_NODE: Remedy.GROW_NODE,
        Remedy.MATCH_REQUESTS: Remedy.GROW_NODE,
        Remedy.SPREAD_NUMA: Remedy.GROW_NODE,
        Remedy.COMPACT_MEMORY: None,
        Remedy.LOWER_OOM_SCORE_ADJ: None,
        Remedy.CHECK_TRIGGER: None,
    }
)
"""Which of the three classic remedies each one makes concrete: look for a leak in what runs; fit the limit to
the plan for memory (or the plan to the limit); give the machine more memory, or more of what it has. None:
memory was there, or its amount was not the question."""
