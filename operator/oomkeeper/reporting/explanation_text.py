"""Render explanations for a terminal: what happened first, details last."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import to_builtins

from oomkeeper.resources.killrecord import KillRecord
from oomkeeper.resources.record import read

from .explanation import (
    ADVICE_TITLE,
    UNCERTAIN_TITLE,
    VICTIM_COLUMNS,
    VICTIM_NUMBERS,
    VICTIMS_TITLE,
    WHAT_IF_TITLE,
    Explanation,
    explanation_of,
)
from .kill_charts import Bar, Chart
from .kill_overview import OVERVIEW_COLUMNS, OVERVIEW_NUMBERS, Overview, numbered
from .terminal_drawing import Pen, cells

_INDENT = "   "


def render_text(
    kills: Iterable[KillRecord], *, width: int = 100, colour: bool = False, unicode: bool = True
) -> str:
    """Render all kills as one text; see `text_pages`."""
    return "".join(text_pages(kills, width=width, colour=colour, unicode=unicode))


def text_pages(
    kills: Iterable[KillRecord], *, width: int = 100, colour: bool = False, unicode: bool = True
) -> Iterator[str]:
    """Yield one page per kill as it arrives, each ending in a newline; after several kills, a table of how
    often each kind occurred.

    `width` is in character cells (at least 60); `colour` adds ANSI sequences; without `unicode` the output is
    pure ASCII. No text of a kill can add a control sequence."""
    pen = Pen(width=max(60, width), colour=colour, unicode=unicode)
    overview = Overview()
    for number, given in numbered(kills):
        kill = given if unicode else read(type(given), _ascii(to_builtins(given)))
        overview.add(kill)
        yield _text(pen, text_page(pen, explanation_of(kill), number=number))
    if overview.total > 1:
        yield _text(pen, _overview(pen, overview))


def _text(pen: Pen, lines: Iterable[str]) -> str:
    return pen.encodable("".join(f"{line.rstrip()}\n" for line in lines))


def _ascii(value: Any) -> Any:
    """Return the same object with every text in ASCII, before widths are measured."""
    if isinstance(value, str):
        return value.encode("ascii", "backslashreplace").decode("ascii")
    if isinstance(value, dict):
        return {key: _ascii(part) for key, part in value.items()}
    return [_ascii(part) for part in value] if isinstance(value, list | tuple) else value


def text_page(pen: Pen, page: Explanation, *, number: int | None = None) -> Iterator[str]:
    """Yield the lines of one explanation."""
    title = page.title if number is None else f"{number}. {page.title}"
    heading = f"{title}, {page.when}"
    if cells(heading) + 6 <= pen.width:
        yield pen.paint(pen.rule(heading), "alarm")
    else:
        yield pen.paint(pen.rule(title), "alarm")
        yield from pen.wrap(page.when, indent=" ")
    yield ""
    yield from (pen.paint(line, "bold") for line in pen.wrap(page.summary, indent=" "))
    yield ""
    yield from text_section(pen, "Why")
    yield from pen.wrap(f"{page.cause}, confidence {page.confidence}. {page.why}".strip(), indent=_INDENT)
    yield ""
    yield from text_section(pen, VICTIMS_TITLE)
    if page.victims:
        yield from text_table(pen, VICTIM_COLUMNS, page.victims, numbers=VICTIM_NUMBERS)
    else:
        yield from pen.wrap(page.no_victim, indent=_INDENT)
    for chart in page.charts:
        yield ""
        yield from text_section(pen, chart.title)
        yield from _chart(pen, chart)
    if page.advice:
        yield ""
        yield from text_section(pen, ADVICE_TITLE)
        for place, (remedy, message) in enumerate(page.advice, 1):
            first, *rest = pen.wrap(
                f"{remedy}: {message}" if remedy else message, indent="      ", first=f"{_INDENT}{place}. "
            )
            yield first.replace(f"{remedy}:", pen.paint(f"{remedy}:", "green"), 1) if remedy else first
            yield from rest
    if page.what_if:
        yield ""
        yield from text_section(pen, WHAT_IF_TITLE)
        for setting, what, why in page.what_if:
            # A sysctl's name stays on one line with its value, so that it can be copied.
            yield from pen.wrap(
                f"{setting}: {what}. {why}", indent=f"{_INDENT}  ", first=f"{_INDENT}{pen.bullet} "
            )
    if page.uncertain:
        yield ""
        yield from text_section(pen, UNCERTAIN_TITLE)
        for sentence in page.uncertain:
            yield from (
                pen.paint(line, "yellow")
                for line in pen.wrap(sentence, indent=f"{_INDENT}  ", first=f"{_INDENT}{pen.bullet} ")
            )
    if page.details:
        yield ""
        yield from text_section(pen, "Details")
        room = max(len(label) for label, _ in page.details)
        for label, value in page.details:
            head = f"{_INDENT}{label.ljust(room)}  "
            first, *rest = pen.wrap(value, indent=" " * len(head), first=head)
            yield first.replace(label, pen.paint(label, "dim"), 1)
            yield from rest
    yield ""


def text_section(pen: Pen, title: str) -> Iterator[str]:
    """Yield the heading of a section."""
    yield " " + pen.paint(title, "cyan")


def _chart(pen: Pen, chart: Chart) -> Iterator[str]:
    label_room = min(max(cells(bar.label) for bar in chart.bars), max(12, pen.width // 3))
    value_room = max(cells(bar.value) for bar in chart.bars)
    note_room = max(cells(bar.note) for bar in chart.bars)
    bar_room = min(40, pen.width - len(_INDENT) - label_room - value_room - note_room - 5)
    notes_below = bar_room < 10 and note_room > 0
    if notes_below:
        bar_room = min(40, pen.width - len(_INDENT) - label_room - value_room - 3)
    for bar in chart.bars:
        drawn = _bar(pen, bar, max(4, bar_room))
        value = " " * (value_room - cells(bar.value)) + bar.value
        line = f"{_INDENT}{pen.fit(bar.label, label_room)} {drawn} {value}"
        note = pen.paint(bar.note, "alarm") if bar.hot else bar.note
        if bar.note and notes_below:
            yield line
            yield f"{_INDENT}{' ' * label_room} {note}"
        else:
            yield f"{line}  {note}" if note else line
    if chart.caption:
        yield from (pen.paint(line, "dim") for line in pen.wrap(chart.caption, indent=_INDENT))


def _bar(pen: Pen, bar: Bar, room: int) -> str:
    if bar.share is None:
        return " " * room
    return pen.paint(pen.bar(bar.share, room), "red" if bar.hot else "cyan")


def text_table(
    pen: Pen, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: frozenset[str]
) -> Iterator[str]:
    """Yield the lines of a table; `numbers`: columns that are right-aligned."""
    rooms = [max(cells(column), *(cells(row[place]) for row in rows)) for place, column in enumerate(columns)]
    # The widest column shrinks, down to the width of a comm (TASK_COMM_LEN).
    while sum(rooms) + 2 * len(rooms) + len(_INDENT) > pen.width and max(rooms) > 16:
        rooms[rooms.index(max(rooms))] -= 1
    if sum(rooms) + 2 * len(rooms) + len(_INDENT) > pen.width + 2:
        yield from _records(pen, columns, rows)
        return
    right = [column in numbers for column in columns]
    yield _INDENT + pen.paint(_row(pen, columns, rooms, right), "dim")
    for row in rows:
        yield _INDENT + _row(pen, row, rooms, right)


def _row(pen: Pen, row: Sequence[str], rooms: Sequence[int], right: Sequence[bool]) -> str:
    return "  ".join(
        pen.fit(cell, room, right=at_right) for cell, room, at_right in zip(row, rooms, right, strict=True)
    )


def _records(pen: Pen, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Render a table for a narrow terminal: one line per cell."""
    room = max(len(column) for column in columns)
    for place, row in enumerate(rows):
        if place:
            yield ""
        for column, cell in zip(columns, row, strict=True):
            yield f"{_INDENT}{pen.paint(column.ljust(room), 'dim')}  {cell}"


def _overview(pen: Pen, overview: Overview) -> Iterator[str]:
    yield pen.paint(pen.rule(overview.sentence()), "bold")
    yield ""
    yield from _chart(pen, overview.causes())
    yield ""
    yield from text_table(pen, OVERVIEW_COLUMNS, overview.rows(), numbers=OVERVIEW_NUMBERS)
    for sentence in overview.growth():
        yield ""
        yield from pen.wrap(sentence, indent="   ")
