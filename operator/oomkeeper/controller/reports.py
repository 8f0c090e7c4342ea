"""OOMReport.status: which incidents and nodes a report takes in, and when it is due."""

from collections.abc import Iterable, Mapping
from typing import Any

from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.api.scalars import duration_seconds
from oomkeeper.api.selector import LabelSelector
from oomkeeper.reporting.fold import NodeAccount, fold_report
from oomkeeper.reporting.incident import Incident
from oomkeeper.reporting.times import format_time, parse_time

from .conditions import Finding, conditions
from .records import Namespace, Node, NodeState, Report, is_empty, selects


def report_status(
    report: Report,
    *,
    incidents: Iterable[Incident],
    nodes: Mapping[str, Node],
    states: Mapping[str, NodeState],
    namespaces: Mapping[str, Namespace],
    now: float,
) -> dict[str, Any]:
    """The whole status."""
    if report.spec is None:
        findings = [
            Finding("Ready", False, "InvalidSpec", report.invalid or "spec: invalid"),
            Finding("Complete", False, "InvalidSpec", "nothing is counted until the spec is mended"),
        ]
        return _with_conditions({}, report=report, findings=findings, now=now)
    spec = report.spec
    chosen = {name for name, node in nodes.items() if node.linux and selects(spec.node_selector, node.labels)}
    accounts = [
        NodeAccount(
            name=name, unattributed=states[name].unattributed, lost_log_records=states[name].lost_log_records
        )
        for name in sorted(chosen)
        if name in states
    ]
    silent = [name for name in sorted(chosen) if name not in states or not states[name].observed_generation]
    folded = fold_report(
        incidents=(
            incident for incident in incidents if _takes(spec, incident, nodes=nodes, namespaces=namespaces)
        ),
        accounts=accounts,
        window_seconds=duration_seconds(spec.window),
        now=now,
        top=spec.top,
    )
    findings = [Finding("Ready", True, "Refreshed"), _complete(folded, silent=silent)]
    return _with_conditions(folded, report=report, findings=findings, now=now)


def _with_conditions(
    folded: Mapping[str, Any],
    *,
    report: Report,
    findings: list[Finding],
    now: float,
) -> dict[str, Any]:
    return {
        "observedGeneration": report.generation,
        "conditions": conditions(
            findings,
            previous=report.status.get("conditions"),
            generation=report.generation,
            now=format_time(now),
        ),
        **folded,
    }


def _takes(
    spec: OOMReportSpec,
    incident: Incident,
    *,
    nodes: Mapping[str, Node],
    namespaces: Mapping[str, Namespace],
) -> bool:
    """A node or namespace that is gone has no labels any more: only an empty selector still takes its
    incidents."""
    node, namespace = nodes.get(incident.node), namespaces.get(incident.namespace)
    return _selects(spec.node_selector, node.labels if node else None) and _selects(
        spec.namespace_selector, namespace.labels if namespace else None
    )


def _selects(selector: LabelSelector | None, labels: Mapping[str, str] | None) -> bool:
    return is_empty(selector) or (labels is not None and selects(selector, labels))


def _complete(folded: Mapping[str, Any], *, silent: list[str]) -> Finding:
    totals = folded["totals"]
    if totals["unattributed"] or totals["lostLogRecords"]:
        return Finding(
            "Complete",
            False,
            "KillsUnattributed" if totals["unattributed"] else "LogRecordsLost",
            f"{totals['unattributed']} kills could not be attributed, {totals['lostLogRecords']} log records "
            "were lost; see incompleteNodes",
        )
    if silent:
        return Finding(
            "Complete",
            False,
            "NodesSilent",
            f"{len(silent)} nodes have no agent that answered, {silent[0]} among them",
        )
    return Finding("Complete", True, "AllAccounted")


def next_refresh(report: Report) -> float:
    """When the report is due again, in seconds since the epoch: now (0) for a new one or a changed spec."""
    refreshed = parse_time(report.status.get("refreshTime"))
    if report.status.get("observedGeneration") != report.generation:
        return 0.0
    if report.spec is None:
        return float("inf")
    return 0.0 if refreshed is None else refreshed + duration_seconds(report.spec.refresh_interval)
