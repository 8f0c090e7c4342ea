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
"""Hours that are kept, up to the last one with a kill."""
_HOUR_SECONDS = 3600


def count_in_hour(store: Store, time: str) -> None:
    """Count one kill at `time` (RFC 3339). Call it within the transaction that counts the kill."""
    add_hours(store, [HourCount(hour=full_hour(time), kills=1)])


def add_hours(store: Store, hours: Iterable[HourCount]) -> None:
    """Add kills to their hours (or take them out, where negative), within a transaction."""
    kills = store.note(HISTORY_NOTE, dict[int, int]) or {}
    for one in hours:
        hour = int(parse_rfc3339(one.hour)) // _HOUR_SECONDS
        kills[hour] = max(0, kills.get(hour, 0) + one.kills)
    last = max(kills, default=0)
    kept = {hour: count for hour, count in kills.items() if hour > last - HOURS}
    store.put_note(HISTORY_NOTE, kept, published=True)


def kill_history(store: Store) -> KillHistory | None:
    """Return the kills of the last hours; None before the first kill."""
    kills = store.note(HISTORY_NOTE, dict[int, int])
    if not kills:
        return None
    hours = range(min(kills), max(kills) + 1)
    return KillHistory(
        first_hour=full_hour(rfc3339(hours[0] * _HOUR_SECONDS)),
        kills=tuple(kills.get(hour, 0) for hour in hours),
    )
