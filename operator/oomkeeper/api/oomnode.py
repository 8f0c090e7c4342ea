"""OOMNode: one node's desired settings, written by the controller, and state, written by its agent."""

from typing import Annotated, Literal

from pydantic import Field

from oomkeeper.model.cause import Cause
from oomkeeper.model.policy import AdjustmentState, Mode, OnRelease, OOMChoice, Persistence, SysctlState
from oomkeeper.model.sysctl_allow_list import SYSCTLS

from .adjustment import OOMScoreAdjustment
from .base import ApiModel
from .meta import AGE, ApiObject, Column, Conditions, Resource, condition_column
from .oomincident import FullHour
from .oompolicy import Acknowledgements
from .rules import ListMap
from .scalars import (
    Bytes,
    Comm,
    Count,
    DnsLabel,
    Line,
    Message,
    Name,
    OomScoreAdj,
    Pid,
    Quantity,
    Timestamp,
    Token,
)
from .sysctl_schema import SysctlName, item_rule


class PanicLimit(ApiModel):
    """After how many OOM panics the node sets vm.panic_on_oom to 0 by itself."""

    max_panics: Annotated[int, Field(ge=0, le=100)]
    """More panics than this do so."""
    window_seconds: Annotated[int, Field(ge=60, le=7 * 86400)]
    """Time over which they are counted."""
    counted_from: Timestamp
    """Earlier panics do not count. Another time here resets the node."""


class DesiredSysctl(ApiModel):
    """One desired value, after conflicts between policies were resolved."""

    name: SysctlName
    """Kernel name."""
    value: int
    """Desired value."""
    policy: Name
    """The OOMPolicy that sets this sysctl on this node."""
    mode: Mode = Mode.ENFORCE
    """Enforce or Audit, from the policy."""
    persistence: Persistence = Persistence.RUNTIME
    """Runtime or Persistent, from the policy."""
    on_release: OnRelease = OnRelease.RESTORE
    """Restore or Keep, from the policy."""
    acknowledge: Acknowledgements = ()
    """Consequences that the policy accepts."""
    panic_limit: PanicLimit | None = None
    """Only with vm.panic_on_oom 1 or 2 in mode Enforce: the panic breaker, which the node applies to its own
    panics also while the API server is unreachable."""

    rules = tuple(item_rule(rule) for rule in SYSCTLS)


class DesiredAdjustment(OOMScoreAdjustment):
    """One desired oom_score_adj."""

    policy: Name
    """The OOMPolicy that sets it."""
    mode: Mode = Mode.ENFORCE
    """Enforce or Audit, from the policy."""
    on_release: OnRelease = OnRelease.RESTORE
    """Restore or Keep, from the policy."""


class OOMNodeSpec(ApiModel):
    """Desired settings of this node."""

    sysctls: Annotated[tuple[DesiredSysctl, ...], Field(max_length=32), ListMap("name")] = ()
    """Desired values, one per sysctl."""
    oom_score_adjustments: Annotated[
        tuple[DesiredAdjustment, ...], Field(max_length=32), ListMap("policy", "name")
    ] = ()
    """Desired oom_score_adj. The first entry in mode Enforce that selects a process decides."""
    host_kills: bool = True
    """Whether this node's agent publishes kills outside every node's own cgroups. Of the nodes that share a
    kernel (kind), exactly one does."""


class KernelFacts(ApiModel):
    """The node's kernel and memory."""

    release: Line | None = None
    """uname -r."""
    boot_id: Token | None = None
    """/proc/sys/kernel/random/boot_id; equal on nodes that share one kernel."""
    cgroup_version: Annotated[int, Field(ge=1, le=2)] | None = None
    """1 or 2: where the memory controller is."""
    page_size_bytes: Bytes | None = None
    """Size of a page."""
    memory: Quantity | None = None
    """RAM that the kernel manages."""
    swap: Quantity | None = None
    """Swap space."""
    cpus: Count | None = None
    """CPUs online."""
    numa_nodes: Count | None = None
    """NUMA nodes with memory."""


class KubeletFacts(ApiModel):
    """Configuration of the node's kubelet, as far as it could be read."""

    version: Token | None = None
    """Version."""
    protect_kernel_defaults: bool | None = None
    """True: kubelet refuses to start if vm.panic_on_oom, vm.overcommit_memory or kernel.panic differ from its
    own values."""
    single_process_oom_kill: bool | None = None
    """True: an OOM kill ends one process; false: it ends the whole container (memory.oom.group)."""
    eviction_hard: Annotated[dict[str, Annotated[str, Field(max_length=32)]], Field(max_length=16)] | None = (
        None
    )
    """Hard eviction thresholds, such as memory.available: 100Mi."""
    config_file: Annotated[str, Field(max_length=512)] | None = None
    """File that this was read from."""


class ObservedSysctl(ApiModel):
    """One sysctl on this node."""

    name: SysctlName
    """Kernel name."""
    desired: int | None = None
    """Desired value."""
    actual: int | None = None
    """Value in force; absent where it cannot be read."""
    original: int | None = None
    """Value before oomkeeper first wrote it."""
    policy: Name | None = None
    """OOMPolicy that sets it."""
    mode: Mode | None = None
    """Enforce or Audit."""
    state: SysctlState
    """InSync; Drifted: another process wrote another value; Pending: not yet written; Refused: not applied,
    see reason; Unsupported: this kernel does not have the setting; Audited: mode is Audit and the value
    differs."""
    reason: Token | None = None
    """Why, as one CamelCase word."""
    message: Annotated[str, Field(max_length=880)] | None = None
    """Why, for people."""
    persisted: bool | None = None
    """Whether the drop-in under /etc/sysctl.d contains it."""
    drift_count: Count | None = None
    """How often another process changed it."""
    last_drift_time: Timestamp | None = None
    """When another process last changed it."""
    suspected_writer: Line | None = None
    """The process that probably changed it, such as kubelet."""


class ObservedAdjustment(ApiModel):
    """One oom_score_adj entry on this node. Counts are of processes; a change of counts alone is written at
    most every five minutes."""

    policy: Name
    """OOMPolicy that sets it."""
    name: DnsLabel
    """Name of the entry in that policy."""
    value: OomScoreAdj | None = None
    """Desired value."""
    mode: Mode | None = None
    """Enforce or Audit."""
    state: AdjustmentState
    """InSync: every selected process has the value or is decided by another entry; Drifted: another process
    keeps writing another value, so enforcement is paused; Pending: not all processes are known yet; Refused:
    not applied, see reason; Audited: mode is Audit and a process differs."""
    reason: Token | None = None
    """Why, as one CamelCase word."""
    message: Annotated[str, Field(max_length=200)] | None = None
    """Why, for people."""
    pods: Count | None = None
    """Pods of this node with a container that it selects; absent where it does not select pods."""
    in_force: Count | None = None
    """Selected processes that have the value."""
    failed: Count | None = None
    """Selected processes that have another value against it."""
    overridden: Count | None = None
    """Selected processes to which an entry of higher precedence gives another value."""
    overridden_by: Annotated[str, Field(max_length=320)] | None = None
    """One of those entries, as POLICY/NAME."""
    differing: Count | None = None
    """mode Audit: selected processes that have another value."""


class Counters(ApiModel):
    """Kill accounting: kernelKills = recorded + unattributed."""

    kernel_kills: Count | None = None
    """Kills that the kernel counted (/proc/vmstat oom_kill) since accounting began."""
    recorded: Count | None = None
    """Of these, kills with a record."""
    unattributed: Count | None = None
    """Of these, kills without a record."""
    lost_log_records: Count | None = None
    """Kernel log records that were overwritten before they could be read."""
    lost_trace_records: Count | None = None
    """Records of killed processes in the kernel's trace that were overwritten before they could be read."""
    before_install: Count | None = None
    """Kills before the agent's first start that were found in the kernel log and in container statuses; not
    among kernelKills."""
    panics: Count | None = None
    """OOM panics of this node found in pstore; the kernel does not count them as kills."""
    since: Timestamp | None = None
    """When accounting began."""


class LastPanic(ApiModel):
    """The last OOM panic of the node, from pstore. The full record is an OOMIncident (outcome Panicked)."""

    time: Timestamp
    """When the kernel wrote the record."""
    boot_id: Token | None = None
    """The boot that ended with it; absent where no agent ran during that boot."""
    cause: Cause
    """Cause of the panic."""
    message: Message | None = None
    """The incident's summary."""


class KillHistory(ApiModel):
    """Recorded kills per hour over at most a week."""

    first_hour: FullHour
    """Start of the first hour."""
    kills: Annotated[tuple[Annotated[int, Field(ge=0, le=9_999_999)], ...], Field(max_length=168)]
    """Kills in that hour and in each one after it, up to the last hour with a kill."""


class PlannedSysctl(ApiModel):
    """One sysctl before and after the planned change."""

    name: SysctlName
    """Kernel name."""
    before: int | None = None
    """Value in force; absent where it cannot be read."""
    after: int | None = None
    """Value that would be in force."""
    policy: Name | None = None
    """OOMPolicy that would set it; absent where none does any more."""
    state: SysctlState | None = None
    """State that it would have; absent where no policy sets it any more."""
    reason: Token | None = None
    """Why it would not be applied, as one CamelCase word."""
    message: Annotated[str, Field(max_length=300)] | None = None
    """Why, for people."""


class PlannedAdjustment(ApiModel):
    """One oom_score_adj entry after the planned change. Counts are of processes."""

    policy: Name
    """OOMPolicy that would set it."""
    name: DnsLabel
    """Name of the entry in that policy."""
    selected: Count = 0
    """Processes that it selects now."""
    changing: Count = 0
    """Of these, processes that would get another value."""
    overridden: Count = 0
    """Selected processes to which an entry of higher precedence gives another value."""
    state: AdjustmentState
    """InSync: it would be in force; Refused: it would not be applied; Pending: not all processes are known;
    Audited: mode is Audit, and `changing` counts the processes that differ."""
    reason: Token | None = None
    """Why it would not be applied, or select no process."""
    message: Annotated[str, Field(max_length=120)] | None = None
    """Why, for people."""


class PlannedProcess(ApiModel):
    """One process by the kernel's order of victims."""

    pid: Pid
    """Process id."""
    comm: Comm
    """Its name. A process chooses it."""
    where: Annotated[str, Field(max_length=200)] | None = None
    """NAMESPACE/POD and container, or the systemd unit."""
    memory_bytes: Bytes
    """Resident, swapped and page tables, which is what the kernel counts."""
    adj_before: OomScoreAdj
    """oom_score_adj now."""
    adj_after: OomScoreAdj
    """oom_score_adj after the change."""
    score_before: Annotated[int, Field(ge=-9999, le=9999)]
    """/proc/PID/oom_score now."""
    score_after: Annotated[int, Field(ge=-9999, le=9999)]
    """/proc/PID/oom_score after the change."""
    rank_before: Annotated[int, Field(ge=1, le=10)] | None = None
    """Place in the order of victims now; absent beyond the first 10."""
    rank_after: Annotated[int, Field(ge=1, le=10)] | None = None
    """Place after the change."""


class NodePlan(ApiModel):
    """What a planned change would do on this node: the answer to a plan request."""

    id: Token
    """The request."""
    expires: Timestamp
    """When this answer is removed."""
    problem: Line | None = None
    """Why the request was not answered."""
    sysctls: Annotated[tuple[PlannedSysctl, ...], Field(max_length=12), ListMap("name")] = ()
    """Sysctls that would be set or released."""
    oom_score_adjustments: Annotated[
        tuple[PlannedAdjustment, ...], Field(max_length=32), ListMap("policy", "name")
    ] = ()
    """oom_score_adj entries that would be in force."""
    restored_processes: Count = 0
    """Processes that would get their original oom_score_adj back."""
    choice_before: OOMChoice | None = None
    """What an OOM of the whole node does now."""
    choice_after: OOMChoice | None = None
    """What it would do after the change."""
    processes: Annotated[tuple[PlannedProcess, ...], Field(max_length=20), ListMap("pid")] = ()
    """The 10 processes that would be killed first now, and the 10 after the change."""


class OOMNodeStatus(ApiModel):
    """State of the node. Written only on change; there is no heartbeat."""

    observed_generation: Count | None = None
    """metadata.generation that this status was made from."""
    agent_version: Token | None = None
    """Version of the agent."""
    kernel: KernelFacts | None = None
    """The node's kernel and memory."""
    kubelet: KubeletFacts | None = None
    """Configuration of the node's kubelet, as far as it could be read."""
    sysctls: Annotated[tuple[ObservedSysctl, ...], Field(max_length=12), ListMap("name")] = ()
    """Sysctls that a policy sets on this node."""
    oom_score_adjustments: Annotated[
        tuple[ObservedAdjustment, ...], Field(max_length=32), ListMap("policy", "name")
    ] = ()
    """oom_score_adj entries of this node and their state."""
    counters: Counters | None = None
    """Kill accounting."""
    last_panic: LastPanic | None = None
    """The last OOM panic; absent if none was found."""
    recent_panics: Annotated[tuple[Timestamp, ...], Field(max_length=10)] = ()
    """Times of the last 10 OOM panics, oldest first."""
    history: KillHistory | None = None
    """Recorded kills per hour, including those whose incident is gone; absent before the first kill."""
    plan: NodePlan | None = None
    """Answer to a plan request; removed when it expires, after ten minutes at the latest."""
    conditions: Conditions = ()
    """Applied, Degraded, Persistent, KernelLogReadable, KillsTraced, Supported, StateStored,
    ClockInSync."""


class OOMNode(ApiObject):
    """An OOMNode holds the sysctls and oom_score_adj that policies set on one node, and their state there.
    The controller creates it under the node's name; it is deleted with the node."""

    resource = Resource(
        kind="OOMNode",
        plural="oomnodes",
        short="oomn",
        namespaced=False,
        spec_writer="the controller",
        status_writer="the agent of the node",
        columns=(
            condition_column("Applied"),
            condition_column("Degraded"),
            Column(name="Kernel", path=".status.kernel.release", what="uname -r."),
            Column(
                name="Cgroup",
                path=".status.kernel.cgroupVersion",
                type="integer",
                what="cgroup version, 1 or 2.",
            ),
            Column(
                name="Kills",
                path=".status.counters.kernelKills",
                type="integer",
                what="OOM kills counted by the kernel.",
            ),
            Column(
                name="Unattributed",
                path=".status.counters.unattributed",
                type="integer",
                what="Kills without a record.",
            ),
            AGE,
            Column(
                name="Lost",
                path=".status.counters.lostLogRecords",
                type="integer",
                what="Kernel log records lost.",
                wide=True,
            ),
            Column(
                name="Panics",
                path=".status.counters.panics",
                type="integer",
                what="OOM panics found in pstore.",
                wide=True,
            ),
            Column(
                name="Boot-ID",
                path=".status.kernel.bootID",
                what="Equal on nodes that share a kernel.",
                wide=True,
            ),
        ),
    )

    kind: Literal["OOMNode"] = "OOMNode"
    """OOMNode."""
    spec: OOMNodeSpec = Field(default_factory=OOMNodeSpec)
    """Desired settings of this node; written by the controller."""
    status: OOMNodeStatus | None = None
    """State of the node; written by the agent."""
