"""The kills of one log on a time line."""

from math import isfinite
from typing import NamedTuple

from oomkeeper.model.times import parse_time
from oomkeeper.model.units import count_text
from oomkeeper.resources.killrecord import KillRecord

from .explanation import moment_text

MAX_TIMES = 10_000
"""Events with a time that are kept; later ones are not drawn, so memory stays bounded."""
_PARTS = 60
_LEAST = 3


class Timeline(NamedTuple):
    """Events in equal parts of the time from the first to the last."""

    parts: tuple[int, ...]
    first: str
    last: str
    text: str
    """The same in one sentence."""

    @property
    def most(self) -> int:
        """Return the events of the fullest part."""
        return max(self.parts)


class KillTimes:
    """Collects times of kills, of one clock: since boot, or wall-clock time."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._since_boot: bool | None = None
        self._first: tuple[float, str] | None = None
        self._last: tuple[float, str] | None = None
        self._whole = True

    def add(self, kill: KillRecord) -> None:
        """Keep the kill's time if it has one."""
        time = kill.time or ""
        since_boot = time.startswith("+")
        seconds = _seconds(time[1:]) if since_boot else parse_time(time)
        if seconds is None or self._since_boot not in (None, since_boot) or len(self._times) >= MAX_TIMES:
            self._whole = False
            return
        self._since_boot = since_boot
        if self._first is None or seconds < self._first[0]:
            self._first = (seconds, moment_text(kill))
        if self._last is None or seconds >= self._last[0]:
            self._last = (seconds, moment_text(kill))
        self._times.append(seconds)

    def timeline(self) -> Timeline | None:
        """Return the events over time; None for fewer than three times, or all at one moment."""
        if len(self._times) < _LEAST or self._first is None or self._last is None:
            return None
        (start, first), (end, last) = self._first, self._last
        if end <= start:
            return None
        parts = [0] * _PARTS
        for seconds in self._times:
            parts[min(int((seconds - start) / (end - start) * _PARTS), _PARTS - 1)] += 1
        length = f"{(end - start) / _PARTS:,.0f} s" if end - start >= _PARTS else "less than a second"
        missing = "" if self._whole else " Events whose time is not known are left out."
        return Timeline(
            parts=tuple(parts),
            first=first,
            last=last,
            text=f"Each bar is {length}; the highest is {count_text(max(parts), 'event')}.{missing}",
        )


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if isfinite(seconds) else None
