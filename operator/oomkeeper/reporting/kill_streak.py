"""When the kills of a workload began: the first kill after a quiet time, and the rollout just before it.

Pure. An OOMIncident has a week of hours with kills and its last ten kills, each with its pod and the start of
its container; a pod of a Deployment has its ReplicaSet in its name, one of a StatefulSet or DaemonSet its
ControllerRevision in a label. When that was created, which revision it is, and which memory limits it and the
revision before it set, only these objects tell."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from oomkeeper.model.cause import Cause
from oomkeeper.model.times import HOUR_SECONDS, format_time, parse_time
from oomkeeper.model.units import bytes_text, count_text
from oomkeeper.resources.oomincident import OOMIncident, OOMIncidentStatus, RecentKill

from .incident import incident_of
from .report_times import minute_text
from .window import placed_kills

QUIET_SECONDS = 24 * HOUR_SECONDS
"""A time without a kill that ends what was before."""
_LEAST_KILLS = 3
"""Fewer after a quiet time are no beginning of anything."""
_EVEN = 1.5
"""Longest against shortest run of a container that is still "after each start"."""
_POD_SUFFIX = re.compile(r"-[a-z0-9]{1,10}-[a-z0-9]{5}", re.ASCII)


_LIMIT_ROUNDING_BYTES = 64 << 10
"""The kernel rounds a limit down to whole pages: of 64 KiB at most."""


class Rollout(NamedTuple):
    """A ReplicaSet or a ControllerRevision."""

    revision: str
    """Its number; empty where it has none."""
    created: float
    place: str
    """Kind and name."""
    limits: Mapping[str, int | None] = {}
    """Container -> memory limit in its pod template, in bytes."""
    earlier_limits: Mapping[str, int | None] = {}
    """The same of the revision before it; empty where that one is gone."""


class KilledPod(NamedTuple):
    """A pod of one of the last kills."""

    name: str
    uid: str | None


class Streak(NamedTuple):
    """Kills of one workload with no quiet time among them, up to the last one. Times in seconds since the
    epoch."""

    since: float
    to_the_hour: bool
    """The first kill is known to the hour only."""
    kills: int
    quiet_seconds: float | None
    """Time without a kill before; None where no earlier kill is recorded."""
    replica_set: str | None
    """Of all pods among the last kills; None where there are several, or none is known."""
    run_seconds: float | None
    """Time from each container's start to its kill; None where it differs or is not known."""
    pods: tuple[KilledPod, ...] = ()
    """Pods of the last kills, each once; empty where the pod of one of them is not known."""
    limits: Mapping[str, int] = {}
    """Container -> memory limit at its last kills; without those whose limit is not known or changed."""


def streak_of(incidents: Sequence[OOMIncident], *, now: float) -> Streak | None:
    """Return the streak of the incidents of one workload; None where none of them has a kill."""
    moments: list[tuple[float, int]] = []
    recent: list[RecentKill] = []
    for obj in incidents:
        moments += placed_kills(incident_of(obj), start=0.0, end=now)
        recent += (obj.status or OOMIncidentStatus()).kills
    if not moments:
        return None
    moments.sort()
    first, quiet = 0, None
    for place, ((before, _), (after, _)) in enumerate(pairwise(moments), 1):
        if after - before >= QUIET_SECONDS:
            first, quiet = place, after - before
    since = moments[first][0]
    exact = {time for kill in recent if (time := parse_time(kill.time)) is not None}
    last = [kill for kill in recent if (parse_time(kill.time) or 0.0) >= since]
    return Streak(
        since=since,
        to_the_hour=since not in exact,
        kills=sum(kills for _, kills in moments[first:]),
        quiet_seconds=quiet,
        replica_set=_replica_set(incidents[0], last),
        run_seconds=_run_seconds(last),
        pods=_pods(last),
        limits=_limits(incidents, since=since),
    )


def streak_sentence(streak: Streak, rollout: Rollout | None) -> str | None:
    """Return how the kills began: `No kill for 5 days, then 14 since 2026-11-20 10:09 UTC, 6 minutes after
    revision 42 was created (ReplicaSet web-7f9c6d5b8).` None where neither a rollout nor a quiet time before
    several kills marks the beginning."""
    after = _after(streak, rollout)
    if not after and (streak.quiet_seconds is None or streak.kills < _LEAST_KILLS):
        return None
    quiet = (
        f"No kill for {_length(streak.quiet_seconds)}, then"
        if streak.quiet_seconds is not None
        else "No earlier kill is recorded;"
    )
    about = "the hour from " if streak.to_the_hour else ""
    runs = f", about {_length(streak.run_seconds)} after each start" if streak.run_seconds else ""
    where = f", in pods of ReplicaSet {streak.replica_set}" if streak.replica_set and not after else ""
    since = minute_text(format_time(streak.since))
    limits = _limit_sentences(streak, rollout) if rollout is not None and after else ""
    return f"{quiet} {streak.kills:,} since {about}{since} UTC{after}{where}{runs}.{limits}"


def _limit_sentences(streak: Streak, rollout: Rollout) -> str:
    """Return whether the rollout changed the memory limit of each killed container, where both pod templates
    show it and the kernel killed at the new one: a LimitRange, an admission webhook or a resize in place sets
    what no template has."""
    text = ""
    for container, limit in sorted(streak.limits.items()):
        now, before = rollout.limits.get(container), rollout.earlier_limits.get(container)
        if now is None or before is None or abs(now - limit) >= _LIMIT_ROUNDING_BYTES:
            continue
        of = f"memory limit of container {container}"
        if now == before:
            text += f" The {of} is unchanged: {bytes_text(now)}."
        else:
            by = f"revision {rollout.revision}" if rollout.revision else rollout.place
            text += f" The {of} changed from {bytes_text(before)} to {bytes_text(now)} with {by}."
    return text


def _after(streak: Streak, rollout: Rollout | None) -> str:
    """Return `, 6 minutes after revision 42 was created`; empty where the rollout was at another time."""
    if rollout is None:
        return ""
    latest = streak.since + (HOUR_SECONDS if streak.to_the_hour else 0)
    quiet_from = streak.since - (streak.quiet_seconds or float("inf"))
    if not quiet_from < rollout.created <= latest:
        return ""
    revision = f"revision {rollout.revision}" if rollout.revision else "it"
    lag = streak.since - rollout.created
    when = f"{_length(lag)} after" if lag >= 60 and not streak.to_the_hour else "after"
    return f", {when} {revision} was created ({rollout.place})"


def _replica_set(obj: OOMIncident, kills: Sequence[RecentKill]) -> str | None:
    workload = obj.spec.workload
    if workload is None or workload.kind != "Deployment":
        return None
    names = {kill.pod for kill in kills if kill.pod}
    sets = set()
    for name in names:
        if not name.startswith(workload.name) or not _POD_SUFFIX.fullmatch(name[len(workload.name) :]):
            return None
        sets.add(name.rpartition("-")[0])
    return sets.pop() if len(sets) == 1 else None


def _pods(kills: Sequence[RecentKill]) -> tuple[KilledPod, ...]:
    if not all(kill.pod for kill in kills):
        return ()
    return tuple(dict.fromkeys(KilledPod(kill.pod or "", kill.pod_uid) for kill in kills))


def _limits(incidents: Sequence[OOMIncident], *, since: float) -> dict[str, int]:
    found: dict[str, set[int | None]] = {}
    for obj in incidents:
        if obj.spec.container and obj.spec.cause == Cause.CONTAINER_LIMIT:
            limits = found.setdefault(obj.spec.container, set())
            for kill in (obj.status or OOMIncidentStatus()).kills:
                if (parse_time(kill.time) or 0.0) >= since:
                    limits.add(kill.limit_bytes)
    return {
        container: limit
        for container, limits in found.items()
        if len(limits) == 1 and (limit := next(iter(limits)))
    }


def _run_seconds(kills: Sequence[RecentKill]) -> float | None:
    runs = []
    for kill in kills:
        started, ended = parse_time(kill.started_at), parse_time(kill.time)
        if started is None or ended is None or ended <= started:
            return None
        runs.append(ended - started)
    return median(runs) if len(runs) > 1 and max(runs) <= min(runs) * _EVEN else None


def _length(seconds: float) -> str:
    if seconds >= 2 * 86400:
        return count_text(int(seconds // 86400), "day")
    if seconds >= 2 * HOUR_SECONDS:
        return count_text(int(seconds // HOUR_SECONDS), "hour")
    if seconds >= 60:
        return count_text(round(seconds / 60), "minute")
    return count_text(round(seconds), "second")
