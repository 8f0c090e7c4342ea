"""Count the kills of an incident within a time window.

An OOMIncident keeps exact times of its last ten kills and one number per full hour for seven days. Together
they give the number of kills in a window: exactly, except in the one hour that contains the window's start,
and there only for an incident with more kills since then than the exact times; those are counted, because one
kill too many is better than a lost one."""

from collections.abc import Mapping, Sequence

from oomkeeper.model.times import HOUR_SECONDS, full_hour

from .incident import Incident


def placed_kills(incident: Incident, *, start: float, end: float) -> list[tuple[float, int]]:
    """Return moments within [start, end] with the kills that belong there; what is only known by the hour
    goes to its start.

    A kill that a node's clock dates after `end` is one of now.
    """
    ring: dict[int, list[float]] = {}
    for time in incident.kill_times:
        ring.setdefault(full_hour(time), []).append(time)
    # The ring holds the newest: whatever it does not hold was earlier than its oldest.
    older_are_outside = min(incident.kill_times, default=start) < start
    placed: list[tuple[float, int]] = []
    for hour, kills in _slots(incident, ring).items():
        known = ring.get(hour, ())
        for time in known:
            if time >= start:
                placed.append((min(time, end), 1))
        unknown = kills - len(known)
        if unknown > 0 and not older_are_outside and hour + HOUR_SECONDS > start:
            placed.append((hour if start <= hour <= end else min(max(float(hour), start), end), unknown))
    return placed


def kills_since(incident: Incident, *, start: float, end: float) -> int:
    """Kills of the incident within [start, end]."""
    return sum(kills for _, kills in placed_kills(incident, start=start, end=end))


def _slots(incident: Incident, ring: Mapping[int, Sequence[float]]) -> Mapping[int, int]:
    """Full hour -> kills. The ring fills in where the history has no hour for it (or does not count it
    yet)."""
    slots = dict(incident.history)
    for hour, times in ring.items():
        slots[hour] = max(slots.get(hour, 0), len(times))
    if not slots and incident.count and incident.last_seen is not None:
        slots[full_hour(incident.last_seen)] = incident.count
    return slots
