"""Whether the OOM kills of a container stopped since its memory limit was raised. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import ForeignObject
from oomkeeper.model.times import format_time, parse_time
from oomkeeper.model.units import bytes_text, count_text
from oomkeeper.resources.oomincident import RecentKill

from .incident_list import Read
from .table import age_text
from .workload_template import ContainerSettings

STOPPED, TOO_EARLY, CONTINUES, UNCHANGED, UNKNOWN = "Stopped", "TooEarly", "Continues", "Unchanged", "Unknown"
_SURE = 2
"""Times the longest pause between the kills that must have passed without one."""


class LimitChange(NamedTuple):
    """One container's limit and its kills before and after."""

    container: str
    verdict: str
    message: str
    limit_bytes: int | None
    """The template's limit now."""
    killed_at_bytes: int | None
    """The limit at the last kill."""
    changed_at: str | None
    """When the limit's field was last written; None where the object does not show it."""
    last_kill: str | None


def limit_changes(
    incidents: Sequence[Read],
    *,
    template: Sequence[ContainerSettings],
    changed_at: Mapping[str, float | None],
    now: float,
) -> list[LimitChange]:
    """Return the verdict on each container with kills, by name. `changed_at`: when its limit was last
    written, in seconds since the epoch."""
    kills: dict[str, list[RecentKill]] = {}
    for one in incidents:
        if one.incident.spec.container:
            kills.setdefault(one.incident.spec.container, []).extend(one.status.kills)
    settings = {one.name: one for one in template}
    return [
        _judge(settings[name], found, changed_at=changed_at.get(name), now=now)
        for name, found in sorted(kills.items())
        if name in settings
    ]


def _judge(
    settings: ContainerSettings, kills: Sequence[RecentKill], *, changed_at: float | None, now: float
) -> LimitChange:
    timed = [(time, kill) for kill in kills if (time := parse_time(kill.time)) is not None]
    timed.sort(key=lambda one: one[0])
    times = [time for time, _ in timed]
    limits = [kill.limit_bytes for _, kill in timed if kill.limit_bytes is not None]
    limit, at = settings.limit_bytes, limits[-1] if limits else None
    if not times or at is None or limit is None:
        what = "the incidents show no limit" if limit is not None else "it has no limit"
        return _change(settings, UNKNOWN, what, at=at, times=times, changed_at=changed_at)
    if limit <= at:
        if limit > min(limits):
            after = sum(found >= limit for found in limits)
            message = (
                f"the limit was raised from {bytes_text(min(limits))} to {bytes_text(limit)}, and "
                f"{count_text(after, 'kill')} followed at the new limit"
            )
            return _change(settings, CONTINUES, message, at=at, times=times, changed_at=changed_at)
        message = f"the limit is {bytes_text(limit)}, as at the last kill"
        return _change(settings, UNCHANGED, message, at=at, times=times, changed_at=changed_at)
    since = max(times[-1], changed_at or 0.0)
    pause = max((after - before for before, after in pairwise(times)), default=0.0)
    when = f" at {format_time(changed_at)}" if changed_at is not None else ""
    quiet = f"no kill for {age_text(now - since)}"
    message = f"the limit was raised from {bytes_text(at)} to {bytes_text(limit)}{when}, and {quiet}" + (
        f"; before, kills were up to {age_text(pause)} apart" if pause else ""
    )
    verdict = STOPPED if pause and now - since >= _SURE * pause else TOO_EARLY
    return _change(settings, verdict, message, at=at, times=times, changed_at=changed_at)


def _change(
    settings: ContainerSettings,
    verdict: str,
    message: str,
    *,
    at: int | None,
    times: Sequence[float],
    changed_at: float | None,
) -> LimitChange:
    return LimitChange(
        container=settings.name,
        verdict=verdict,
        message=message,
        limit_bytes=settings.limit_bytes,
        killed_at_bytes=at,
        changed_at=None if changed_at is None else format_time(changed_at),
        last_kill=format_time(times[-1]) if times else None,
    )


def limit_written_at(
    obj: ForeignObject, *, pod_spec: Sequence[str], settings: ContainerSettings
) -> float | None:
    """Return when the manager that owns a container's memory limit last wrote the object, in seconds since
    the epoch (metadata.managedFields); None where none is recorded. The limit changed then or before."""
    path = [f"f:{key}" for key in (*pod_spec, settings.field)]
    path += [f'k:{{"name":"{settings.name}"}}', "f:resources", "f:limits", "f:memory"]
    entries: Iterable[Any] = (obj.get("metadata") or {}).get("managedFields") or ()
    times = [
        parse_time(entry.get("time"))
        for entry in entries
        if isinstance(entry, Mapping) and _has(entry.get("fieldsV1"), path)
    ]
    return max((time for time in times if time is not None), default=None)


def _has(fields: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(fields, Mapping) or key not in fields:
            return False
        fields = fields[key]
    return True


def change_text(changes: Sequence[LimitChange]) -> Iterator[str]:
    """Yield one line per container."""
    for one in changes:
        yield printable(f"{one.container}: {one.verdict}: {one.message}.")
