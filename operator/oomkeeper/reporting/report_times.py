"""Times as reports print them."""

from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.times import HOUR_SECONDS, full_hour, parse_time


class Hours(NamedTuple):
    """The whole hours that a window touches."""

    first: int
    """Beginning of the first one, in seconds since the epoch."""
    number: int

    def place(self, time: str) -> int:
        """Return which hour a time is in, from 0."""
        return int((parse_time(time) or self.first) - self.first) // HOUR_SECONDS


def window_hours(start: str, end: str) -> Hours | None:
    """Return the hours of a window; None where a time is none."""
    begin, until = parse_time(start), parse_time(end)
    if begin is None or until is None:
        return None
    first = full_hour(begin)
    return Hours(first, (full_hour(until) - first) // HOUR_SECONDS + 1)


def minute_text(time: str) -> str:
    """Format `2026-11-21T02:00:10Z` as `2026-11-21 02:00`."""
    return printable(time[:16].replace("T", " "))
