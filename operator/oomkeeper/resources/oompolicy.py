"""Generated from `oomkeeper.api.oompolicy` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from .adjustment import OOMScoreAdjustment
from .meta import Condition, ObjectMeta
from .record import Bound, Record
from .selector import LabelSelector


class Canary(Record, frozen=True, kw_only=True):
    """Nodes that change before the others."""

    node_selector: LabelSelector
    """Which nodes of the policy, by their labels. The others wait until at least one of these has the
    values, no further one can change now, and all that have changed have soaked. If it selects no node
    of the policy, all nodes wait."""
    soak_seconds: int | None = None
    """Seconds to wait after the last of them is in sync; absent: soakSeconds of the rollout."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "soak_seconds": Bound(minimum=0, maximum=604800),
    }


class Rollout(Record, frozen=True, kw_only=True):
    """How a change is rolled out to the nodes."""

    max_concurrent: int | str = "100%"
    """Nodes that may change at the same time: a number, or a share of the matched nodes rounded up. Nodes
    that share a kernel change together. A deleted, suspended or auditing policy, and vm.panic_on_oom 0,
    apply to all nodes immediately."""
    soak_seconds: int = 0
    """Seconds to wait after a batch of nodes is in sync, before the next."""
    canary: Canary | None = None
    """Nodes that change first."""
    halt_on_failure: bool = True
    """Whether a changed node that refuses, is overwritten repeatedly, stops reporting or is not Ready
    stops the rollout, and more OOM kills than before while changed nodes soak; false skips and counts
    such nodes and ignores the kills. With maxConcurrent 100% and soakSeconds 0 all nodes change
    immediately, so there is nothing to stop."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "max_concurrent": Bound(max_length=4),
        "soak_seconds": Bound(minimum=0, maximum=86400),
    }


class PanicSafety(Record, frozen=True, kw_only=True):
    """Safeguards for values that can take a node down."""

    acknowledge: tuple[str, ...] = ()
    """Consequences accepted. KubeletConflict: kubelet writes another value at each of its starts.
    NodePanic: a node out of memory panics. ContainerLimitPanicsNode: a container that reaches its limit
    panics the node."""
    max_panics: int = 1
    """More OOM panics than this within `window` on the nodes of the policy set vm.panic_on_oom to 0 on all
    of them, until you reset it. The policy must be in mode Enforce and set vm.panic_on_oom to 1 or 2."""
    window: str = "1h"
    """Time over which panics are counted, 1m to 168h. A panic counts once its node has rebooted and its
    agent has reported it; at most the last 10 of a node count for the policy, but for the node itself
    all do."""
    cordon: bool = False
    """Whether a node that panicked on OOM is cordoned until it was Ready for rollout.soakSeconds, which
    must then be more than 0. Only where the controller may cordon nodes (chart value
    controller.cordonNodes); the condition CordonsNodes says if it may not. A node that someone else
    cordoned stays cordoned."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "acknowledge": Bound(max_items=3),
        "max_panics": Bound(minimum=0, maximum=100),
        "window": Bound(max_length=16),
    }


class OOMPolicySpec(Record, frozen=True, kw_only=True):
    """Desired settings. Where policies overlap, each sysctl and each process is decided separately."""

    priority: int = 100
    """Per sysctl, and per process, the policy with the highest priority wins; among equals the older one,
    then the first by name."""
    node_selector: LabelSelector | None = None
    """Nodes by their labels; absent or empty selects every Linux node."""
    mode: str = "Enforce"
    """Enforce sets the values and corrects drift. Audit changes nothing and reports what differs."""
    suspend: bool = False
    """While true the policy is treated as if it did not exist; onRelease decides what happens to its
    values."""
    sysctls: dict[str, int] = field(default_factory=dict)
    """Kernel settings to keep, by their kernel names:"""
    persistence: str = "Runtime"
    """Runtime writes /proc/sys, and again after each boot. Persistent also keeps a drop-in under
    /etc/sysctl.d."""
    on_release: str = "Restore"
    """When no policy sets a value any more: Restore writes the original value, Keep leaves it."""
    oom_score_adjustments: tuple[OOMScoreAdjustment, ...] = ()
    """oom_score_adj of pods, systemd units and processes. The first entry that selects a process decides."""
    rollout: Rollout = field(default_factory=Rollout)
    """How a change is rolled out to the nodes."""
    panic_safety: PanicSafety = field(default_factory=PanicSafety)
    """Safeguards for values that can take a node down."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "priority": Bound(minimum=-1000000, maximum=1000000),
        "sysctls": Bound(max_items=11),
        "oom_score_adjustments": Bound(max_items=32),
    }


class NodeCounts(Record, frozen=True, kw_only=True):
    """Nodes of the policy by state. A node counts once, by its worst sysctl or adjustment."""

    matched: int = 0
    """Nodes that the selector selects."""
    in_sync: int = 0
    """Nodes where every value of this policy is in force."""
    drifted: int = 0
    """Nodes where a value differs: another process wrote it, or mode is Audit."""
    pending: int = 0
    """Nodes whose agent has not reported on the latest spec, or that a rollout has not reached yet."""
    refused: int = 0
    """Nodes whose agent does not apply a value; the OOMNode states the reason."""
    unsupported: int = 0
    """Nodes whose kernel does not have the setting."""
    overridden: int = 0
    """Nodes where another policy sets a different value."""
    unreachable: int = 0
    """Nodes that are not Ready."""
    agent_silent: int = 0
    """Nodes whose agent's pod is not ready for more than a minute: it died, hangs or cannot start."""
    unmanaged: int = 0
    """Nodes without an agent's pod."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "matched": Bound(minimum=0),
        "in_sync": Bound(minimum=0),
        "drifted": Bound(minimum=0),
        "pending": Bound(minimum=0),
        "refused": Bound(minimum=0),
        "unsupported": Bound(minimum=0),
        "overridden": Bound(minimum=0),
        "unreachable": Bound(minimum=0),
        "agent_silent": Bound(minimum=0),
        "unmanaged": Bound(minimum=0),
    }


class ExampleNode(Record, frozen=True, kw_only=True):
    """One node where the policy is not in force."""

    name: str
    """Node."""
    state: str
    """Its state: Drifted, Pending, Refused, Unsupported, Overridden, Unreachable, AgentSilent, Unmanaged."""
    message: str | None = None
    """Message from its OOMNode."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "name": Bound(max_length=253),
        "state": Bound(max_length=64),
        "message": Bound(max_length=512),
    }


class Overridden(Record, frozen=True, kw_only=True):
    """A sysctl of this policy that another policy overrides on some nodes."""

    sysctl: str
    """Kernel name."""
    by: str
    """The policy that wins."""
    nodes: int
    """Nodes on which it wins."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "by": Bound(max_length=253),
        "nodes": Bound(minimum=0),
    }


class AdjustmentTotals(Record, frozen=True, kw_only=True):
    """One oom_score_adj entry over all nodes of the policy. Except for nodes and pods, counts are of
    processes."""

    name: str
    """Name of the entry."""
    nodes: int = 0
    """Nodes with a process that it selects."""
    pods: int = 0
    """Pods with a container that it selects."""
    in_force: int = 0
    """Selected processes that have its value."""
    failed: int = 0
    """Selected processes that have another value against it; the OOMNodes state why."""
    overridden: int = 0
    """Selected processes to which an entry of higher precedence gives another value."""
    overridden_by: tuple[str, ...] = ()
    """Some of those entries, as POLICY/NAME; at most 2."""
    differing: int = 0
    """mode Audit: selected processes that have another value."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "name": Bound(max_length=63),
        "nodes": Bound(minimum=0),
        "pods": Bound(minimum=0),
        "in_force": Bound(minimum=0),
        "failed": Bound(minimum=0),
        "overridden": Bound(minimum=0),
        "overridden_by": Bound(max_length=320, max_items=2),
        "differing": Bound(minimum=0),
    }


class CauseCount(Record, frozen=True, kw_only=True):
    """Kills of one cause."""

    cause: str
    """Cause, as in OOMIncident."""
    kills: int
    """Kills."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "kills": Bound(minimum=0),
    }


class WorkloadKills(Record, frozen=True, kw_only=True):
    """Kills of one workload."""

    namespace: str | None = None
    """Namespace; absent for host processes."""
    kind: str
    """Kind of the workload."""
    name: str
    """Name of the workload."""
    kills: int
    """Kills."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "namespace": Bound(max_length=63),
        "kind": Bound(max_length=64),
        "name": Bound(max_length=253),
        "kills": Bound(minimum=0),
    }


class LastKill(Record, frozen=True, kw_only=True):
    """The most recent kill."""

    time: str
    """When."""
    namespace: str | None = None
    """Namespace of the incident."""
    incident: str | None = None
    """Name of the OOMIncident."""
    cause: str | None = None
    """Cause."""
    workload: str | None = None
    """Workload as Kind/name; absent for host processes."""
    node: str | None = None
    """Node."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "namespace": Bound(max_length=63),
        "incident": Bound(max_length=253),
        "workload": Bound(max_length=320),
        "node": Bound(max_length=253),
    }


class OOMSummary(Record, frozen=True, kw_only=True):
    """OOM kills on the nodes of the policy."""

    window: str = "24h"
    """Time that the counts cover, to the full hour."""
    kills: int = 0
    """Kills."""
    by_cause: tuple[CauseCount, ...] = ()
    """Kills by cause, most first."""
    top_workloads: tuple[WorkloadKills, ...] = ()
    """Workloads with the most kills, at most 5."""
    last_kill: LastKill | None = None
    """The most recent kill."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "window": Bound(max_length=16),
        "kills": Bound(minimum=0),
        "by_cause": Bound(max_items=18),
        "top_workloads": Bound(max_items=5),
    }


class RolloutStatus(Record, frozen=True, kw_only=True):
    """How far the last change of the policy's values is."""

    generation: int
    """metadata.generation whose values are rolled out."""
    phase: str
    """Progressing: nodes are changing; Soaking: the last batch is in sync for less than soakSeconds;
    Halted: a node failed, or OOM kills increased; Paused: by the annotation oomkeeper.dev/rollout;
    Complete."""
    updated: int = 0
    """Nodes that have been given the values of this generation."""
    total: int = 0
    """Nodes that the policy selects."""
    failed: int = 0
    """Changed nodes that failed and were skipped; only with haltOnFailure false."""
    joining: bool = False
    """Whether every node had the values before, and only nodes that joined later are changing. Then nodes
    that have failed since do not stop it."""
    progress: str = "0/0"
    """`updated` of `total`, such as 3/10."""
    halted_node: str | None = None
    """The node that stopped the rollout; for OOM kills the one with most killed workloads."""
    reason: str
    """Why it is in this phase, as one CamelCase word."""
    message: str = ""
    """Why, for people."""
    since: str
    """Start of the phase; while Progressing, of the last batch."""
    request: str | None = None
    """Value of the annotation oomkeeper.dev/rollout that was read last."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "generation": Bound(minimum=0),
        "updated": Bound(minimum=0),
        "total": Bound(minimum=0),
        "failed": Bound(minimum=0),
        "progress": Bound(max_length=16),
        "halted_node": Bound(max_length=253),
        "reason": Bound(max_length=64),
        "message": Bound(max_length=1024),
        "request": Bound(max_length=64),
    }


class CompletedRollout(Record, frozen=True, kw_only=True):
    """A spec that every node of the policy was given, for `kubectl oom rollout undo`."""

    generation: int
    """metadata.generation of the spec."""
    completed_at: str
    """When its rollout was complete."""
    spec: str | None = None
    """The spec as JSON; absent if it is longer than 4096 characters."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "generation": Bound(minimum=0),
        "spec": Bound(max_length=4096),
    }


class PanicBreakerStatus(Record, frozen=True, kw_only=True):
    """State of the panic breaker: panicSafety.maxPanics and panicSafety.window."""

    generation: int
    """metadata.generation that it was decided for. A new one resets a breaker that has tripped."""
    tripped: bool = False
    """Whether vm.panic_on_oom is 0 on every node of the policy because of too many panics."""
    tripped_at: str | None = None
    """When it tripped."""
    panics: int = 0
    """Panics within the window; after it tripped, those that tripped it."""
    counted_from: str
    """Earlier panics do not count."""
    request: str | None = None
    """Value of the annotation oomkeeper.dev/panic-breaker that was read last."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "generation": Bound(minimum=0),
        "panics": Bound(minimum=0),
        "request": Bound(max_length=64),
    }


class OOMPolicyStatus(Record, frozen=True, kw_only=True):
    """State of the nodes and their OOM kills. Counts, never a list per node."""

    observed_generation: int | None = None
    """metadata.generation that this status was made from."""
    conditions: tuple[Condition, ...] = ()
    """Ready: the values are in force; Progressing; Degraded; Conflicted; Reconciling, only during a
    rollout; Stalled, only while it is halted or the panic breaker has tripped; PanicBreaker, only while
    that has tripped; CordonsNodes, only while panicSafety.cordon has no effect; UnknownFields, only if
    the spec has fields that this version ignores."""
    nodes: NodeCounts | None = None
    """Nodes of the policy by their state."""
    rollout: RolloutStatus | None = None
    """How far the last change is; absent while the policy is suspended."""
    completed_rollouts: tuple[CompletedRollout, ...] = ()
    """The last two specs with different values whose rollouts were complete, newest first."""
    panic_breaker: PanicBreakerStatus | None = None
    """The panic breaker, if the policy enforces vm.panic_on_oom 1 or 2."""
    drifts: int = 0
    """Times that another process changed a value of this policy on its nodes, as their agents counted."""
    example_nodes: tuple[ExampleNode, ...] = ()
    """At most 10 nodes where the policy is not in force, worst first."""
    overridden: tuple[Overridden, ...] = ()
    """Sysctls of this policy that another policy overrides on at least one node."""
    oom_score_adjustments: tuple[AdjustmentTotals, ...] = ()
    """State of the oom_score_adj entries."""
    oom: OOMSummary | None = None
    """OOM kills on its nodes in the last 24 hours."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "observed_generation": Bound(minimum=0),
        "conditions": Bound(max_items=8),
        "completed_rollouts": Bound(max_items=2),
        "drifts": Bound(minimum=0),
        "example_nodes": Bound(max_items=10),
        "overridden": Bound(max_items=32),
        "oom_score_adjustments": Bound(max_items=32),
    }


class OOMPolicy(Record, frozen=True, kw_only=True):
    """An OOMPolicy declares out-of-memory settings for a set of nodes. oomkeeper enforces them and counts
    the OOM kills of those nodes in the status."""

    api_version: str = "oomkeeper.dev/v1alpha1"
    """Version of this schema: oomkeeper.dev/v1alpha1."""
    metadata: ObjectMeta
    """Standard object metadata."""
    kind: str = "OOMPolicy"
    """OOMPolicy."""
    spec: OOMPolicySpec
    """Desired settings."""
    status: OOMPolicyStatus | None = None
    """State of the nodes; written by the controller."""
