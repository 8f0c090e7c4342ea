"""OOMPolicy: the desired OOM settings of a set of nodes, and their state on those nodes."""

import re
from typing import Annotated, Literal

from pydantic import Field

from oomkeeper.model.cause import Cause
from oomkeeper.model.policy import Acknowledgement, Mode, OnRelease, Persistence, RolloutPhase
from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES

from .adjustment import OOMScoreAdjustment
from .base import ApiModel
from .meta import AGE, ApiObject, Column, Conditions, Resource, condition_column
from .rules import Checked, ListMap, ListSet, Rule
from .scalars import Count, DnsLabel, DurationRange, Name, Namespace, Timestamp, Token
from .selector import LabelSelector
from .sysctl_schema import SysctlMap, SysctlName

Acknowledgements = Annotated[tuple[Acknowledgement, ...], Field(max_length=3), ListSet()]

_NODES = 100_000
"""More nodes than any cluster has."""
MAX_CONCURRENT = re.compile(r"(100|[1-9][0-9]?)%")


def _holds_max_concurrent(value: int | str) -> bool:
    return 1 <= value <= _NODES if isinstance(value, int) else MAX_CONCURRENT.fullmatch(value) is not None


class Canary(ApiModel):
    """Nodes that change before the others."""

    node_selector: LabelSelector
    """Which nodes of the policy, by their labels. The others wait until at least one of these has the values,
    no further one can change now, and all that have changed have soaked. If it selects no node of the policy,
    all nodes wait."""
    soak_seconds: Annotated[int, Field(ge=0, le=604800)] | None = None
    """Seconds to wait after the last of them is in sync; absent: soakSeconds of the rollout."""


class Rollout(ApiModel):
    """How a change is rolled out to the nodes."""

    max_concurrent: Annotated[
        int | str,
        Field(json_schema_extra={"maxLength": 4}),
        Checked(
            Rule(
                cel=f"type(self) == int ? int(self) >= 1 && int(self) <= {_NODES} : "
                "string(self).matches('^(100|[1-9][0-9]?)%$')",
                message=f"write a number of nodes, 1 to {_NODES}, or a share of those matched, 1% to 100%",
                holds=_holds_max_concurrent,
            )
        ),
    ] = "100%"
    """Nodes that may change at the same time: a number, or a share of the matched nodes rounded up. Nodes
    that share a kernel change together. A deleted, suspended or auditing policy, and vm.panic_on_oom 0, apply
    to all nodes immediately."""
    soak_seconds: Annotated[int, Field(ge=0, le=86400)] = 0
    """Seconds to wait after a batch of nodes is in sync, before the next."""
    canary: Canary | None = None
    """Nodes that change first."""
    halt_on_failure: bool = True
    """Whether a changed node that refuses, is overwritten repeatedly, stops reporting or is not Ready stops
    the rollout, and more OOM kills than before while changed nodes soak; false skips and counts such nodes
    and ignores the kills. With maxConcurrent 100% and soakSeconds 0 all nodes change immediately, so there is
    nothing to stop."""


class PanicSafety(ApiModel):
    """Safeguards for values that can take a node down."""

    acknowledge: Acknowledgements = ()
    """Consequences accepted. KubeletConflict: kubelet writes another value at each of its starts. NodePanic:
    a node out of memory panics. ContainerLimitPanicsNode: a container that reaches its limit panics the
    node."""
    max_panics: Annotated[int, Field(ge=0, le=100)] = 1
    """More OOM panics than this within `window` on the nodes of the policy set vm.panic_on_oom to 0 on all of
    them, until you reset it. The policy must be in mode Enforce and set vm.panic_on_oom to 1 or 2."""
    window: Annotated[str, Field(max_length=16), DurationRange("1m", "168h")] = "1h"
    """Time over which panics are counted, 1m to 168h. A panic counts once its node has rebooted and its agent
    has reported it; at most the last 10 of a node count for the policy, but for the node itself all do."""
    cordon: bool = False
    """Whether a node that panicked on OOM is cordoned until it was Ready for rollout.soakSeconds, which must
    then be more than 0. Only where the controller may cordon nodes (chart value controller.cordonNodes); the
    condition CordonsNodes says if it may not. A node that someone else cordoned stays cordoned."""


# has() and not orValue([]): of a literal the API server's cost estimate knows no size, and refuses the rule.
_HAS_ACK = "has(self.panicSafety) && has(self.panicSafety.acknowledge)"


def _cel_value(key: str, otherwise: int) -> str:
    return f"self.?sysctls[?'{key}'].orValue({otherwise})"


def _needs(key: str, *, unless: str, values: frozenset[int] | None, ack: tuple[str, ...], why: str) -> Rule:
    """A rule that `key` needs acknowledgements: at one of `values`, or (None) at any but the value that
    kubelet writes."""
    kubelet = SYSCTL_RULES[key].kubelet_value
    if kubelet is None:
        raise ValueError(f"kubelet does not write {key}")

    def holds(spec: "OOMPolicySpec") -> bool:
        value = spec.sysctls.get(key, kubelet)
        risky = value != kubelet if values is None else value in values
        return not risky or set(ack) <= {str(given) for given in spec.panic_safety.acknowledge}

    harmless = (
        f"{_cel_value(key, kubelet)} == {kubelet}"
        if values is None
        else f"!({_cel_value(key, kubelet)} in {sorted(values)})"
    )
    accepted = " && ".join([_HAS_ACK, *(f"'{name}' in self.panicSafety.acknowledge" for name in ack)])
    return Rule(
        cel=f"{harmless} || ({accepted})",
        message=f"{why}: write {unless}, or panicSafety.acknowledge: [{', '.join(ack)}]",
        holds=holds,
        field=("sysctls", key),
    )


class OOMPolicySpec(ApiModel):
    """Desired settings. Where policies overlap, each sysctl and each process is decided separately."""

    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 100
    """Per sysctl, and per process, the policy with the highest priority wins; among equals the older one,
    then the first by name."""
    node_selector: LabelSelector | None = None
    """Nodes by their labels; absent or empty selects every Linux node."""
    mode: Mode = Mode.ENFORCE
    """Enforce sets the values and corrects drift. Audit changes nothing and reports what differs."""
    suspend: bool = False
    """While true the policy is treated as if it did not exist; onRelease decides what happens to its
    values."""
    sysctls: SysctlMap = Field(default_factory=dict)
    persistence: Persistence = Persistence.RUNTIME
    """Runtime writes /proc/sys, and again after each boot. Persistent also keeps a drop-in under
    /etc/sysctl.d."""
    on_release: OnRelease = OnRelease.RESTORE
    """When no policy sets a value any more: Restore writes the original value, Keep leaves it."""
    oom_score_adjustments: Annotated[
        tuple[OOMScoreAdjustment, ...], Field(max_length=32), ListMap("name")
    ] = ()
    """oom_score_adj of pods, systemd units and processes. The first entry that selects a process decides."""
    rollout: Rollout = Field(default_factory=Rollout)
    """How a change is rolled out to the nodes."""
    panic_safety: PanicSafety = Field(default_factory=PanicSafety)
    """Safeguards for values that can take a node down."""

    rules = (
        # kubelet's three values: pkg/kubelet/cm/container_manager_linux.go setupKernelTunables.
        # What panics when: mm/oom_kill.c check_panic_on_oom().
        _needs(
            "vm.panic_on_oom",
            values=frozenset({1}),
            ack=("NodePanic", "KubeletConflict"),
            why="1 panics a node that runs out of memory, and kubelet writes 0 at each start",
            unless="0",
        ),
        _needs(
            "vm.panic_on_oom",
            values=frozenset({2}),
            ack=("ContainerLimitPanicsNode", "KubeletConflict"),
            why="2 panics the node when a container reaches its limit, and kubelet writes 0 at each start",
            unless="0",
        ),
        _needs(
            "vm.overcommit_memory",
            values=None,
            ack=("KubeletConflict",),
            why="kubelet writes 1 at each start",
            unless="1",
        ),
        _needs(
            "kernel.panic",
            values=None,
            ack=("KubeletConflict",),
            why="kubelet writes 10 at each start",
            unless="10",
        ),
        Rule(
            cel="!self.?panicSafety.?cordon.orValue(false) || self.?rollout.?soakSeconds.orValue(0) > 0",
            message="cordon needs the time after which a node is uncordoned: write rollout.soakSeconds, such "
            "as 600",
            holds=lambda self: not self.panic_safety.cordon or self.rollout.soak_seconds > 0,
            field=("panicSafety", "cordon"),
        ),
        Rule(
            cel=f"{_cel_value('vm.panic_on_oom', 0)} == 0 || {_cel_value('kernel.panic', 10)} != 0",
            message="with vm.panic_on_oom 1 or 2 a panicked node hangs forever at 0: "
            "write 1 or more seconds, such as 10",
            holds=lambda self: (
                self.sysctls.get("vm.panic_on_oom", 0) == 0 or self.sysctls.get("kernel.panic", 10) != 0
            ),
            field=("sysctls", "kernel.panic"),
        ),
    )


class NodeCounts(ApiModel):
    """Nodes of the policy by state. A node counts once, by its worst sysctl or adjustment."""

    matched: Count = 0
    """Nodes that the selector selects."""
    in_sync: Count = 0
    """Nodes where every value of this policy is in force."""
    drifted: Count = 0
    """Nodes where a value differs: another process wrote it, or mode is Audit."""
    pending: Count = 0
    """Nodes whose agent has not reported on the latest spec, or that a rollout has not reached yet."""
    refused: Count = 0
    """Nodes whose agent does not apply a value; the OOMNode states the reason."""
    unsupported: Count = 0
    """Nodes whose kernel does not have the setting."""
    overridden: Count = 0
    """Nodes where another policy sets a different value."""
    unreachable: Count = 0
    """Nodes that are not Ready."""
    agent_silent: Count = 0
    """Nodes whose agent's pod is not ready for more than a minute: it died, hangs or cannot start."""
    unmanaged: Count = 0
    """Nodes without an agent's pod."""


class ExampleNode(ApiModel):
    """One node where the policy is not in force."""

    name: Name
    """Node."""
    state: Token
    """Its state: Drifted, Pending, Refused, Unsupported, Overridden, Unreachable, AgentSilent, Unmanaged."""
    message: Annotated[str, Field(max_length=512)] | None = None
    """Message from its OOMNode."""


class Overridden(ApiModel):
    """A sysctl of this policy that another policy overrides on some nodes."""

    sysctl: SysctlName
    """Kernel name."""
    by: Name
    """The policy that wins."""
    nodes: Count
    """Nodes on which it wins."""


class AdjustmentTotals(ApiModel):
    """One oom_score_adj entry over all nodes of the policy. Except for nodes and pods, counts are of
    processes."""

    name: DnsLabel
    """Name of the entry."""
    nodes: Count = 0
    """Nodes with a process that it selects."""
    pods: Count = 0
    """Pods with a container that it selects."""
    in_force: Count = 0
    """Selected processes that have its value."""
    failed: Count = 0
    """Selected processes that have another value against it; the OOMNodes state why."""
    overridden: Count = 0
    """Selected processes to which an entry of higher precedence gives another value."""
    overridden_by: Annotated[
        tuple[Annotated[str, Field(max_length=320)], ...], Field(max_length=2), ListSet()
    ] = ()
    """Some of those entries, as POLICY/NAME; at most 2."""
    differing: Count = 0
    """mode Audit: selected processes that have another value."""


class CauseCount(ApiModel):
    """Kills of one cause."""

    cause: Cause
    """Cause, as in OOMIncident."""
    kills: Count
    """Kills."""


class WorkloadKills(ApiModel):
    """Kills of one workload."""

    namespace: Namespace | None = None
    """Namespace; absent for host processes."""
    kind: Token
    """Kind of the workload."""
    name: Name
    """Name of the workload."""
    kills: Count
    """Kills."""


class LastKill(ApiModel):
    """The most recent kill."""

    time: Timestamp
    """When."""
    namespace: Namespace | None = None
    """Namespace of the incident."""
    incident: Name | None = None
    """Name of the OOMIncident."""
    cause: Cause | None = None
    """Cause."""
    workload: Annotated[str, Field(max_length=320)] | None = None
    """Workload as Kind/name; absent for host processes."""
    node: Name | None = None
    """Node."""


class OOMSummary(ApiModel):
    """OOM kills on the nodes of the policy."""

    window: Annotated[str, Field(max_length=16)] = "24h"
    """Time that the counts cover, to the full hour."""
    kills: Count = 0
    """Kills."""
    by_cause: Annotated[tuple[CauseCount, ...], Field(max_length=len(Cause))] = ()
    """Kills by cause, most first."""
    top_workloads: Annotated[tuple[WorkloadKills, ...], Field(max_length=5)] = ()
    """Workloads with the most kills, at most 5."""
    last_kill: LastKill | None = None
    """The most recent kill."""


class RolloutStatus(ApiModel):
    """How far the last change of the policy's values is."""

    generation: Count
    """metadata.generation whose values are rolled out."""
    phase: RolloutPhase
    """Progressing: nodes are changing; Soaking: the last batch is in sync for less than soakSeconds; Halted:
    a node failed, or OOM kills increased; Paused: by the annotation oomkeeper.dev/rollout; Complete."""
    updated: Count = 0
    """Nodes that have been given the values of this generation."""
    total: Count = 0
    """Nodes that the policy selects."""
    failed: Count = 0
    """Changed nodes that failed and were skipped; only with haltOnFailure false."""
    joining: bool = False
    """Whether every node had the values before, and only nodes that joined later are changing. Then nodes
    that have failed since do not stop it."""
    progress: Annotated[str, Field(max_length=16)] = "0/0"
    """`updated` of `total`, such as 3/10."""
    halted_node: Name | None = None
    """The node that stopped the rollout; for OOM kills the one with most killed workloads."""
    reason: Token
    """Why it is in this phase, as one CamelCase word."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why, for people."""
    since: Timestamp
    """Start of the phase; while Progressing, of the last batch."""
    request: Annotated[str, Field(max_length=64)] | None = None
    """Value of the annotation oomkeeper.dev/rollout that was read last."""


class CompletedRollout(ApiModel):
    """A spec that every node of the policy was given, for `kubectl oom rollout undo`."""

    generation: Count
    """metadata.generation of the spec."""
    completed_at: Timestamp
    """When its rollout was complete."""
    spec: Annotated[str, Field(max_length=4096)] | None = None
    """The spec as JSON; absent if it is longer than 4096 characters."""


class PanicBreakerStatus(ApiModel):
    """State of the panic breaker: panicSafety.maxPanics and panicSafety.window."""

    generation: Count
    """metadata.generation that it was decided for. A new one resets a breaker that has tripped."""
    tripped: bool = False
    """Whether vm.panic_on_oom is 0 on every node of the policy because of too many panics."""
    tripped_at: Timestamp | None = None
    """When it tripped."""
    panics: Count = 0
    """Panics within the window; after it tripped, those that tripped it."""
    counted_from: Timestamp
    """Earlier panics do not count."""
    request: Annotated[str, Field(max_length=64)] | None = None
    """Value of the annotation oomkeeper.dev/panic-breaker that was read last."""


class OOMPolicyStatus(ApiModel):
    """State of the nodes and their OOM kills. Counts, never a list per node."""

    observed_generation: Count | None = None
    """metadata.generation that this status was made from."""
    conditions: Conditions = ()
    """Ready: the values are in force; Progressing; Degraded; Conflicted; Reconciling, only during a rollout;
    Stalled, only while it is halted or the panic breaker has tripped; PanicBreaker, only while that has
    tripped; CordonsNodes, only while panicSafety.cordon has no effect; UnknownFields, only if the spec has
    fields that this version ignores."""
    nodes: NodeCounts | None = None
    """Nodes of the policy by their state."""
    rollout: RolloutStatus | None = None
    """How far the last change is; absent while the policy is suspended."""
    completed_rollouts: Annotated[tuple[CompletedRollout, ...], Field(max_length=2)] = ()
    """The last two specs with different values whose rollouts were complete, newest first."""
    panic_breaker: PanicBreakerStatus | None = None
    """The panic breaker, if the policy enforces vm.panic_on_oom 1 or 2."""
    drifts: Count = 0
    """Times that another process changed a value of this policy on its nodes, as their agents counted."""
    example_nodes: Annotated[tuple[ExampleNode, ...], Field(max_length=10)] = ()
    """At most 10 nodes where the policy is not in force, worst first."""
    overridden: Annotated[tuple[Overridden, ...], Field(max_length=32)] = ()
    """Sysctls of this policy that another policy overrides on at least one node."""
    oom_score_adjustments: Annotated[tuple[AdjustmentTotals, ...], Field(max_length=32), ListMap("name")] = ()
    """State of the oom_score_adj entries."""
    oom: OOMSummary | None = None
    """OOM kills on its nodes in the last 24 hours."""


class OOMPolicy(ApiObject):
    """An OOMPolicy declares out-of-memory settings for a set of nodes. oomkeeper enforces them and counts the
    OOM kills of those nodes in the status."""

    resource = Resource(
        kind="OOMPolicy",
        plural="oompolicies",
        short="oomp",
        namespaced=False,
        spec_writer="you",
        status_writer="the controller",
        columns=(
            Column(name="Mode", path=".spec.mode", what="Enforce or Audit."),
            Column(name="Suspended", path=".spec.suspend", type="boolean", what="Whether it is suspended."),
            Column(
                name="Priority", path=".spec.priority", type="integer", what="Per sysctl, the highest wins."
            ),
            Column(name="Matched", path=".status.nodes.matched", type="integer", what="Nodes selected."),
            Column(
                name="InSync",
                path=".status.nodes.inSync",
                type="integer",
                what="Nodes where every value is in force.",
            ),
            Column(name="Updated", path=".status.rollout.progress", what="Nodes that a rollout has reached."),
            Column(
                name="Overridden",
                path=".status.nodes.overridden",
                type="integer",
                what="Nodes where another policy sets a different value.",
            ),
            condition_column("Ready"),
            Column(
                name="Reason",
                path='.status.conditions[?(@.type=="Ready")].reason',
                what="Reason of the condition Ready.",
            ),
            Column(
                name="Kills(24h)",
                path=".status.oom.kills",
                type="integer",
                what="OOM kills in the last 24 hours.",
            ),
            Column(
                name="Drifts",
                path=".status.drifts",
                type="integer",
                what="Times that another process changed a value.",
            ),
            AGE,
            Column(
                name="Drifted",
                path=".status.nodes.drifted",
                type="integer",
                what="Nodes that differ.",
                wide=True,
            ),
            Column(
                name="Refused",
                path=".status.nodes.refused",
                type="integer",
                what="Nodes that refuse.",
                wide=True,
            ),
            Column(
                name="Silent",
                path=".status.nodes.agentSilent",
                type="integer",
                what="Nodes whose agent is not ready.",
                wide=True,
            ),
            Column(
                name="Unmanaged",
                path=".status.nodes.unmanaged",
                type="integer",
                what="Nodes without an agent.",
                wide=True,
            ),
            Column(
                name="Conflicted",
                path='.status.conditions[?(@.type=="Conflicted")].status',
                what="Status of the condition Conflicted.",
                wide=True,
            ),
            Column(
                name="Last-Kill",
                path=".status.oom.lastKill.time",
                type="date",
                what="Time since the last kill.",
                wide=True,
            ),
        ),
    )

    kind: Literal["OOMPolicy"] = "OOMPolicy"
    """OOMPolicy."""
    spec: OOMPolicySpec
    """Desired settings."""
    status: OOMPolicyStatus | None = None
    """State of the nodes; written by the controller."""
