"""Render a cluster report as one self-contained HTML page: timeline, sortable tables, incidents, coverage.

The page has the same figures as the text; charts are drawn from data that is also there as a table."""

from collections.abc import Iterator, Sequence

from oomkeeper import __version__
from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import JsonDocument
from oomkeeper.model.units import count_text
from oomkeeper.resources.oomincident import OOMIncident

from . import display_names as names
from .cluster_report import ClusterReport, most_frequent
from .html_page import data_block, environment, page_head
from .incident_detail import (
    KILL_COLUMNS,
    KILL_NUMBERS,
    VICTIM_COLUMNS,
    VICTIM_NUMBERS,
    IncidentDetail,
    incident_detail,
)
from .report_tables import (
    ADVICE_CAPTION,
    ADVICE_TITLE,
    BEGAN_TITLE,
    COVERAGE_TITLE,
    ReportTable,
    advice_sentences,
    began_sentences,
    report_title,
    tables,
    totals_text,
    window_text,
)
from .report_times import minute_text, window_hours

MAX_ROWS = 5_000
"""Rows of one table: more make the page slow, and are in the CSV."""
MAX_DETAILS = 30
"""Incidents that are shown in full."""
_MAX_CAUSES = 7
"""Causes with a colour of their own; the others are one."""
_STYLES = ("templates/style.css", "templates/report.css", "vendor/uplot/uPlot.min.css")
_SCRIPTS = ("templates/tables.js", "vendor/uplot/uPlot.iife.min.js", "templates/report.js")


def report_html(
    report: ClusterReport, *, incidents: Sequence[OOMIncident], start: float, end: float
) -> Iterator[str]:
    """Yield the page in parts. `incidents`: those of the report, over [start, end] in seconds since the
    epoch; the ones with most kills are shown in full."""
    title = report_title(report)
    made = tables(report)
    details = [
        incident_detail(obj, kills=kills)
        for obj, kills in most_frequent(incidents, start=start, end=end, top=MAX_DETAILS)
    ]
    chart = _timeline(report)
    yield page_head(title=title, styles=_STYLES, scripts=_SCRIPTS)
    yield from (
        environment()
        .get_template("report.html")
        .generate(
            title=title,
            window=window_text(report),
            totals_sentence=totals_text(report),
            figures=_figures(report),
            gaps=_gaps(report),
            timeline=_timeline_rows(report),
            timeline_columns=("hour (UTC)", "kills", "causes"),
            timeline_numbers=frozenset({"kills"}),
            timeline_text=_timeline_text(report),
            tables=[table._replace(rows=table.rows[:MAX_ROWS]) for table in made],
            omitted={table.key: _omitted(table) for table in made},
            advice=[advice_sentences(row) for row in report.advice],
            advice_title=ADVICE_TITLE,
            advice_caption=ADVICE_CAPTION,
            began=began_sentences(report),
            began_title=BEGAN_TITLE,
            details=_numbered(details),
            kill_columns=KILL_COLUMNS,
            victim_columns=VICTIM_COLUMNS,
            victim_numbers=VICTIM_NUMBERS,
            kill_numbers=KILL_NUMBERS,
            coverage=[printable(sentence) for sentence in report.coverage.sentences],
            coverage_title=COVERAGE_TITLE,
            version=__version__,
            data=data_block({"timeline": chart, "series": [one.plot for one in details if one.plot]}),
        )
    )


def _figures(report: ClusterReport) -> list[tuple[str, str]]:
    totals = report.totals
    figures = [
        ("OOM kills", totals.kills),
        ("workloads", totals.workloads),
        *((("namespaces", totals.namespaces),) if report.namespace is None else ()),
        ("nodes with a kill", totals.nodes),
    ]
    return [(label, f"{number:,}") for label, number in figures]


def _gaps(report: ClusterReport) -> str:
    return printable(report.coverage.sentences[0]) if report.coverage.complete is False else ""


def _numbered(details: Sequence[IncidentDetail]) -> list[JsonDocument]:
    """Return the details as the template takes them, with the place of their plot in the data."""
    found, place = [], 0
    for one in details:
        found.append({**one._asdict(), "series": place if one.plot else None})
        place += bool(one.plot)
    return found


def _timeline(report: ClusterReport) -> JsonDocument | None:
    """Return the kills of each hour by cause, hours without a kill included, as report.js takes them."""
    hours = window_hours(report.start, report.end)
    if not report.timeline or hours is None:
        return None
    causes = [row.cause for row in report.causes]
    own, rest = causes[:_MAX_CAUSES], causes[_MAX_CAUSES:]
    kills = [[0] * hours.number for _ in range(len(own) + bool(rest))]
    places = {cause: min(place, _MAX_CAUSES) for place, cause in enumerate(causes)}
    for row in report.timeline:
        hour = hours.place(row.start)
        for cause, count in row.causes.items():
            kills[places[cause]][hour] += count
    labels = [names.cause_title(printable(cause)) for cause in own]
    causes_shown = labels + ["Other causes"] * bool(rest)
    return {"start": hours.first, "hours": hours.number, "causes": causes_shown, "kills": kills}


def _timeline_rows(report: ClusterReport) -> list[tuple[str, str, str]]:
    return [
        (
            minute_text(row.start),
            f"{row.kills:,}",
            ", ".join(
                f"{names.cause_title(printable(cause))} {count:,}" for cause, count in row.causes.items()
            ),
        )
        for row in report.timeline
    ]


def _timeline_text(report: ClusterReport) -> str:
    if not report.timeline:
        return ""
    most = max(report.timeline, key=lambda row: row.kills)
    return (
        f"Kills per hour, by cause. {count_text(len(report.timeline), 'hour')} with a kill; the most were "
        f"{count_text(most.kills, 'kill')} in the hour from {minute_text(most.start)} UTC."
    )


def _omitted(table: ReportTable) -> str:
    more = len(table.rows) - MAX_ROWS
    return (
        f"{more:,} rows with fewer kills are left out here: -o csv --by {table.key} has all."
        if more > 0
        else ""
    )
