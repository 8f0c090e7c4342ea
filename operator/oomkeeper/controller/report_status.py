"""OOMReport.status: which incidents and nodes a report covers, and when it is refreshed."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec.structs import replace

from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.api.selector import LabelSelector
from oomkeeper.model.times import duration_seconds, format_time, parse_time
from oomkeeper.reporting.counted_kills import NodeAccount
from oomkeeper.reporting.fold import fold_report
from oomkeeper.reporting.incident import Incident
from oomkeeper.resources.oomreport import OOMReportStatus, Totals
from oomkeeper.resources.record import bounded

from .agent_health import UNKNOWN, AgentHealth
from .clock_skew import skewed_nodes
from .conditions import Condition, conditions
from .objects import Namespace, Node, OOMNodeState, Report, is_empty, selects


def report_status(
    report: Report,
    *,
    incidents: Iterable[Incident],
    nodes: Mapping[str, Node],
    oomnodes: Mapping[str, OOMNodeState],
    agents: Mapping[str, AgentHealth] = MappingProxyType({}),
    namespaces: Mapping[str, Namespace],
    now: float,
) -> OOMReportStatus:
    """Return the whole status. `now`: seconds since the epoch."""
    if report.spec is None:
        wanted = [
            Condition("Ready", False, "InvalidSpec", report.invalid or "spec: invalid"),
            Condition("Complete", False, "InvalidSpec", "not counted until the spec is fixed"),
        ]
        return _with_conditions(OOMReportStatus(), report=report, wanted=wanted, now=now)
    spec = report.spec
    selected = {
        name for name, node in nodes.items() if node.linux and selects(spec.node_selector, node.labels)
    }
    accounts = [
        NodeAccount(
            name=name,
            unattributed=oomnodes[name].counters.unattributed or 0,
            lost_log_records=oomnodes[name].counters.lost_log_records or 0,
            history=oomnodes[name].history if is_empty(spec.namespace_selector) else {},
        )
        for name in sorted(selected)
        if name in oomnodes
    ]
    silent = [name for name in sorted(selected) if _is_silent(oomnodes.get(name), agents.get(name, UNKNOWN))]
    folded = fold_report(
        incidents=(
            incident for incident in incidents if _covers(spec, incident, nodes=nodes, namespaces=namespaces)
        ),
        accounts=accounts,
        window_seconds=duration_seconds(spec.window),
        now=now,
        top=spec.top,
    )
    wanted = [
        Condition("Ready", True, "Refreshed", "status is up to date"),
        _complete(folded, silent=silent),
        _clocks(nodes),
    ]
    return _with_conditions(folded, report=report, wanted=wanted, now=now)


def _is_silent(state: OOMNodeState | None, agent: AgentHealth) -> bool:
    if agent.away:
        return True
    return state is None or not state.observed_generation


def _with_conditions(
    folded: OOMReportStatus, *, report: Report, wanted: list[Condition], now: float
) -> OOMReportStatus:
    return bounded(
        replace(
            folded,
            observed_generation=report.generation,
            conditions=conditions(
                wanted,
                previous=report.status.conditions if report.status else (),
                generation=report.generation,
                now=format_time(now),
            ),
        )
    )


def _covers(
    spec: OOMReportSpec,
    incident: Incident,
    *,
    nodes: Mapping[str, Node],
    namespaces: Mapping[str, Namespace],
) -> bool:
    """Return whether the report covers the incident. Of a deleted node or namespace no labels are known: only
    an empty selector still selects it."""
    node, namespace = nodes.get(incident.node), namespaces.get(incident.namespace)
    return _selects(spec.node_selector, node.labels if node else None) and _selects(
        spec.namespace_selector, namespace.labels if namespace else None
    )


def _selects(selector: LabelSelector | None, labels: Mapping[str, str] | None) -> bool:
    return is_empty(selector) or (labels is not None and selects(selector, labels))


def _complete(folded: OOMReportStatus, *, silent: list[str]) -> Condition:
    totals = folded.totals or Totals()
    unattributed, lost = totals.unattributed, totals.lost_log_records
    if unattributed or lost:
        return Condition(
            "Complete",
            False,
            "KillsUnattributed" if unattributed else "LogRecordsLost",
            f"{unattributed} kills not attributed, {lost} log records lost: see incompleteNodes",
        )
    if silent:
        message = f"{len(silent)} nodes have no agent that reports, such as {silent[0]}"
        return Condition("Complete", False, "NodesSilent", message)
    message = "every kill is attributed"
    if totals.without_incident:
        message += f"; the incidents of {totals.without_incident} kills are gone"
    return Condition("Complete", True, "AllAccounted", message)


def _clocks(nodes: Mapping[str, Node]) -> Condition:
    if skewed := skewed_nodes(nodes):
        return Condition("ClocksAgree", False, "NodesSkewed", skewed)
    return Condition("ClocksAgree", True, "AsExpected", "no node's clock is known to be wrong")


def next_refresh(report: Report) -> float:
    """Return when the report is due, in seconds since the epoch; 0 for a new report or a changed spec."""
    status = report.status or OOMReportStatus()
    if status.observed_generation != report.generation:
        return 0.0
    if report.spec is None:
        return float("inf")
    refreshed = parse_time(status.refresh_time)
    return 0.0 if refreshed is None else refreshed + duration_seconds(report.spec.refresh_interval)
