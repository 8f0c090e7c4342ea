"""The kill record: one OOM event and its diagnosis, as `explain --output json`, `node` and `kills` print it
and the agent stores it.

Sizes are bytes with the unit in the field's name. What the log did not print is null. All text is escaped,
so that a record is safe to print whatever a process chose as its name.
"""

from typing import Annotated

from pydantic import Field

from oomkeeper.model.cause import (
    BindingCounter,
    Cause,
    Confidence,
    ContributorName,
    Level,
    Outcome,
    Remedy,
    Scope,
)

from .base import ApiModel
from .scalars import Name

Text = Annotated[str, Field(max_length=4096)]
"""Free text: the longest path that Linux takes."""


class Invoker(ApiModel):
    """The task whose allocation failed."""

    comm: Text
    """Name of the task."""
    pid: int | None
    """Process id as the kernel prints it."""
    order: int | None
    """Allocation order: 2^order pages in one block; -1 for a kill requested by sysrq-f."""
    gfp: Text | None
    """Allocation flags as printed."""
    oom_score_adj: int | None
    """Its oom_score_adj."""


class KilledProcess(ApiModel):
    """One killed process."""

    pid: int
    """Process id as the kernel prints it."""
    comm: Text
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


class MemoryPart(ApiModel):
    """One part of the memory in use."""

    name: ContributorName
    """Kind of memory."""
    bytes: int
    """Its size."""
    share: float
    """Its part of the usage, 0 to 1."""
    detail: Text | None = None
    """Name of the largest slab cache and the like."""


class Advice(ApiModel):
    """One remedy."""

    remedy: Remedy
    """Kind of remedy."""
    message: Text
    """What to do, with its numbers."""


class MemoryCounter(ApiModel):
    """One counter of the memory cgroup that reached its limit."""

    name: Annotated[str, Field(max_length=16)]
    """Memory, MemorySwap, Kmem or Swap."""
    usage_bytes: int
    """Usage at the kill."""
    limit_bytes: int | None
    """Limit; null where it is unlimited."""
    failcnt: int | None
    """Failed charges since the cgroup was made; null where not printed."""


class SwapSpace(ApiModel):
    """The node's swap space as the report prints it."""

    free_bytes: int | None
    """Free swap."""
    total_bytes: int | None
    """All swap."""


class MemoryZone(ApiModel):
    """One memory zone as printed, and what it offered to this request."""

    node: int
    """NUMA node."""
    zone: Annotated[str, Field(max_length=64)]
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


class ProcessRow(ApiModel):
    """One row of the report's task table."""

    pid: int
    """Process id as the kernel prints it."""
    comm: Text
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


class Scenario(ApiModel):
    """What another setting would have changed."""

    setting: Text
    """The setting, as a sysctl assignment."""
    outcome: Outcome | None
    """Outcome under it; null where the log does not tell."""
    victim: Text | None
    """Name of the process killed under it."""
    why: Text
    """The reason in one sentence."""


class KillRecord(ApiModel):
    """One OOM event and its diagnosis."""

    time: Annotated[str, Field(max_length=64)] | None
    """RFC 3339; `+SECONDS` since boot where the log has no wall-clock time; null where it has none."""
    scope: Scope
    """What ran out: a memory cgroup's limit or the page allocator's memory."""
    cause: Cause
    """Why the kernel killed."""
    outcome: Outcome
    """What happened."""
    level: Level | None
    """Which cgroup's limit was reached; null where none was."""
    invoker: Invoker | None
    """The task whose allocation failed."""
    constraint: Text | None
    """CONSTRAINT_MEMCG and the like."""
    victims: tuple[KilledProcess, ...]
    """Killed processes, in the order of the log."""
    oom_memcg: Text | None
    """Cgroup that reached its limit, as the kernel printed it."""
    task_memcg: Text | None
    """Cgroup of the victim, as the kernel printed it."""
    pod_uid: Text | None
    """uid of the pod that the cgroup path names."""
    container_id: Annotated[Text | None, Field(alias="containerId")]
    """Container id that the cgroup path names."""
    limit_bytes: int | None
    """Limit in force at the kill."""
    usage_bytes: int | None
    """Usage at the kill."""
    binding_counter: BindingCounter | None
    """Which counter was at its limit."""
    contributors: tuple[MemoryPart, ...]
    """Memory breakdown, largest first."""
    confidence: Confidence
    """How well the evidence supports the cause."""
    summary: Text
    """The event in one sentence."""
    advice: tuple[Advice, ...]
    """Remedies, best first."""
    uncertain: Annotated[tuple[Text, ...], Field(max_length=16)] = ()
    """What the evidence does not show."""
    qos: Annotated[str, Field(max_length=32)] | None = None
    """QoS class that the cgroup path names."""
    kernel_release: Text | None = None
    """uname -r, where the report prints it."""
    time_text: Text | None = None
    """The time as printed, where it is not RFC 3339."""
    nodemask: Text | None = None
    """NUMA nodes of the allocation."""
    mems_allowed: Text | None = None
    """NUMA nodes that the cpuset allows."""
    cpuset: Text | None = None
    """The cpuset."""
    oom_group: Text | None = None
    """Cgroup killed as a whole because memory.oom.group is set."""
    panic: Text | None = None
    """Text of the kernel panic."""
    kill_lines: int = 0
    """`Killed process` lines of the event."""
    header_seen: bool = False
    """Whether the report's first line was found."""
    complete: bool = True
    """Whether the report is complete."""
    lost_before: int = 0
    """Log records known to be lost just before or inside this event."""
    counters: Annotated[tuple[MemoryCounter, ...], Field(max_length=4)] = ()
    """Counters of the cgroup."""
    swap: SwapSpace | None = None
    """The node's swap space."""
    ram_bytes: int | None = None
    """Memory that the kernel manages."""
    zones: Annotated[tuple[MemoryZone, ...], Field(max_length=16)] = ()
    """Memory zones; at most 16."""
    tasks: Annotated[tuple[ProcessRow, ...], Field(max_length=10)] = ()
    """Largest rows of the task table; at most 10."""
    task_count: int = 0
    """Rows of the task table in the log."""
    what_if: tuple[Scenario, ...] = ()
    """What other settings would have changed; empty without a task table."""


class PodName(ApiModel):
    """Name of a pod."""

    namespace: Name
    """Its namespace."""
    name: Name
    """Its name."""


class RecordedKill(KillRecord):
    """A kill record as the agent stores it and `kills` prints it."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    """Boot id and log sequence number: the same kill is never counted twice."""
    pod: PodName | None = None
    """The victim's pod, where the API server knows it."""
    container: Annotated[str, Field(max_length=63)] | None = None
    """Name of the container."""
    boot_id: Annotated[str, Field(max_length=64)] | None = None
    """For a panic: the boot that ended with it, if the agent ran in it."""
    before_install: bool = False
    """Whether the kill was before the agent's first start on the node, and was found afterwards."""
