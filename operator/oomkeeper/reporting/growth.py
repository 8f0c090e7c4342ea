"""Find growth in the last kills of one incident: a limit filled repeatedly, or a peak that grows.

Pure: the last kills of an OOMIncident in, a sentence out; None where the kills do not support one.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from oomkeeper.model.cause import Cause, Remedy
from oomkeeper.model.escaping import printable
from oomkeeper.model.times import parse_time
from oomkeeper.model.units import bytes_text, share_text
from oomkeeper.resources.killrecord import KillRecord
from oomkeeper.resources.oomincident import AdviceItem, RecentKill

_SINCE_BOOT = re.compile(r"\+\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_MIN_KILLS = 3
_MIN_APART_SECONDS = 5.0
"""Kills closer together are of workers that ran at the same time, not of one run after the other."""
_FILLED = 0.5
"""Part of the limit that the victim itself must have used; otherwise other processes grew."""
_EVEN = 1.5
"""Longest against shortest time to the next kill that still counts as even."""
_GROWN = 1.2
_RAISED = 1.5
_LONG_RUN_SECONDS = 600.0
"""A shorter run may have been killed by what it does when it starts."""
NO_SHORTAGE = frozenset({Cause.MANUAL_TRIGGER, Cause.EXTERNAL_POLICY})
_WHAT_TO_DO = "Compare a heap profile taken soon after its start with one taken later."


class _Peak(NamedTuple):
    """What one victim used when it was killed."""

    seconds: float
    pid: int
    held_bytes: int
    limit_bytes: int | None
    started_seconds: float | None
    """When its container started; None where that is not known."""


class _Runs(NamedTuple):
    """Kills of one process after the other, the oldest first."""

    comm: str
    peaks: list[_Peak]
    apart: list[float]
    """Seconds between each kill and the next."""


def growth_sentence(kills: Sequence[RecentKill]) -> str | None:
    """Return how a process grew over its last kills (newest first); None where they do not show growth.

    Only runs of one comm count: at least three, each another process, each at least 5 s after the one before.
    The growth rate is a lower bound: it is measured from the start of the container, so that back-off does
    not count, or where that is not known from the kill before."""
    runs = _runs(kills)
    if runs is None:
        return None
    return _limit_filled(runs.comm, runs.peaks, runs.apart) or _peak_grows(runs.comm, runs.peaks)


def unbounded_growth(kills: Sequence[RecentKill]) -> str | None:
    """Return a sentence if the last kills (newest first) show growth that a higher limit does not stop; None
    where they do not.

    Either a limit that was raised by half was filled again; or at least three runs of at least ten minutes
    took about the same time to fill it. A process that is killed soon after each start needs more memory, or
    less work, but does not grow over time."""
    runs = _runs(kills)
    if runs is None:
        return None
    limits = [peak.limit_bytes or 0 for peak in runs.peaks]
    if any(peak.held_bytes < limit * _FILLED for peak, limit in zip(runs.peaks, limits, strict=True)):
        return None
    if limits[0] > 0 and limits[-1] >= limits[0] * _RAISED:
        return (
            f"{runs.comm} filled {bytes_text(limits[0])} and, after the limit was raised, "
            f"{bytes_text(limits[-1])} as well"
        )
    ran = [
        peak.seconds - peak.started_seconds
        for peak in runs.peaks
        if peak.started_seconds is not None and peak.started_seconds < peak.seconds
    ]
    if len(ran) < _MIN_KILLS or min(ran) < _LONG_RUN_SECONDS or max(ran) > min(ran) * _EVEN:
        return None
    return f"{runs.comm} ran for {_between(ran)} each time before it filled {bytes_text(limits[-1])}"


def _runs(kills: Sequence[RecentKill]) -> _Runs | None:
    """Return the last kills as runs of one process after the other; None where they are not."""
    comm = (kills[0].comm or "") if kills else ""
    peaks = sorted(peak for kill in kills if kill.comm == comm and (peak := _peak(kill)))
    if not comm or len(peaks) < _MIN_KILLS or len({peak.pid for peak in peaks}) < len(peaks):
        return None
    apart = [after.seconds - before.seconds for before, after in pairwise(peaks)]
    return None if min(apart) < _MIN_APART_SECONDS else _Runs(printable(comm), peaks, apart)


def with_growth(
    advice: Sequence[AdviceItem], kills: Sequence[RecentKill], *, cause: str
) -> tuple[AdviceItem, ...]:
    """Return the advice on the last kill, with the growth over all kills in the advice to find the leak."""
    growth = growth_sentence(kills) if cause not in NO_SHORTAGE else None
    if growth is None:
        return tuple(advice)
    others = (item for item in advice if item.remedy != Remedy.FIND_LEAK)
    leak = next((item.message for item in advice if item.remedy == Remedy.FIND_LEAK), _WHAT_TO_DO)
    return (AdviceItem(remedy=str(Remedy.FIND_LEAK), message=f"{growth} {leak}"), *others)


def recent_kill(kill: KillRecord) -> RecentKill:
    """Return the part of a kill that growth is computed from; the kill must have a victim."""
    victim = kill.victims[0]
    return RecentKill(
        id="",
        time=kill.time or "",
        comm=victim.comm,
        pid=victim.pid,
        limit_bytes=kill.limit_bytes,
        anon_rss_bytes=victim.anon_rss_bytes,
    )


def _peak(kill: RecentKill) -> _Peak | None:
    seconds = _seconds(kill.time)
    if seconds is None or kill.pid is None or not kill.anon_rss_bytes:
        return None
    started = parse_time(kill.started_at) if kill.started_at else None
    return _Peak(seconds, kill.pid, kill.anon_rss_bytes, kill.limit_bytes, started)


def _seconds(time: str) -> float | None:
    """Parse RFC 3339, or `+SECONDS` since boot where the log had no clock. The two are never compared,
    because a log has the same kind throughout."""
    if _SINCE_BOOT.fullmatch(time):
        return float(time)
    return parse_time(time)


def _limit_filled(comm: str, peaks: Sequence[_Peak], apart: Sequence[float]) -> str | None:
    limits = [peak.limit_bytes for peak in peaks if peak.limit_bytes]
    if len(limits) < len(peaks):
        return None
    if any(peak.held_bytes < limit * _FILLED for peak, limit in zip(peaks, limits, strict=True)):
        return None
    pace = min(after.held_bytes / _growing_seconds(before, after) for before, after in pairwise(peaks))
    even = max(apart) <= min(apart) * _EVEN
    raised = limits[-1] > limits[0]
    met = (
        f"{comm} filled its limit {len(peaks)} times, though it was raised from {bytes_text(limits[0])} to "
        f"{bytes_text(limits[-1])}"
        if raised
        else f"{comm} filled its limit of {bytes_text(limits[-1])} {len(peaks)} times"
    )
    evenly = ", at even intervals typical of a leak" if even else ""
    return (
        f"{met}, {_between(apart)} apart{evenly}: it grows by at least {_pace(pace)}. If this is a leak, a "
        "higher limit only delays the next kill."
    )


def _growing_seconds(before: _Peak, after: _Peak) -> float:
    """Return how long the second process grew at most. kubelet reports starts in whole seconds."""
    started = after.started_seconds
    if started is None or not before.seconds - 1 <= started < after.seconds:
        started = before.seconds
    return max(1.0, after.seconds - started)


def _peak_grows(comm: str, peaks: Sequence[_Peak]) -> str | None:
    held = [peak.held_bytes for peak in peaks]
    rising = all(before < after for before, after in pairwise(held))
    if not rising or held[-1] < held[0] * _GROWN:
        return None
    lifetime = peaks[-1].seconds - peaks[0].seconds
    return (
        f"{comm} used {', '.join(map(bytes_text, held))} at its last {len(peaks)} kills: within "
        f"{_duration(lifetime)} its peak grew by {bytes_text(held[-1] - held[0])} "
        f"({share_text(held[-1] / held[0] - 1)})."
    )


def _between(apart: Sequence[float]) -> str:
    shortest, longest = _duration(min(apart)), _duration(max(apart))
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _duration(seconds: float) -> str:
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def _pace(bytes_per_second: float) -> str:
    """Format the rate per second, minute, hour or day, whichever is at least 1 MiB: comparable with a
    limit."""
    for unit, name in ((1, "second"), (60, "minute"), (3600, "hour")):
        if bytes_per_second * unit >= 1 << 20:
            return f"{bytes_text(int(bytes_per_second * unit))} per {name}"
    return f"{bytes_text(int(bytes_per_second * 86_400))} per day"
