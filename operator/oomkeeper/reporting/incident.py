"""An OOMIncident as summaries and reports need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from typing import NamedTuple

from oomkeeper.model.cause import Cause, ContainerKind, Remedy
from oomkeeper.model.json_types import ForeignObject
from oomkeeper.model.names import NOTIFIED_ANNOTATION
from oomkeeper.model.sharing import shared
from oomkeeper.model.times import full_hour, parse_time
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import (
    HourCount,
    OOMIncident,
    OOMIncidentSpec,
    OOMIncidentStatus,
    RecentKill,
    WorkloadIdentity,
)
from oomkeeper.resources.oomreport import WorkloadReport
from oomkeeper.resources.record import max_length, read_part

HOST_KIND = "Cgroup"
"""Kind of the workload of a host process; its name is the cgroup's path."""

_MOST_DIGITS = 18
_NAME_LENGTH = max_length(WorkloadReport, "name")


class Workload(NamedTuple):
    """Owner of the killed processes."""

    namespace: str
    """Empty for a host process."""
    kind: str
    name: str


class LastKill(NamedTuple):
    """The last kill in one pod."""

    comm: str | None
    pid: int | None
    resident_bytes: int | None
    """Resident anonymous memory of the victim."""
    limit_bytes: int | None
    survived: bool | None
    """Whether the container kept running; None if unknown."""


class PodKills(NamedTuple):
    """The recent kills of one pod. Times in seconds since the epoch."""

    name: str
    uid: str
    kills: int
    first_seen: float
    last_seen: float
    last: LastKill | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Repeated kills of one subject for one cause. Times in seconds since the epoch."""

    namespace: str
    name: str
    uid: str
    version: int = field(compare=False)
    """metadata.resourceVersion; comparable since KEP-5504, and in practice before."""
    node: str
    pods: tuple["PodKills", ...]
    """Pods of the recent kills, the last killed first; empty for a host process."""
    container: str | None
    container_kind: str | None = None
    """Container, InitContainer or EphemeralContainer."""
    workload: Workload
    workload_identity: WorkloadIdentity | None = None
    """The workload at the last kill; None for a pod without an owner, a host process, or if unknown."""
    cause: str
    count: int
    first_seen: float | None
    last_seen: float | None
    summary: str
    advice: tuple[tuple[str, str], ...]
    """(remedy, message), best first."""
    limit_bytes: int | None
    kill_times: tuple[float, ...]
    """Times of the last kills, newest first."""
    history: tuple[tuple[int, int], ...]
    """(full hour, kills)."""
    notified: int = field(default=0, compare=False)
    """Kills that the webhook has accepted, as the controller noted it."""
    written_at: float | None = field(default=None, compare=False)
    """When the status was written, by the API server's clock; no kill was later."""
    malformed: str | None = None
    """The problem, if a part of the object could not be read; that part counts as absent."""


def decode_incident(obj: ForeignObject) -> Incident:
    """Decode an OOMIncident. Never raises: a malformed spec or status counts as absent."""
    metadata, no_metadata = read_part(ObjectMeta, obj.get("metadata"))
    spec, no_spec = read_part(OOMIncidentSpec, obj.get("spec"))
    status, no_status = read_part(OOMIncidentStatus, obj.get("status") or {})
    status = status or OOMIncidentStatus()
    return _incident(
        metadata or ObjectMeta(),
        spec,
        status,
        pods=_pods(status.kills),
        history=tuple(map(shared, _history(status.history))),
        written_at=status_written_at(obj),
        malformed=no_metadata or no_spec or no_status,
    )


def incident_of(obj: OOMIncident) -> Incident:
    """Return the same of an object that was read as a whole, without `pods`, which reports do not need, and
    without sharing parts: it is not kept."""
    status = obj.status or OOMIncidentStatus()
    return _incident(obj.metadata, obj.spec, status, pods=(), history=_history(status.history))


def _incident(
    metadata: ObjectMeta,
    spec: OOMIncidentSpec | None,
    status: OOMIncidentStatus,
    *,
    pods: tuple[PodKills, ...],
    history: tuple[tuple[int, int], ...],
    written_at: float | None = None,
    malformed: str | None = None,
) -> Incident:
    namespace = shared(metadata.namespace or "")
    evidence = status.evidence
    return Incident(
        namespace=namespace,
        name=metadata.name or "",
        uid=metadata.uid or "",
        version=resource_version(metadata),
        node=shared(spec.node_name) if spec else "",
        pods=pods,
        container=shared(spec.container) if spec else None,
        container_kind=_known(ContainerKind, status.container_kind or ""),
        workload=_workload(spec, namespace=namespace),
        workload_identity=shared(status.workload) if status.workload else None,
        cause=_known(Cause, status.cause or (spec.cause if spec else "")) or Cause.UNKNOWN,
        count=max(status.count or 0, 0),
        first_seen=parse_time(status.first_seen),
        last_seen=parse_time(status.last_seen),
        summary=status.summary or "",
        advice=tuple(
            shared((remedy, item.message))
            for item in status.advice
            if (remedy := _known(Remedy, item.remedy))
        ),
        limit_bytes=evidence.limit_bytes if evidence else None,
        kill_times=tuple(time for kill in status.kills if (time := parse_time(kill.time)) is not None),
        history=history,
        notified=_notified(metadata),
        written_at=written_at,
        malformed=malformed,
    )


def resource_version(metadata: ObjectMeta) -> int:
    """Return metadata.resourceVersion as a number; 0 where it is none."""
    version = metadata.resource_version or ""
    return int(version) if version.isdecimal() else 0


def status_written_at(obj: ForeignObject, *, manager: str | None = None) -> float | None:
    """Return when a manager (None: any) last changed the status, by the API server's clock; None if unknown.
    The source is metadata.managedFields, which the API server writes."""
    metadata = obj.get("metadata")
    entries = metadata.get("managedFields") if isinstance(metadata, Mapping) else None
    times = [
        parse_time(entry.get("time"))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping)
        and entry.get("subresource") == "status"
        and (manager is None or entry.get("manager") == manager)
    ]
    return max((time for time in times if time is not None), default=None)


def _notified(metadata: ObjectMeta) -> int:
    """Return the annotation of the controller; 0 where it is absent or no number."""
    text = (metadata.annotations or {}).get(NOTIFIED_ANNOTATION, "")
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0


def _workload(spec: OOMIncidentSpec | None, *, namespace: str) -> Workload:
    if spec is None:
        return Workload(namespace, "Unknown", "unknown")
    if spec.workload is None:
        return Workload("", HOST_KIND, (spec.cgroup or "/")[-_NAME_LENGTH:])
    return shared(Workload(namespace, spec.workload.kind, spec.workload.name))


def _pods(kills: tuple[RecentKill, ...]) -> tuple[PodKills, ...]:
    found: dict[str, PodKills] = {}
    for kill in kills:
        time = parse_time(kill.time)
        if time is None or not kill.pod or not kill.pod_uid:
            continue
        known = found.get(kill.pod_uid) or PodKills(kill.pod, kill.pod_uid, 0, time, time)
        found[kill.pod_uid] = known._replace(
            kills=known.kills + 1,
            first_seen=min(known.first_seen, time),
            last_seen=max(known.last_seen, time),
            last=_last_kill(kill) if known.last is None or time > known.last_seen else known.last,
        )
    return tuple(sorted(found.values(), key=lambda pod: (-pod.last_seen, pod.name)))


def _last_kill(kill: RecentKill) -> LastKill:
    return LastKill(
        shared(kill.comm), kill.pid, kill.anon_rss_bytes, kill.limit_bytes, kill.container_survived
    )


def _known(names: type[StrEnum], name: str) -> str | None:
    """Return the name if it is one of these: the schema of a report accepts no other."""
    return name if name in _values(names) else None


@cache
def _values(names: type[StrEnum]) -> frozenset[str]:
    return frozenset(names)


def _history(history: tuple[HourCount, ...]) -> tuple[tuple[int, int], ...]:
    slots: dict[int, int] = {}
    for item in history:
        slot = _hour(item.hour)
        if slot is not None and item.kills > 0:
            slots[slot] = slots.get(slot, 0) + item.kills
    return tuple(sorted(slots.items()))


@lru_cache(maxsize=1024)
def _hour(text: str) -> int | None:
    """Return the full hour of a time. All incidents together have few different ones: a week has 168."""
    time = parse_time(text)
    return None if time is None else full_hour(time)
