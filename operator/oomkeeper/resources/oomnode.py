"""Generated from `oomkeeper.api.oomnode` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from .adjustment import OOMScoreAdjustment
from .meta import Condition, ObjectMeta
from .record import Bound, Record


class PanicLimit(Record, frozen=True, kw_only=True):
    """After how many OOM panics the node sets vm.panic_on_oom to 0 by itself."""

    max_panics: int
    """More panics than this do so."""
    window_seconds: int
    """Time over which they are counted."""
    counted_from: str
    """Earlier panics do not count. Another time here resets the node."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "max_panics": Bound(minimum=0, maximum=100),
        "window_seconds": Bound(minimum=60, maximum=604800),
    }


class DesiredSysctl(Record, frozen=True, kw_only=True):
    """One desired value, after conflicts between policies were resolved."""

    name: str
    """Kernel name."""
    value: int
    """Desired value."""
    policy: str
    """The OOMPolicy that sets this sysctl on this node."""
    mode: str = "Enforce"
    """Enforce or Audit, from the policy."""
    persistence: str = "Runtime"
    """Runtime or Persistent, from the policy."""
    on_release: str = "Restore"
    """Restore or Keep, from the policy."""
    acknowledge: tuple[str, ...] = ()
    """Consequences that the policy accepts."""
    panic_limit: PanicLimit | None = None
    """Only with vm.panic_on_oom 1 or 2 in mode Enforce: the panic breaker, which the node applies to its
    own panics also while the API server is unreachable."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "policy": Bound(max_length=253),
        "acknowledge": Bound(max_items=3),
    }


class DesiredAdjustment(OOMScoreAdjustment, frozen=True, kw_only=True):
    """One desired oom_score_adj."""

    policy: str
    """The OOMPolicy that sets it."""
    mode: str = "Enforce"
    """Enforce or Audit, from the policy."""
    on_release: str = "Restore"
    """Restore or Keep, from the policy."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "name": Bound(max_length=63),
        "containers": Bound(max_length=63, max_items=32),
        "systemd_unit": Bound(max_length=255),
        "value": Bound(minimum=-1000, maximum=1000),
        "policy": Bound(max_length=253),
    }


class OOMNodeSpec(Record, frozen=True, kw_only=True):
    """Desired settings of this node."""

    sysctls: tuple[DesiredSysctl, ...] = ()
    """Desired values, one per sysctl."""
    oom_score_adjustments: tuple[DesiredAdjustment, ...] = ()
    """Desired oom_score_adj. The first entry in mode Enforce that selects a process decides."""
    host_kills: bool = True
    """Whether this node's agent publishes kills outside every node's own cgroups. Of the nodes that share
    a kernel (kind), exactly one does."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "sysctls": Bound(max_items=32),
        "oom_score_adjustments": Bound(max_items=32),
    }


class KernelFacts(Record, frozen=True, kw_only=True):
    """The node's kernel and memory."""

    release: str | None = None
    """uname -r."""
    boot_id: str | None = None
    """/proc/sys/kernel/random/boot_id; equal on nodes that share one kernel."""
    cgroup_version: int | None = None
    """1 or 2: where the memory controller is."""
    page_size_bytes: int | None = None
    """Size of a page."""
    memory: str | None = None
    """RAM that the kernel manages."""
    swap: str | None = None
    """Swap space."""
    cpus: int | None = None
    """CPUs online."""
    numa_nodes: int | None = None
    """NUMA nodes with memory."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "release": Bound(max_length=256),
        "boot_id": Bound(max_length=64),
        "cgroup_version": Bound(minimum=1, maximum=2),
        "page_size_bytes": Bound(minimum=0),
        "memory": Bound(max_length=32),
        "swap": Bound(max_length=32),
        "cpus": Bound(minimum=0),
        "numa_nodes": Bound(minimum=0),
    }


class KubeletFacts(Record, frozen=True, kw_only=True):
    """Configuration of the node's kubelet, as far as it could be read."""

    version: str | None = None
    """Version."""
    protect_kernel_defaults: bool | None = None
    """True: kubelet refuses to start if vm.panic_on_oom, vm.overcommit_memory or kernel.panic differ from
    its own values."""
    single_process_oom_kill: bool | None = None
    """True: an OOM kill ends one process; false: it ends the whole container (memory.oom.group)."""
    eviction_hard: dict[str, str] | None = None
    """Hard eviction thresholds, such as memory.available: 100Mi."""
    config_file: str | None = None
    """File that this was read from."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "version": Bound(max_length=64),
        "eviction_hard": Bound(max_length=32, max_items=16),
        "config_file": Bound(max_length=512),
    }


class ObservedSysctl(Record, frozen=True, kw_only=True):
    """One sysctl on this node."""

    name: str
    """Kernel name."""
    desired: int | None = None
    """Desired value."""
    actual: int | None = None
    """Value in force; absent where it cannot be read."""
    original: int | None = None
    """Value before oomkeeper first wrote it."""
    policy: str | None = None
    """OOMPolicy that sets it."""
    mode: str | None = None
    """Enforce or Audit."""
    state: str
    """InSync; Drifted: another process wrote another value; Pending: not yet written; Refused: not
    applied, see reason; Unsupported: this kernel does not have the setting; Audited: mode is Audit and
    the value differs."""
    reason: str | None = None
    """Why, as one CamelCase word."""
    message: str | None = None
    """Why, for people."""
    persisted: bool | None = None
    """Whether the drop-in under /etc/sysctl.d contains it."""
    drift_count: int | None = None
    """How often another process changed it."""
    last_drift_time: str | None = None
    """When another process last changed it."""
    suspected_writer: str | None = None
    """The process that probably changed it, such as kubelet."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "policy": Bound(max_length=253),
        "reason": Bound(max_length=64),
        "message": Bound(max_length=880),
        "drift_count": Bound(minimum=0),
        "suspected_writer": Bound(max_length=256),
    }


class ObservedAdjustment(Record, frozen=True, kw_only=True):
    """One oom_score_adj entry on this node. Counts are of processes; a change of counts alone is written
    at most every five minutes."""

    policy: str
    """OOMPolicy that sets it."""
    name: str
    """Name of the entry in that policy."""
    value: int | None = None
    """Desired value."""
    mode: str | None = None
    """Enforce or Audit."""
    state: str
    """InSync: every selected process has the value or is decided by another entry; Drifted: another
    process keeps writing another value, so enforcement is paused; Pending: not all processes are known
    yet; Refused: not applied, see reason; Audited: mode is Audit and a process differs."""
    reason: str | None = None
    """Why, as one CamelCase word."""
    message: str | None = None
    """Why, for people."""
    pods: int | None = None
    """Pods of this node with a container that it selects; absent where it does not select pods."""
    in_force: int | None = None
    """Selected processes that have the value."""
    failed: int | None = None
    """Selected processes that have another value against it."""
    overridden: int | None = None
    """Selected processes to which an entry of higher precedence gives another value."""
    overridden_by: str | None = None
    """One of those entries, as POLICY/NAME."""
    differing: int | None = None
    """mode Audit: selected processes that have another value."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "policy": Bound(max_length=253),
        "name": Bound(max_length=63),
        "value": Bound(minimum=-1000, maximum=1000),
        "reason": Bound(max_length=64),
        "message": Bound(max_length=200),
        "pods": Bound(minimum=0),
        "in_force": Bound(minimum=0),
        "failed": Bound(minimum=0),
        "overridden": Bound(minimum=0),
        "overridden_by": Bound(max_length=320),
        "differing": Bound(minimum=0),
    }


class Counters(Record, frozen=True, kw_only=True):
    """Kill accounting: kernelKills = recorded + unattributed."""

    kernel_kills: int | None = None
    """Kills that the kernel counted (/proc/vmstat oom_kill) since accounting began."""
    recorded: int | None = None
    """Of these, kills with a record."""
    unattributed: int | None = None
    """Of these, kills without a record."""
    lost_log_records: int | None = None
    """Kernel log records that were overwritten before they could be read."""
    lost_trace_records: int | None = None
    """Records of killed processes in the kernel's trace that were overwritten before they could be read."""
    before_install: int | None = None
    """Kills before the agent's first start that were found in the kernel log and in container statuses;
    not among kernelKills."""
    panics: int | None = None
    """OOM panics of this node found in pstore; the kernel does not count them as kills."""
    since: str | None = None
    """When accounting began."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "kernel_kills": Bound(minimum=0),
        "recorded": Bound(minimum=0),
        "unattributed": Bound(minimum=0),
        "lost_log_records": Bound(minimum=0),
        "lost_trace_records": Bound(minimum=0),
        "before_install": Bound(minimum=0),
        "panics": Bound(minimum=0),
    }


class LastPanic(Record, frozen=True, kw_only=True):
    """The last OOM panic of the node, from pstore. The full record is an OOMIncident (outcome Panicked)."""

    time: str
    """When the kernel wrote the record."""
    boot_id: str | None = None
    """The boot that ended with it; absent where no agent ran during that boot."""
    cause: str
    """Cause of the panic."""
    message: str | None = None
    """The incident's summary."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "boot_id": Bound(max_length=64),
        "message": Bound(max_length=1024),
    }


class KillHistory(Record, frozen=True, kw_only=True):
    """Recorded kills per hour over at most a week."""

    first_hour: str
    """Start of the first hour."""
    kills: tuple[int, ...]
    """Kills in that hour and in each one after it, up to the last hour with a kill."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "kills": Bound(max_items=168),
    }


class PlannedSysctl(Record, frozen=True, kw_only=True):
    """One sysctl before and after the planned change."""

    name: str
    """Kernel name."""
    before: int | None = None
    """Value in force; absent where it cannot be read."""
    after: int | None = None
    """Value that would be in force."""
    policy: str | None = None
    """OOMPolicy that would set it; absent where none does any more."""
    state: str | None = None
    """State that it would have; absent where no policy sets it any more."""
    reason: str | None = None
    """Why it would not be applied, as one CamelCase word."""
    message: str | None = None
    """Why, for people."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "policy": Bound(max_length=253),
        "reason": Bound(max_length=64),
        "message": Bound(max_length=300),
    }


class PlannedAdjustment(Record, frozen=True, kw_only=True):
    """One oom_score_adj entry after the planned change. Counts are of processes."""

    policy: str
    """OOMPolicy that would set it."""
    name: str
    """Name of the entry in that policy."""
    selected: int = 0
    """Processes that it selects now."""
    changing: int = 0
    """Of these, processes that would get another value."""
    overridden: int = 0
    """Selected processes to which an entry of higher precedence gives another value."""
    state: str
    """InSync: it would be in force; Refused: it would not be applied; Pending: not all processes are
    known; Audited: mode is Audit, and `changing` counts the processes that differ."""
    reason: str | None = None
    """Why it would not be applied, or select no process."""
    message: str | None = None
    """Why, for people."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "policy": Bound(max_length=253),
        "name": Bound(max_length=63),
        "selected": Bound(minimum=0),
        "changing": Bound(minimum=0),
        "overridden": Bound(minimum=0),
        "reason": Bound(max_length=64),
        "message": Bound(max_length=120),
    }


class PlannedProcess(Record, frozen=True, kw_only=True):
    """One process by the kernel's order of victims."""

    pid: int
    """Process id."""
    comm: str
    """Its name. A process chooses it."""
    where: str | None = None
    """NAMESPACE/POD and container, or the systemd unit."""
    memory_bytes: int
    """Resident, swapped and page tables, which is what the kernel counts."""
    adj_before: int
    """oom_score_adj now."""
    adj_after: int
    """oom_score_adj after the change."""
    score_before: int
    """/proc/PID/oom_score now."""
    score_after: int
    """/proc/PID/oom_score after the change."""
    rank_before: int | None = None
    """Place in the order of victims now; absent beyond the first 10."""
    rank_after: int | None = None
    """Place after the change."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "pid": Bound(minimum=0),
        "comm": Bound(max_length=128),
        "where": Bound(max_length=200),
        "memory_bytes": Bound(minimum=0),
        "adj_before": Bound(minimum=-1000, maximum=1000),
        "adj_after": Bound(minimum=-1000, maximum=1000),
        "score_before": Bound(minimum=-9999, maximum=9999),
        "score_after": Bound(minimum=-9999, maximum=9999),
        "rank_before": Bound(minimum=1, maximum=10),
        "rank_after": Bound(minimum=1, maximum=10),
    }


class NodePlan(Record, frozen=True, kw_only=True):
    """What a planned change would do on this node: the answer to a plan request."""

    id: str
    """The request."""
    expires: str
    """When this answer is removed."""
    problem: str | None = None
    """Why the request was not answered."""
    sysctls: tuple[PlannedSysctl, ...] = ()
    """Sysctls that would be set or released."""
    oom_score_adjustments: tuple[PlannedAdjustment, ...] = ()
    """oom_score_adj entries that would be in force."""
    restored_processes: int = 0
    """Processes that would get their original oom_score_adj back."""
    choice_before: str | None = None
    """What an OOM of the whole node does now."""
    choice_after: str | None = None
    """What it would do after the change."""
    processes: tuple[PlannedProcess, ...] = ()
    """The 10 processes that would be killed first now, and the 10 after the change."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "id": Bound(max_length=64),
        "problem": Bound(max_length=256),
        "sysctls": Bound(max_items=12),
        "oom_score_adjustments": Bound(max_items=32),
        "restored_processes": Bound(minimum=0),
        "processes": Bound(max_items=20),
    }


class OOMNodeStatus(Record, frozen=True, kw_only=True):
    """State of the node. Written only on change; there is no heartbeat."""

    observed_generation: int | None = None
    """metadata.generation that this status was made from."""
    agent_version: str | None = None
    """Version of the agent."""
    kernel: KernelFacts | None = None
    """The node's kernel and memory."""
    kubelet: KubeletFacts | None = None
    """Configuration of the node's kubelet, as far as it could be read."""
    sysctls: tuple[ObservedSysctl, ...] = ()
    """Sysctls that a policy sets on this node."""
    oom_score_adjustments: tuple[ObservedAdjustment, ...] = ()
    """oom_score_adj entries of this node and their state."""
    counters: Counters | None = None
    """Kill accounting."""
    last_panic: LastPanic | None = None
    """The last OOM panic; absent if none was found."""
    recent_panics: tuple[str, ...] = ()
    """Times of the last 10 OOM panics, oldest first."""
    history: KillHistory | None = None
    """Recorded kills per hour, including those whose incident is gone; absent before the first kill."""
    plan: NodePlan | None = None
    """Answer to a plan request; removed when it expires, after ten minutes at the latest."""
    conditions: tuple[Condition, ...] = ()
    """Applied, Degraded, Persistent, KernelLogReadable, KillsTraced, Supported, StateStored, ClockInSync."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "observed_generation": Bound(minimum=0),
        "agent_version": Bound(max_length=64),
        "sysctls": Bound(max_items=12),
        "oom_score_adjustments": Bound(max_items=32),
        "recent_panics": Bound(max_items=10),
        "conditions": Bound(max_items=8),
    }


class OOMNode(Record, frozen=True, kw_only=True):
    """An OOMNode holds the sysctls and oom_score_adj that policies set on one node, and their state there.
    The controller creates it under the node's name; it is deleted with the node."""

    api_version: str = "oomkeeper.dev/v1alpha1"
    """Version of this schema: oomkeeper.dev/v1alpha1."""
    metadata: ObjectMeta
    """Standard object metadata."""
    kind: str = "OOMNode"
    """OOMNode."""
    spec: OOMNodeSpec = field(default_factory=OOMNodeSpec)
    """Desired settings of this node; written by the controller."""
    status: OOMNodeStatus | None = None
    """State of the node; written by the agent."""
