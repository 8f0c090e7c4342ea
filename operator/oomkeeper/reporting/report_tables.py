"""The lists of a cluster report as tables of text, which text, Markdown and HTML print. Every cell is
printable; markup is left to the renderer."""

from collections.abc import Sequence
from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.times import parse_time
from oomkeeper.model.units import bytes_text, count_text, share_text

from . import display_names as names
from .cluster_report import AdviceRow, CauseRow, ClusterReport, NamespaceRow, NodeRow, WorkloadRow
from .report_times import minute_text

GROUPS = ("workload", "namespace", "cause", "node")

ADVICE_TITLE = "What to do"
ADVICE_CAPTION = "Kills that it would have prevented, from each incident's own numbers."
BEGAN_TITLE = "When it began"
COVERAGE_TITLE = "Coverage"
USAGE_CAPTION = (
    "Limit and usage of the workload's last kill with this cause. Usage is what the kernel counted against "
    "that limit, not the size of a process."
)
EMPTY = "No OOM kill."


class Cell(NamedTuple):
    """One cell."""

    text: str
    order: str | int = ""
    """What to sort by; empty: the text."""


class ReportTable(NamedTuple):
    """One list of the report."""

    key: str
    """One of GROUPS."""
    title: str
    columns: tuple[str, ...]
    numbers: frozenset[str]
    """Columns that are right-aligned."""
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


def report_title(report: ClusterReport) -> str:
    """Return `OOM kills in namespace shop`."""
    where = f"namespace {printable(report.namespace)}" if report.namespace is not None else "the cluster"
    return f"OOM kills in {where}"


def window_text(report: ClusterReport) -> str:
    """Return `2026-11-21 02:00 to 2026-11-28 02:00 UTC (7 days)`."""
    seconds = round((parse_time(report.end) or 0) - (parse_time(report.start) or 0))
    hours = seconds // 3600
    if seconds % 86400 == 0:
        length = count_text(seconds // 86400, "day")
    elif seconds % 3600 == 0:
        length = count_text(hours, "hour")
    else:
        length = count_text(seconds // 60, "minute")
    return f"{minute_text(report.start)} to {minute_text(report.end)} UTC ({length})"


def totals_text(report: ClusterReport) -> str:
    """Return the totals in one sentence."""
    totals = report.totals
    if not totals.kills:
        return EMPTY
    of = f" of {count_text(totals.workloads, 'workload')}" if totals.workloads else ""
    inside = f" in {count_text(totals.namespaces, 'namespace')}" if totals.namespaces > 1 else ""
    return f"{count_text(totals.kills, 'OOM kill')}{of}{inside} on {count_text(totals.nodes, 'node')}."


def tables(report: ClusterReport, *, by: str | None = None, top: int | None = None) -> list[ReportTable]:
    """Return the lists that have rows, each with its first `top` rows, which its title then says; or the list
    of `by` with all."""
    if by is not None:
        top = None
    rows = (report.workloads, report.namespaces, report.causes, report.nodes)
    workloads, namespaces, causes, nodes = rows
    made = (
        _workloads(workloads[:top], whole=report.namespace is None),
        _namespaces(namespaces[:top]),
        _causes(causes[:top], total=report.totals.kills),
        _nodes(nodes[:top], gone=any(row.without_incident for row in nodes)),
    )
    if by is not None:
        return [table for table in made if table.key == by]
    titled = [
        table._replace(title=f"{table.title} ({len(table.rows):,} of {len(every):,})")
        if len(table.rows) < len(every)
        else table
        for table, every in zip(made, rows, strict=True)
    ]
    # One namespace needs no list of namespaces.
    return [
        table for table in titled if table.rows and (table.key != "namespace" or report.namespace is None)
    ]


def began_sentences(report: ClusterReport) -> list[tuple[str, str]]:
    """Return (workload, how its kills began), of the workloads for which that is known."""
    return [(printable(row.place), printable(row.began)) for row in report.workloads if row.began]


def advice_sentences(row: AdviceRow) -> tuple[str, str, str, str]:
    """Return the remedy's name, what it would have prevented, the workload that it would have helped most,
    and what to do there; the last may have `code`."""
    title = names.REMEDIES.get(row.remedy, printable(row.remedy))
    effect = f"{count_text(row.kills, 'kill')} of {count_text(row.workloads, 'workload')}"
    return title, effect, printable(row.workload), printable(row.message)


def _workloads(rows: Sequence[WorkloadRow], *, whole: bool) -> ReportTable:
    namespace = ("namespace",) if whole else ()
    columns = ("workload", "container", "cause", "limit", "usage", "nodes", "last kill", "victim")
    return ReportTable(
        key="workload",
        title="Workloads",
        columns=("kills", *namespace, *columns),
        numbers=frozenset({"kills", "limit", "usage", "nodes", "last kill"}),
        rows=tuple(_workload(row, whole=whole) for row in rows),
        caption=USAGE_CAPTION,
    )


def _workload(row: WorkloadRow, *, whole: bool) -> tuple[Cell, ...]:
    host = row.namespace is None
    name = printable(row.name if host else f"{row.kind}/{row.name}")
    namespace = (Cell("(host)" if host else printable(row.namespace or "")),) if whole else ()
    containers = ", ".join(map(printable, row.containers[:3])) + (", ..." if len(row.containers) > 3 else "")
    return (
        _count(row.kills),
        *namespace,
        Cell(name),
        Cell(containers or "-"),
        Cell(names.cause_title(printable(row.cause))),
        Cell(bytes_text(row.limit_bytes, missing="-"), row.limit_bytes or 0),
        Cell(bytes_text(row.usage_bytes, missing="-"), row.usage_bytes or 0),
        _count(row.nodes),
        Cell(minute_text(row.last_kill)[5:], row.last_kill) if row.last_kill else Cell("-", 0),
        Cell(printable(row.victim) if row.victim else "-"),
    )


def _namespaces(rows: Sequence[NamespaceRow]) -> ReportTable:
    return ReportTable(
        key="namespace",
        title="Namespaces",
        columns=("kills", "namespace", "workloads", "most frequent cause"),
        numbers=frozenset({"kills", "workloads"}),
        rows=tuple(
            (
                _count(row.kills),
                Cell(printable(row.namespace)),
                _count(row.workloads),
                Cell(names.cause_title(printable(row.cause))),
            )
            for row in rows
        ),
    )


def _causes(rows: Sequence[CauseRow], *, total: int) -> ReportTable:
    return ReportTable(
        key="cause",
        title="Causes",
        columns=("kills", "share", "cause", "workloads", "meaning"),
        numbers=frozenset({"kills", "share", "workloads"}),
        rows=tuple(
            (
                _count(row.kills),
                Cell(share_text(row.kills / total), row.kills),
                Cell(names.cause_title(printable(row.cause))),
                _count(row.workloads),
                Cell(names.CAUSES.get(row.cause, ("", "-"))[1]),
            )
            for row in rows
        ),
    )


def _nodes(rows: Sequence[NodeRow], *, gone: bool) -> ReportTable:
    columns = ("kills", "node", "workloads", "most frequent cause")
    return ReportTable(
        key="node",
        title="Nodes",
        columns=(*columns, "without incident") if gone else columns,
        numbers=frozenset({"kills", "workloads", "without incident"}),
        rows=tuple(
            (
                _count(row.kills),
                Cell(printable(row.node)),
                _count(row.workloads),
                Cell(names.cause_title(printable(row.cause)) if row.cause else "-"),
                *((_count(row.without_incident),) if gone else ()),
            )
            for row in rows
        ),
    )


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", number)
