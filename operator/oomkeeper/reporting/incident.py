"""An OOMIncident as far as summaries and reports need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from oomkeeper.model.cause import Cause, Remedy
from oomkeeper.model.times import parse_time

from .loose import items, mapping, text, whole

HOST_KIND = "Cgroup"
"""Stands as the workload's kind where the victim belonged to no pod; the name is then the cgroup's path."""

_ADVICE_MAX = 8
_NAME_MAX = 253


class Workload(NamedTuple):
    """Whose process it was."""

    namespace: str
    """Empty for a host process."""
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Repeated kills of one subject for one cause. Times in seconds since the epoch."""

    namespace: str
    name: str
    uid: str
    version: int = field(compare=False)
    """metadata.resourceVersion; comparable since KEP-5504, and in practice before."""
    node: str
    pod_name: str | None
    """Pod of the last kill; None for a host process."""
    pod_uid: str | None
    container: str | None
    workload: Workload
    cause: str
    count: int
    first_seen: float | None
    last_seen: float | None
    summary: str
    advice: tuple[tuple[str, str], ...]
    """(remedy, message), best first."""
    limit_bytes: int | None
    kill_times: tuple[float, ...]
    """Of the ring: the newest first."""
    history: tuple[tuple[int, int], ...]
    """(full hour, kills)."""


def read_incident(obj: Mapping[str, Any]) -> Incident:
    """What an OOMIncident object says. Never raises: a field of the wrong type counts as absent."""
    metadata, spec, status = (
        mapping(obj.get("metadata")),
        mapping(obj.get("spec")),
        mapping(obj.get("status")),
    )
    workload, evidence = mapping(spec.get("workload")), mapping(status.get("evidence"))
    namespace = text(metadata.get("namespace"))
    kills = [mapping(kill) for kill in items(status.get("kills"))]
    count = whole(status.get("count")) or 0
    last = kills[0] if kills else {}
    if workload:
        owner = Workload(
            namespace, text(workload.get("kind")) or "Unknown", text(workload.get("name")) or "unknown"
        )
    else:
        owner = Workload("", HOST_KIND, (text(spec.get("cgroup")) or "/")[-_NAME_MAX:])
    return Incident(
        namespace=namespace,
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=_version(text(metadata.get("resourceVersion"))),
        node=text(spec.get("nodeName")),
        pod_name=text(last.get("pod")) or None,
        pod_uid=text(last.get("podUID")) or None,
        container=text(spec.get("container")) or None,
        workload=owner,
        cause=_known(Cause, text(status.get("cause")) or text(spec.get("cause"))) or Cause.UNKNOWN,
        count=max(count, 0),
        first_seen=parse_time(status.get("firstSeen")),
        last_seen=parse_time(status.get("lastSeen")),
        summary=text(status.get("summary")),
        advice=tuple(
            (remedy, text(item.get("message")))
            for item in map(mapping, items(status.get("advice"))[:_ADVICE_MAX])
            if (remedy := _known(Remedy, text(item.get("remedy"))))
        ),
        limit_bytes=whole(evidence.get("limitBytes")),
        kill_times=tuple(time for kill in kills if (time := parse_time(kill.get("time"))) is not None),
        history=_history(status.get("history")),
    )


def _version(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _known(names: type[StrEnum], name: str) -> str | None:
    """The name, if it is one of these: a report's schema lets no other through."""
    return name if name in set(names) else None


def _history(raw: object) -> tuple[tuple[int, int], ...]:
    slots: dict[int, int] = {}
    for item in map(mapping, items(raw)):
        hour, kills = parse_time(item.get("hour")), whole(item.get("kills"))
        if hour is not None and kills is not None and kills > 0:
            slot = int(hour // 3600 * 3600)
            slots[slot] = slots.get(slot, 0) + kills
    return tuple(sorted(slots.items()))
