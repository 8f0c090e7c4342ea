"""Tables as kubectl prints them: upper-case headings, columns three blanks apart, nothing cut off."""

from collections.abc import Iterator, Sequence

from oomkeeper.model.escaping import printable
from oomkeeper.model.times import parse_time

from .terminal_drawing import cells

_GAP = 3
_NONE = "<none>"


class Table:
    """Formats rows under fixed columns. Rows that come later (a watch) keep the widths of the first ones, or
    widen them."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._rooms = [cells(column) for column in columns]

    def lines(self, rows: Sequence[Sequence[str]], *, headings: bool = True) -> Iterator[str]:
        """Yield the headings (on request) and one line per row. Every cell is escaped, and never empty."""
        shown = [tuple(printable(cell) or _NONE for cell in row) for row in rows]
        for row in shown:
            for place, cell in enumerate(row):
                self._rooms[place] = max(self._rooms[place], cells(cell))
        for row in ((self._columns,) if headings else ()) + tuple(shown):
            yield self._line(row)

    def _line(self, row: Sequence[str]) -> str:
        padded = (
            cell + " " * (room - cells(cell) + _GAP) for cell, room in zip(row, self._rooms, strict=True)
        )
        return "".join(padded).rstrip()


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of one table."""
    return Table(columns).lines(rows)


def age_text(seconds: float | None) -> str:
    """Format an age as kubectl does (HumanDuration in k8s.io/apimachinery/pkg/util/duration): `5m12s`, `3h`,
    `2d4h`; `<unknown>` for None."""
    if seconds is None:
        return "<unknown>"
    if seconds < -1:
        return "<invalid>"
    total = max(0, int(seconds))
    minutes, hours, days, years = total // 60, total // 3600, total // 86_400, total // (86_400 * 365)
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _pair(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _pair(years, "y", days % 365, "d")
    return f"{years}y"


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def age_of(time: str | None, now: float) -> str:
    """Format the age of an RFC 3339 time; empty where there is none. `now`: seconds since the epoch."""
    moment = parse_time(time)
    return "" if moment is None else age_text(now - moment)
