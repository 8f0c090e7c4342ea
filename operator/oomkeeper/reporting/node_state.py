"""The state of each node as people ask for it: agent, settings, kill accounting, conditions. Pure.

An agent writes its OOMNode only on change, so its health is the readiness of its pod (decision 108), as the
controller judges it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from oomkeeper.model.json_types import ForeignObject, JsonDocument
from oomkeeper.model.names import AGENT_MANAGER
from oomkeeper.model.policy import AdjustmentState, Mode, SysctlState
from oomkeeper.model.times import format_time
from oomkeeper.resources.meta import Condition
from oomkeeper.resources.oomnode import Counters, OOMNode, OOMNodeStatus
from oomkeeper.resources.record import MalformedObjectError, read

from .incident import status_written_at
from .table import age_of

COLUMNS = ("NAME", "AGENT", "SINCE", "SETTINGS", "KILLS", "UNATTRIBUTED", "LOST", "CONDITIONS")
WIDE_COLUMNS = (*COLUMNS, "PANICS", "VERSION", "KERNEL", "WRITTEN", "MESSAGE")
_GOOD = {"Degraded": "False"}
"""Conditions whose good status is not True."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """State of one node's agent."""

    state: str
    """Ready, Silent, Missing (no pod on the node), or Unknown (pods may not be listed)."""
    since: str | None = None
    """When it became so, RFC 3339."""
    pod: str | None = None
    """NAMESPACE/NAME of its pod."""
    problem: str = ""
    """Why it is not ready, from its status."""


UNKNOWN_AGENT = AgentState(state="Unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What is known of one node."""

    name: str
    agent: AgentState
    node_ready: bool | None
    """Condition Ready of the Node; None where it is not known."""
    exists: bool
    """Whether there is an OOMNode."""
    status: OOMNodeStatus = field(default_factory=OOMNodeStatus)
    settings: int = 0
    """Sysctls and oom_score_adj entries that policies set here."""
    in_sync: int = 0
    """Of these, as desired (or only audited)."""
    written: str | None = None
    """When the agent last wrote the status, by the API server's clock."""
    generation: int | None = None

    @property
    def counters(self) -> Counters:
        return self.status.counters or Counters()

    @property
    def lost(self) -> int:
        return (self.counters.lost_log_records or 0) + (self.counters.lost_trace_records or 0)

    @property
    def stale(self) -> bool:
        """Whether the agent has not reported on the newest spec."""
        return self.generation is not None and (self.status.observed_generation or 0) < self.generation


def bad_conditions(conditions: Iterable[Condition]) -> list[Condition]:
    """Return the conditions of an OOMNode that report a problem."""
    return [one for one in conditions if one.status not in (_GOOD.get(one.type, "True"), "Unknown")]


def ready_condition(obj: ForeignObject) -> ForeignObject:
    """Return the condition Ready of a pod or Node; empty where it has none."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == "Ready"), {})


def node_states(
    oomnodes: Iterable[ForeignObject],
    *,
    nodes: Iterable[ForeignObject] | None,
    pods: Iterable[ForeignObject] | None,
) -> list[NodeState]:
    """Return every node by name: those with an OOMNode, and the other Linux nodes.

    `nodes` are v1 Nodes, `pods` the agents' pods; None where they may not be listed."""
    decoded = {}
    for raw in oomnodes:
        try:
            obj = read(OOMNode, raw)
        except MalformedObjectError:
            continue
        decoded[obj.metadata.name or ""] = (obj, status_written_at(raw, manager=AGENT_MANAGER))
    readiness: dict[str, bool | None] = {
        node["metadata"]["name"]: _is_ready(node) for node in nodes or () if _is_linux(node)
    }
    agents = None if pods is None else _agents(pods)
    missing = UNKNOWN_AGENT if agents is None else AgentState(state="Missing")
    return [
        _state(name, decoded.get(name), agent=(agents or {}).get(name, missing), ready=readiness.get(name))
        for name in sorted({*decoded, *readiness})
    ]


def _state(
    name: str, found: tuple[OOMNode, float | None] | None, *, agent: AgentState, ready: bool | None
) -> NodeState:
    if found is None:
        return NodeState(name=name, agent=agent, node_ready=ready, exists=False)
    obj, written = found
    status = obj.status or OOMNodeStatus()
    good = sum(one.state == SysctlState.IN_SYNC or one.mode == Mode.AUDIT for one in status.sysctls) + sum(
        one.state == AdjustmentState.IN_SYNC or one.mode == Mode.AUDIT for one in status.oom_score_adjustments
    )
    return NodeState(
        name=name,
        agent=agent,
        node_ready=ready,
        exists=True,
        status=status,
        settings=len(obj.spec.sysctls) + len(obj.spec.oom_score_adjustments),
        in_sync=good,
        written=None if written is None else format_time(written),
        generation=obj.metadata.generation,
    )


def _agents(pods: Iterable[ForeignObject]) -> dict[str, AgentState]:
    """Return node -> state of its agent; a ready pod counts before one that is not."""
    found: dict[str, AgentState] = {}
    for pod in pods:
        meta, node = pod["metadata"], (pod.get("spec") or {}).get("nodeName")
        if not node or meta.get("deletionTimestamp"):
            continue
        status = pod.get("status") or {}
        ready = ready_condition(pod)
        is_ready = ready.get("status") == "True"
        if node in found and not is_ready:
            continue
        found[node] = AgentState(
            state="Ready" if is_ready else "Silent",
            since=ready.get("lastTransitionTime") or meta.get("creationTimestamp"),
            pod=f"{meta.get('namespace')}/{meta.get('name')}",
            problem="" if is_ready else _problem(status, ready),
        )
    return found


def _problem(status: ForeignObject, ready: ForeignObject) -> str:
    waiting = (
        ((one.get("state") or {}).get("waiting") or {}).get("reason")
        for one in status.get("containerStatuses") or ()
    )
    return next(filter(None, (status.get("reason"), *waiting, ready.get("reason"))), "")


def _is_linux(node: ForeignObject) -> bool:
    labels = node["metadata"].get("labels") or {}
    return str(labels.get("kubernetes.io/os", "linux")) == "linux"


def _is_ready(node: ForeignObject) -> bool | None:
    ready = ready_condition(node)
    return bool(ready.get("status") == "True") if ready else None


def node_rows(states: Sequence[NodeState], *, now: float, wide: bool = False) -> list[tuple[str, ...]]:
    """Return one row per node under COLUMNS or WIDE_COLUMNS."""
    return [_row(one, now=now, wide=wide) for one in states]


def _row(one: NodeState, *, now: float, wide: bool) -> tuple[str, ...]:
    counters, bad = one.counters, bad_conditions(one.status.conditions)
    row: tuple[str, ...] = (
        one.name,
        one.agent.state,
        age_of(one.agent.since, now),
        f"{one.in_sync}/{one.settings}" + (" (stale)" if one.stale else ""),
        str(counters.recorded or 0),
        str(counters.unattributed or 0),
        str(one.lost),
        _problems(one, bad),
    )
    if not wide:
        return row
    kernel = one.status.kernel
    message = one.agent.problem or next((each.message for each in bad), "")
    return (
        *row,
        str(counters.panics or 0),
        one.status.agent_version or "",
        (kernel.release if kernel else None) or "",
        age_of(one.written, now),
        message,
    )


def _problems(one: NodeState, bad: Sequence[Condition]) -> str:
    if not one.exists:
        return "NoOOMNode"
    words = ["NodeReady=False"] * (one.node_ready is False)
    words += [f"{each.type}={each.status}" for each in bad]
    return ",".join(words) or "OK"


def node_record(one: NodeState) -> JsonDocument:
    """Return the state as JSON-ready values."""
    counters = one.counters
    return {
        "name": one.name,
        "agent": {
            "state": one.agent.state,
            "since": one.agent.since,
            "pod": one.agent.pod,
            "problem": one.agent.problem or None,
            "version": one.status.agent_version,
        },
        "nodeReady": one.node_ready,
        "oomNode": one.exists,
        "settings": {"total": one.settings, "inSync": one.in_sync, "reported": not one.stale},
        "kills": {
            "recorded": counters.recorded or 0,
            "unattributed": counters.unattributed or 0,
            "lostLogRecords": counters.lost_log_records or 0,
            "lostTraceRecords": counters.lost_trace_records or 0,
            "panics": counters.panics or 0,
        },
        "problems": [
            {"type": each.type, "status": each.status, "reason": each.reason, "message": each.message}
            for each in bad_conditions(one.status.conditions)
        ],
        "written": one.written,
    }
