"""Render a cluster report for a terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence

from oomkeeper.model.escaping import printable
from oomkeeper.model.units import count_text

from . import display_names as names
from .cluster_report import ClusterReport
from .report_tables import (
    ADVICE_CAPTION,
    ADVICE_TITLE,
    BEGAN_TITLE,
    COVERAGE_TITLE,
    EMPTY,
    ReportTable,
    advice_sentences,
    began_sentences,
    report_title,
    tables,
    totals_text,
    window_text,
)
from .report_times import minute_text, window_hours
from .terminal_drawing import Pen, cells

_INDENT = "   "
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = ".:-=+*%#"
_CURVES = 6
"""Causes with a line of their own in the timeline."""
_LEAST_COLUMN = 14
"""Characters to which a column may shrink; one with a name to twice as many."""
_LEAST_CELLS = 6
"""The same where all that can be left out is."""
_NAMES = frozenset({"workload", "node", "namespace"})
_OPTIONAL = ("meaning", "victim", "nodes", "container", "usage", "last kill")
"""Columns that are left out where the lines would be too long, in this order. Markdown and CSV have them."""


def report_text(
    report: ClusterReport,
    *,
    by: str | None,
    top: int,
    width: int = 100,
    colour: bool = False,
    unicode: bool = True,
) -> Iterator[str]:
    """Yield the lines, each ending in a newline. `by`: only this list, whole; else each list has at most
    `top` rows. No name in the report can add a control sequence."""
    pen = Pen(width=max(60, width), colour=colour, unicode=unicode)
    for line in _lines(pen, report, by=by, top=top):
        yield pen.encodable(line.rstrip()) + "\n"


def _lines(pen: Pen, report: ClusterReport, *, by: str | None, top: int) -> Iterator[str]:
    yield pen.paint(pen.rule(report_title(report)), "bold")
    yield ""
    yield f" {window_text(report)}"
    yield from (pen.paint(line, "bold") for line in pen.wrap(totals_text(report), indent=" "))
    yield ""
    if by is None:
        yield from _timeline(pen, report)
    for table in tables(report, by=by, top=top):
        yield from _section(pen, table.title)
        yield from _table(pen, table)
        yield ""
    if by is None:
        yield from _began(pen, report)
        yield from _advice(pen, report)
    yield from _section(pen, COVERAGE_TITLE)
    for sentence in report.coverage.sentences:
        yield from pen.wrap(printable(sentence), indent=f"{_INDENT}  ", first=f"{_INDENT}{pen.bullet} ")


def _section(pen: Pen, title: str) -> Iterator[str]:
    yield " " + pen.paint(title, "cyan")


def _timeline(pen: Pen, report: ClusterReport) -> Iterator[str]:
    """Draw one line per cause: the window in equal parts of whole hours."""
    hours = window_hours(report.start, report.end)
    if not report.timeline or hours is None:
        return
    labels = [names.cause_title(printable(row.cause)) for row in report.causes[:_CURVES]]
    room = max(map(cells, labels))
    per_part = -(-hours.number // max(10, pen.width - len(_INDENT) - room - 16))
    parts = -(-hours.number // per_part)
    counts: dict[str, Counter[int]] = {}
    for hour in report.timeline:
        part = hours.place(hour.start) // per_part
        for cause, kills in hour.causes.items():
            counts.setdefault(cause, Counter())[part] += kills
    yield from _section(pen, "When")
    for row, label in zip(report.causes[:_CURVES], labels, strict=False):
        curve = _curve([counts[row.cause][part] for part in range(parts)], unicode=pen.unicode)
        yield f"{_INDENT}{pen.fit(label, room)}  {pen.paint(curve, 'red')}  {row.kills:,}"
    ends = minute_text(report.start), minute_text(report.end)
    yield f"{_INDENT}{' ' * room}  {ends[0]}{' ' * (parts - len(ends[0]) - len(ends[1]))} {ends[1]}"
    more = len(report.causes) - _CURVES
    others = f" Not drawn: {count_text(more, 'more cause')}." if more > 0 else ""
    caption = f"One character is {count_text(per_part, 'hour')}; each line has its own scale.{others}"
    yield from (pen.paint(line, "dim") for line in pen.wrap(caption, indent=_INDENT))
    yield ""


def _curve(counts: Sequence[int], *, unicode: bool) -> str:
    most = max(counts)
    levels = _LEVELS if unicode else _ASCII_LEVELS
    return "".join(
        levels[min(len(levels) - 1, (count * len(levels) - 1) // most)] if count else " " for count in counts
    )


def _table(pen: Pen, table: ReportTable) -> Iterator[str]:
    if not table.rows:
        yield f"{_INDENT}{EMPTY}"
        return
    shown = list(range(len(table.columns)))
    for optional in _OPTIONAL:
        rooms = _rooms(table, shown)
        if _line_cells(rooms) <= pen.width and optional != "meaning":
            break
        shown = [place for place in shown if table.columns[place] != optional]
    rooms = _rooms(table, shown)
    while _line_cells(rooms) > pen.width and max(rooms) > _LEAST_CELLS:
        rooms[rooms.index(max(rooms))] -= 1
    columns = [table.columns[place] for place in shown]
    rows = [[row[place].text for place in shown] for row in table.rows]
    right = [column in table.numbers for column in columns]
    yield _INDENT + pen.paint(_row(pen, columns, rooms, right), "dim")
    for row in rows:
        yield _INDENT + _row(pen, row, rooms, right)


def _rooms(table: ReportTable, shown: Sequence[int]) -> list[int]:
    """Return the width of each shown column: of its longest cell, at most that of its kind."""
    rooms = []
    for place in shown:
        column = table.columns[place]
        most = 2 * _LEAST_COLUMN if column in _NAMES else _LEAST_COLUMN + 8
        longest = max(cells(row[place].text) for row in table.rows)
        rooms.append(max(cells(column), min(longest, most)))
    return rooms


def _line_cells(rooms: Sequence[int]) -> int:
    return len(_INDENT) + sum(rooms) + 2 * (len(rooms) - 1)


def _row(pen: Pen, row: Sequence[str], rooms: Sequence[int], right: Sequence[bool]) -> str:
    return "  ".join(
        pen.fit(cell, room, right=at_right) for cell, room, at_right in zip(row, rooms, right, strict=True)
    )


def _began(pen: Pen, report: ClusterReport) -> Iterator[str]:
    sentences = began_sentences(report)
    if not sentences:
        return
    yield from _section(pen, BEGAN_TITLE)
    for where, sentence in sentences:
        yield from pen.wrap(f"{where}: {sentence}", indent=f"{_INDENT}  ", first=f"{_INDENT}{pen.bullet} ")
    yield ""


def _advice(pen: Pen, report: ClusterReport) -> Iterator[str]:
    if not report.advice:
        return
    yield from _section(pen, ADVICE_TITLE)
    for place, row in enumerate(report.advice, 1):
        title, effect, where, message = advice_sentences(row)
        first, *rest = pen.wrap(
            f"{title} ({effect}). {where}: {message}", indent="      ", first=f"{_INDENT}{place}. "
        )
        yield first.replace(title, pen.paint(title, "green"), 1)
        yield from rest
    yield from (pen.paint(line, "dim") for line in pen.wrap(ADVICE_CAPTION, indent=_INDENT))
    yield ""
