"""OOMNode: what one node is to do, written by the controller, and what it did, written by its agent."""

from typing import Annotated, Literal

from pydantic import Field

from oomkeeper.model.cause import Cause
from oomkeeper.model.policy import AdjustmentState, Mode, OnRelease, Persistence, SysctlState
from oomkeeper.model.sysctl import SYSCTLS

from .adjustment import OOMScoreAdjustment
from .base import ApiModel
from .meta import AGE, ApiObject, Column, Conditions, Resource, condition_column
from .oompolicy import Acknowledgements
from .rules import ListMap
from .scalars import Bytes, Count, DnsLabel, Line, Message, Name, OomScoreAdj, Quantity, Timestamp, Token
from .sysctls import SysctlName, item_rule


class DesiredSysctl(ApiModel):
    """One value that a policy asks for and no other policy overrides."""

    name: SysctlName
    """Kernel name."""
    value: int
    """Value to keep."""
    policy: Name
    """The OOMPolicy that decides this sysctl on this node."""
    mode: Mode = Mode.ENFORCE
    """Enforce or Audit, from the policy."""
    persistence: Persistence = Persistence.RUNTIME
    """Runtime or Persistent, from the policy."""
    on_release: OnRelease = OnRelease.RESTORE
    """Restore or Keep, from the policy."""
    acknowledge: Acknowledgements = ()
    """Consequences that the policy accepts."""

    rules = tuple(item_rule(rule) for rule in SYSCTLS)


class DesiredAdjustment(OOMScoreAdjustment):
    """One oom_score_adj that a policy asks for."""

    policy: Name
    """The OOMPolicy that asks for it."""
    mode: Mode = Mode.ENFORCE
    """Enforce or Audit, from the policy."""
    on_release: OnRelease = OnRelease.RESTORE
    """Restore or Keep, from the policy."""


class OOMNodeSpec(ApiModel):
    """What the policies make of this node."""

    sysctls: Annotated[tuple[DesiredSysctl, ...], Field(max_length=32), ListMap("name")] = ()
    """Values to keep, one per sysctl."""
    oom_score_adjustments: Annotated[
        tuple[DesiredAdjustment, ...], Field(max_length=32), ListMap("policy", "name")
    ] = ()
    """oom_score_adj to keep. Of two that name the same process the first decides, but for those in mode
    Audit."""
    host_kills: bool = True
    """Whether this node's agent publishes the kills of processes that are in no node's own cgroups. Of nodes
    that share a kernel (kind), one does."""


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
    """What could be read of the node's kubelet."""

    version: Token | None = None
    """Version."""
    protect_kernel_defaults: bool | None = None
    """True: kubelet refuses to start where vm.panic_on_oom, vm.overcommit_memory or kernel.panic differ from
    its own values."""
    single_process_oom_kill: bool | None = None
    """True: a kill ends one process; false: it ends the whole container (memory.oom.group)."""
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
    """Value asked for."""
    actual: int | None = None
    """Value in force; absent where it cannot be read."""
    original: int | None = None
    """Value found before oomkeeper first wrote."""
    policy: Name | None = None
    """OOMPolicy that asks for it."""
    mode: Mode | None = None
    """Enforce or Audit."""
    state: SysctlState
    """InSync; Drifted: somebody wrote another value; Pending: not yet written; Refused: not applied, see
    reason; Unsupported: this kernel has no such setting; Audited: mode is Audit and the value differs."""
    reason: Token | None = None
    """Why, as one CamelCase word."""
    message: Message | None = None
    """Why, for people."""
    persisted: bool | None = None
    """Whether the drop-in under /etc/sysctl.d holds it."""
    drift_count: Count | None = None
    """How often somebody else changed it."""
    last_drift_time: Timestamp | None = None
    """When somebody else last changed it."""
    suspected_writer: Line | None = None
    """Who probably did, such as kubelet."""


class ObservedAdjustment(ApiModel):
    """One oom_score_adj entry on this node. Counts are of processes; where nothing but they has changed, they
    are renewed every five minutes."""

    policy: Name
    """OOMPolicy that asks for it."""
    name: DnsLabel
    """Name of the entry in that policy."""
    value: OomScoreAdj | None = None
    """Value asked for."""
    mode: Mode | None = None
    """Enforce or Audit."""
    state: AdjustmentState
    """InSync: every process that it names, if any, has the value or is decided by another entry; Drifted:
    somebody keeps writing another value, so it is left to them; Pending: not all processes can be told yet;
    Refused: not applied, see reason; Audited: mode is Audit and a process differs."""
    reason: Token | None = None
    """Why, as one CamelCase word."""
    message: Annotated[str, Field(max_length=200)] | None = None
    """Why, for people."""
    pods: Count | None = None
    """Pods of this node with a container that it names; absent where it is not about pods."""
    in_force: Count | None = None
    """Processes that it names and that have the value."""
    failed: Count | None = None
    """Processes that it names and that have another value, against it."""
    overridden: Count | None = None
    """Processes that it names and an entry of higher standing gives another value."""
    overridden_by: Annotated[str, Field(max_length=320)] | None = None
    """One of those entries, as POLICY/NAME."""
    differing: Count | None = None
    """mode Audit: processes that it names and that have another value."""


class Counters(ApiModel):
    """The account of kills: kernelKills = recorded + unattributed."""

    kernel_kills: Count | None = None
    """Kills that the kernel counted (/proc/vmstat oom_kill) since the account began."""
    recorded: Count | None = None
    """Of these, kills with a record."""
    unattributed: Count | None = None
    """Of these, kills that no record explains."""
    lost_log_records: Count | None = None
    """Kernel log records that were overwritten before they could be read."""
    panics: Count | None = None
    """OOM panics of this node whose record was found in pstore; the kernel counts none of them as a kill."""
    since: Timestamp | None = None
    """When the account began."""


class LastPanic(ApiModel):
    """The last time that the node panicked for want of memory, as pstore has it. The whole of it is an
    OOMIncident with outcome Panicked."""

    time: Timestamp
    """When the kernel wrote the record."""
    boot_id: Token | None = None
    """The boot that ended with it; absent where no agent ran in it."""
    cause: Cause
    """What ran out of memory."""
    message: Message | None = None
    """The incident's summary."""


class OOMNodeStatus(ApiModel):
    """What the agent did and found. Written only on change; there is no heartbeat."""

    observed_generation: Count | None = None
    """metadata.generation that this status was made from."""
    agent_version: Token | None = None
    """Version of the agent."""
    kernel: KernelFacts | None = None
    """The node's kernel and memory."""
    kubelet: KubeletFacts | None = None
    """What could be read of the node's kubelet."""
    sysctls: Annotated[tuple[ObservedSysctl, ...], Field(max_length=12), ListMap("name")] = ()
    """The node's sysctls that a policy asks for."""
    oom_score_adjustments: Annotated[
        tuple[ObservedAdjustment, ...], Field(max_length=32), ListMap("policy", "name")
    ] = ()
    """The oom_score_adj entries that policies ask for, and how they stand."""
    counters: Counters | None = None
    """The account of kills."""
    last_panic: LastPanic | None = None
    """The last OOM panic; absent where none was found."""
    conditions: Conditions = ()
    """Applied, Degraded, Persistent, KernelLogReadable, Supported."""


class OOMNode(ApiObject):
    """An OOMNode is one node's part: the sysctls and oom_score_adj that the policies ask of it, and what its
    agent did and found. The controller creates it under the node's name, and it goes with the node."""

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
                what="Kills that no record explains.",
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
    """What the policies make of this node; written by the controller."""
    status: OOMNodeStatus | None = None
    """What the agent did and found; written by the agent."""
