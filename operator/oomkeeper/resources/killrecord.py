"""Generated from `oomkeeper.api.killrecord` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from .record import Bound, Record


class Invoker(Record, frozen=True, kw_only=True):
    """The task whose allocation failed."""

    comm: str
    """Name of the task."""
    pid: int | None
    """Process id as the kernel prints it."""
    order: int | None
    """Allocation order: 2^order pages in one block; -1 for a kill requested by sysrq-f."""
    gfp: str | None
    """Allocation flags as printed."""
    oom_score_adj: int | None
    """Its oom_score_adj."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "comm": Bound(max_length=4096),
        "gfp": Bound(max_length=4096),
    }


class KilledProcess(Record, frozen=True, kw_only=True):
    """One killed process."""

    pid: int
    """Process id as the kernel prints it."""
    comm: str
    """Name of the process."""
    uid: int | None
    """User id."""
    total_vm_bytes: int | None
    """Virtual size."""
    anon_rss_bytes: int | None
    """Resident anonymous memory."""
    file_rss_bytes: int | None
    """Resident file-backed memory."""
    shmem_rss_bytes: int | None
    """Resident shared memory."""
    oom_score_adj: int | None
    """Its oom_score_adj."""
    pgtables_bytes: int | None
    """Its page tables."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "comm": Bound(max_length=4096),
    }


class MemoryPart(Record, frozen=True, kw_only=True):
    """One part of the memory in use."""

    name: str
    """Kind of memory."""
    bytes: int
    """Its size."""
    share: float
    """Its part of the usage, 0 to 1."""
    detail: str | None = None
    """Name of the largest slab cache and the like."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "detail": Bound(max_length=4096),
    }


class Advice(Record, frozen=True, kw_only=True):
    """One remedy."""

    remedy: str
    """Kind of remedy."""
    message: str
    """What to do, with its numbers."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "message": Bound(max_length=4096),
    }


class MemoryCounter(Record, frozen=True, kw_only=True):
    """One counter of the memory cgroup that reached its limit."""

    name: str
    """Memory, MemorySwap, Kmem or Swap."""
    usage_bytes: int
    """Usage at the kill."""
    limit_bytes: int | None
    """Limit; null where it is unlimited."""
    failcnt: int | None
    """Failed charges since the cgroup was made; null where not printed."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "name": Bound(max_length=16),
    }


class SwapSpace(Record, frozen=True, kw_only=True):
    """The node's swap space as the report prints it."""

    free_bytes: int | None
    """Free swap."""
    total_bytes: int | None
    """All swap."""


class MemoryZone(Record, frozen=True, kw_only=True):
    """One memory zone as printed, and what it offered to this request."""

    node: int
    """NUMA node."""
    zone: str
    """Name of the zone."""
    free_bytes: int | None
    """Free memory."""
    min_bytes: int | None
    """Its min watermark."""
    managed_bytes: int | None
    """Memory that the page allocator manages there."""
    usable_free_bytes: int | None
    """Free memory that this request could use; 0 where it may not allocate."""
    mark_bytes: int | None
    """What the request has to leave free: the min watermark and the reserve for lower zones."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "zone": Bound(max_length=64),
    }


class ProcessRow(Record, frozen=True, kw_only=True):
    """One row of the report's task table."""

    pid: int
    """Process id as the kernel prints it."""
    comm: str
    """Name of the process."""
    uid: int | None
    """User id."""
    rss_bytes: int
    """Resident memory."""
    swap_bytes: int | None
    """Swapped out memory; null where not printed."""
    oom_score_adj: int | None
    """Its oom_score_adj."""
    killed: bool
    """Whether this event killed it."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "comm": Bound(max_length=4096),
    }


class Scenario(Record, frozen=True, kw_only=True):
    """What another setting would have changed."""

    setting: str
    """The setting, as a sysctl assignment."""
    outcome: str | None
    """Outcome under it; null where the log does not tell."""
    victim: str | None
    """Name of the process killed under it."""
    why: str
    """The reason in one sentence."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "setting": Bound(max_length=4096),
        "victim": Bound(max_length=4096),
        "why": Bound(max_length=4096),
    }


class KillRecord(Record, frozen=True, kw_only=True):
    """One OOM event and its diagnosis."""

    time: str | None
    """RFC 3339; `+SECONDS` since boot where the log has no wall-clock time; null where it has none."""
    scope: str
    """What ran out: a memory cgroup's limit or the page allocator's memory."""
    cause: str
    """Why the kernel killed."""
    outcome: str
    """What happened."""
    level: str | None
    """Which cgroup's limit was reached; null where none was."""
    invoker: Invoker | None
    """The task whose allocation failed."""
    constraint: str | None
    """CONSTRAINT_MEMCG and the like."""
    victims: tuple[KilledProcess, ...]
    """Killed processes, in the order of the log."""
    oom_memcg: str | None
    """Cgroup that reached its limit, as the kernel printed it."""
    task_memcg: str | None
    """Cgroup of the victim, as the kernel printed it."""
    pod_uid: str | None
    """uid of the pod that the cgroup path names."""
    container_id: str | None = field(name="containerId")
    """Container id that the cgroup path names."""
    limit_bytes: int | None
    """Limit in force at the kill."""
    usage_bytes: int | None
    """Usage at the kill."""
    binding_counter: str | None
    """Which counter was at its limit."""
    contributors: tuple[MemoryPart, ...]
    """Memory breakdown, largest first."""
    confidence: str
    """How well the evidence supports the cause."""
    summary: str
    """The event in one sentence."""
    advice: tuple[Advice, ...]
    """Remedies, best first."""
    uncertain: tuple[str, ...] = ()
    """What the evidence does not show."""
    qos: str | None = None
    """QoS class that the cgroup path names."""
    kernel_release: str | None = None
    """uname -r, where the report prints it."""
    time_text: str | None = None
    """The time as printed, where it is not RFC 3339."""
    nodemask: str | None = None
    """NUMA nodes of the allocation."""
    mems_allowed: str | None = None
    """NUMA nodes that the cpuset allows."""
    cpuset: str | None = None
    """The cpuset."""
    oom_group: str | None = None
    """Cgroup killed as a whole because memory.oom.group is set."""
    panic: str | None = None
    """Text of the kernel panic."""
    kill_lines: int = 0
    """`Killed process` lines of the event."""
    header_seen: bool = False
    """Whether the report's first line was found."""
    complete: bool = True
    """Whether the report is complete."""
    lost_before: int = 0
    """Log records known to be lost just before or inside this event."""
    counters: tuple[MemoryCounter, ...] = ()
    """Counters of the cgroup."""
    swap: SwapSpace | None = None
    """The node's swap space."""
    ram_bytes: int | None = None
    """Memory that the kernel manages."""
    zones: tuple[MemoryZone, ...] = ()
    """Memory zones; at most 16."""
    tasks: tuple[ProcessRow, ...] = ()
    """Largest rows of the task table; at most 10."""
    task_count: int = 0
    """Rows of the task table in the log."""
    what_if: tuple[Scenario, ...] = ()
    """What other settings would have changed; empty without a task table."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "time": Bound(max_length=64),
        "constraint": Bound(max_length=4096),
        "oom_memcg": Bound(max_length=4096),
        "task_memcg": Bound(max_length=4096),
        "pod_uid": Bound(max_length=4096),
        "container_id": Bound(max_length=4096),
        "summary": Bound(max_length=4096),
        "uncertain": Bound(max_length=4096, max_items=16),
        "qos": Bound(max_length=32),
        "kernel_release": Bound(max_length=4096),
        "time_text": Bound(max_length=4096),
        "nodemask": Bound(max_length=4096),
        "mems_allowed": Bound(max_length=4096),
        "cpuset": Bound(max_length=4096),
        "oom_group": Bound(max_length=4096),
        "panic": Bound(max_length=4096),
        "counters": Bound(max_items=4),
        "zones": Bound(max_items=16),
        "tasks": Bound(max_items=10),
    }


class PodName(Record, frozen=True, kw_only=True):
    """Name of a pod."""

    namespace: str
    """Its namespace."""
    name: str
    """Its name."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "namespace": Bound(max_length=253),
        "name": Bound(max_length=253),
    }


class RecordedKill(KillRecord, frozen=True, kw_only=True):
    """A kill record as the agent stores it and `kills` prints it."""

    id: str
    """Boot id and log sequence number: the same kill is never counted twice."""
    pod: PodName | None = None
    """The victim's pod, where the API server knows it."""
    container: str | None = None
    """Name of the container."""
    boot_id: str | None = None
    """For a panic: the boot that ended with it, if the agent ran in it."""
    before_install: bool = False
    """Whether the kill was before the agent's first start on the node, and was found afterwards."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "time": Bound(max_length=64),
        "constraint": Bound(max_length=4096),
        "oom_memcg": Bound(max_length=4096),
        "task_memcg": Bound(max_length=4096),
        "pod_uid": Bound(max_length=4096),
        "container_id": Bound(max_length=4096),
        "summary": Bound(max_length=4096),
        "uncertain": Bound(max_length=4096, max_items=16),
        "qos": Bound(max_length=32),
        "kernel_release": Bound(max_length=4096),
        "time_text": Bound(max_length=4096),
        "nodemask": Bound(max_length=4096),
        "mems_allowed": Bound(max_length=4096),
        "cpuset": Bound(max_length=4096),
        "oom_group": Bound(max_length=4096),
        "panic": Bound(max_length=4096),
        "counters": Bound(max_items=4),
        "zones": Bound(max_items=16),
        "tasks": Bound(max_items=10),
        "id": Bound(max_length=128),
        "container": Bound(max_length=63),
        "boot_id": Bound(max_length=64),
    }
