"""OOMReport.status: which incidents and nodes a report covers, and when it is refreshed."""

from collections.abc import Iterable, Mapping
from typing import Any

from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.api.scalars import duration_seconds
from oomkeeper.api.selector import LabelSelector
from oomkeeper.model.times import format_time, parse_time
from oomkeeper.reporting.fold import NodeAccount, fold_report
from oomkeeper.reporting.incident import Incident

from .conditions import Condition, conditions
from .objects import Namespace, Node, OOMNodeState, Report, is_empty, selects


def report_status(
    report: Report,
    *,
    incidents: Iterable[Incident],
    nodes: Mapping[str, Node],
    oomnodes: Mapping[str, OOMNodeState],
    namespaces: Mapping[str, Namespace],
    now: float,
) -> dict[str, Any]:
    """Return the whole status. `now`: seconds since the epoch."""
    if report.spec is None:
        wanted = [
            Condition("Ready", False, "InvalidSpec", report.invalid or "spec: invalid"),
            Condition("Complete", False, "InvalidSpec", "not counted until the spec is fixed"),
        ]
        return _with_conditions({}, report=report, wanted=wanted, now=now)
    spec = report.spec
    selected = {
        name for name, node in nodes.items() if node.linux and selects(spec.node_selector, node.labels)
    }
    accounts = [
        NodeAccount(
            name=name,
            unattributed=oomnodes[name].unattributed,
            lost_log_records=oomnodes[name].lost_log_records,
        )
        for name in sorted(selected)
        if name in oomnodes
    ]
    silent = [
        name for name in sorted(selected) if name not in oomnodes or not oomnodes[name].observed_generation
    ]
    folded = fold_report(
        incidents=(
            incident for incident in incidents if _covers(spec, incident, nodes=nodes, namespaces=namespaces)
        ),
        accounts=accounts,
        window_seconds=duration_seconds(spec.window),
        now=now,
        top=spec.top,
    )
    wanted = [Condition("Ready", True, "Refreshed", "status is up to date"), _complete(folded, silent=silent)]
    return _with_conditions(folded, report=report, wanted=wanted, now=now)


def _with_conditions(
    folded: Mapping[str, Any],
    *,
    report: Report,
    wanted: list[Condition],
    now: float,
) -> dict[str, Any]:
    return {
        "observedGeneration": report.generation,
        "conditions": conditions(
            wanted,
            previous=report.status.get("conditions"),
            generation=report.generation,
            now=format_time(now),
        ),
        **folded,
    }


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


def _complete(folded: Mapping[str, Any], *, silent: list[str]) -> Condition:
    totals = folded["totals"]
    if totals["unattributed"] or totals["lostLogRecords"]:
        return Condition(
            "Complete",
            False,
            "KillsUnattributed" if totals["unattributed"] else "LogRecordsLost",
            f"{totals['unattributed']} kills not attributed, {totals['lostLogRecords']} log records "
            "lost: see incompleteNodes",
        )
    if silent:
        return Condition(
            "Complete",
            False,
            "NodesSilent",
            f"{len(silent)} nodes have no agent that has reported, such as {silent[0]}",
        )
    return Condition("Complete", True, "AllAccounted", "every kill is attributed")


def next_refresh(report: Report) -> float:
    """Return when the report is due, in seconds since the epoch; 0 for a new report or a changed spec."""
    refreshed = parse_time(report.status.get("refreshTime"))
    if report.status.get("observedGeneration") != report.generation:
        return 0.0
    if report.spec is None:
        return float("inf")
    return 0.0 if refreshed is None else refreshed + duration_seconds(report.spec.refresh_interval)
