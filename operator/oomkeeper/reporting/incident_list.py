"""Which OOMIncidents a reader asked for, in which order, and their rows in a table. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from oomkeeper.model.json_types import ForeignObject
from oomkeeper.model.times import parse_time
from oomkeeper.model.units import bytes_text
from oomkeeper.resources.oomincident import Evidence, OOMIncident, OOMIncidentStatus
from oomkeeper.resources.record import MalformedObjectError, read

from .table import age_of

COLUMNS = ("NAME", "WORKLOAD", "CONTAINER", "CAUSE", "KILLS", "LIMIT", "NODE", "LAST")
WIDE_COLUMNS = (*COLUMNS, "FIRST", "VISIBILITY", "SUMMARY")
_DURATION = re.compile(
    r"(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII
)
_SECONDS = (604_800, 86_400, 3600, 60, 1)
_KINDS = {
    "deploy": "deployment",
    "sts": "statefulset",
    "ds": "daemonset",
    "cj": "cronjob",
    "rs": "replicaset",
    "rc": "replicationcontroller",
    "po": "pod",
}
"""kubectl's short names."""


class Read(NamedTuple):
    """An incident as the API server gave it, and decoded."""

    raw: ForeignObject
    incident: OOMIncident

    @property
    def status(self) -> OOMIncidentStatus:
        return self.incident.status or OOMIncidentStatus()

    @property
    def namespace(self) -> str:
        return self.incident.metadata.namespace or ""

    @property
    def name(self) -> str:
        return self.incident.metadata.name or ""

    @property
    def last_seen(self) -> float:
        """Seconds since the epoch; 0 where there is none."""
        return parse_time(self.status.last_seen) or 0.0


class IncidentFilter(NamedTuple):
    """What a reader asked for; None: anything."""

    workload: str | None = None
    """KIND/NAME or NAME."""
    cause: str | None = None
    node: str | None = None
    since: float | None = None
    """Incidents whose last kill is at or after this time, in seconds since the epoch."""

    def takes(self, one: Read) -> bool:
        """Return whether an incident is asked for."""
        spec = one.incident.spec
        return (
            (self.workload is None or names_workload(self.workload, one.incident))
            and (self.cause is None or spec.cause == self.cause)
            and (self.node is None or spec.node_name == self.node)
            and (self.since is None or one.last_seen >= self.since)
        )


def read_incidents(objects: Iterable[ForeignObject]) -> list[Read]:
    """Decode incidents; one that does not have the shape of its kind is left out."""
    found = []
    for raw in objects:
        try:
            found.append(Read(raw, read(OOMIncident, raw)))
        except MalformedObjectError:
            continue
    return found


def newest_first(incidents: Iterable[Read]) -> list[Read]:
    """Return the incidents by their last kill, the newest first; equal ones by name."""
    return sorted(incidents, key=lambda one: (-one.last_seen, one.namespace, one.name))


def names_workload(text: str, incident: OOMIncident) -> bool:
    """Return whether `text` (KIND/NAME or NAME, the kind also plural or short) names the workload, or the
    whole cgroup, of an incident."""
    workload = incident.spec.workload
    if workload is None:
        return text == incident.spec.cgroup
    kind, slash, name = text.rpartition("/")
    return name == workload.name and (not slash or kind_of(kind) == workload.kind.lower())


def kind_of(word: str) -> str:
    """Return a kind in lower case, from what people type: `deploy`, `deployments.apps`, `Deployment`."""
    kind = word.partition(".")[0].lower()
    return _KINDS.get(kind) or _KINDS.get(kind.removesuffix("s")) or kind.removesuffix("s")


def seconds_of(text: str) -> int | None:
    """Parse a duration such as 30m, 24h, 7d or 1h30m; None for anything else."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    return sum(int(part) * seconds for part, seconds in zip(match.groups(), _SECONDS, strict=True) if part)


def subject_text(incident: OOMIncident) -> str:
    """Return `Deployment/web`, or the cgroup of a host process."""
    workload = incident.spec.workload
    return f"{workload.kind}/{workload.name}" if workload is not None else incident.spec.cgroup or "/"


def incident_rows(
    incidents: Sequence[Read], *, now: float, wide: bool = False, namespaces: bool = False
) -> list[tuple[str, ...]]:
    """Return one row per incident under COLUMNS or WIDE_COLUMNS, after NAMESPACE on request."""
    rows: list[tuple[str, ...]] = []
    for one in incidents:
        spec, status = one.incident.spec, one.status
        limit = (status.evidence or Evidence()).limit_bytes
        row: tuple[str, ...] = (
            one.name,
            subject_text(one.incident),
            spec.container or "",
            spec.cause,
            str(status.count or 0),
            bytes_text(limit, missing=""),
            spec.node_name,
            age_of(status.last_seen, now),
        )
        if wide:
            row += (age_of(status.first_seen, now), status.visibility or "", status.summary or "")
        rows.append((one.namespace, *row) if namespaces else row)
    return rows
