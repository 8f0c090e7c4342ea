"""Kills of this node by the hour. They are counted beside the incidents, so a kill stays counted when its
incident is gone: dropped by a bound, or deleted with its namespace."""

from collections.abc import Iterable

from oomkeeper.resources.oomincident import HourCount
from oomkeeper.resources.oomnode import KillHistory
from oomkeeper.resources.record import max_items

from .clock import full_hour, parse_rfc3339, rfc3339
from .store import Store

HISTORY_NOTE = "kills by hour"
HOURS = max_items(KillHistory, "kills")
"""Hours that are published, up to the last one with a kill."""
KEPT_HOURS = 2 * HOURS
"""Hours with a kill that are kept. While the clock is years ahead, those before are still needed: it will be
set right."""
_HOUR_SECONDS = 3600


def count_in_hour(store: Store, time: str) -> None:
    """Count one kill at `time` (RFC 3339). Call it within the transaction that counts the kill."""
    add_hours(store, [HourCount(hour=full_hour(time), kills=1)])


def add_hours(store: Store, hours: Iterable[HourCount]) -> None:
    """Add kills to their hours (or take them out, where negative), within a transaction."""
    kills = store.note(HISTORY_NOTE, dict[int, int]) or {}
    for one in hours:
        hour = int(parse_rfc3339(one.hour)) // _HOUR_SECONDS
        kills[hour] = kills.get(hour, 0) + one.kills
    newest = sorted(hour for hour, count in kills.items() if count > 0)[-KEPT_HOURS:]
    store.put_note(HISTORY_NOTE, {hour: kills[hour] for hour in newest}, published=True)


def kill_history(store: Store, *, now: float) -> KillHistory | None:
    """Return the kills of the last hours; None before the first kill. `now` is in seconds since the epoch.

    Hours in the future are left out where there are others: an earlier boot whose clock was ahead dated kills
    into them. Their incidents have them.
    """
    kills = store.note(HISTORY_NOTE, dict[int, int])
    if not kills:
        return None
    last = max((hour for hour in kills if hour <= now // _HOUR_SECONDS + 1), default=max(kills))
    hours = range(min(hour for hour in kills if last - HOURS < hour <= last), last + 1)
    return KillHistory(
        first_hour=full_hour(rfc3339(hours[0] * _HOUR_SECONDS)),
        kills=tuple(kills.get(hour, 0) for hour in hours),
    )
