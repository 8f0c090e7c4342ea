"""Which OOMIncidents and ContainerKills are deleted: those without a recent kill, and the oldest of too many.

The kills of OOMIncidents stay counted: each node publishes its kills by the hour (OOMNode.status.history),
and reports take their totals from there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

EXPIRED = "Expired"
BOUND = "Bound"
"""There are too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentBounds:
    """How many objects of one kind are kept, and for how long."""

    ttl_seconds: float = 7 * 24 * 3600.0
    """How long an incident stays after its last kill."""
    per_namespace: int = 200
    in_cluster: int = 5000

    def reason(self, incident: "Seen", *, now: float) -> str:
        """Return why a surplus incident is deleted: EXPIRED or BOUND."""
        seen = incident.last_seen if incident.last_seen is not None else now
        return EXPIRED if seen < now - self.ttl_seconds else BOUND


class Seen(Protocol):
    """What the bounds need of an object."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def last_seen(self) -> float | None: ...


_Seen = TypeVar("_Seen", bound=Seen)


def surplus(incidents: Iterable[_Seen], *, bounds: IncidentBounds, now: float) -> list[_Seen]:
    """Return the objects to delete, those with the oldest last kill first. `now`: seconds since the epoch.

    One without a last kill is one that its agent is about to complete, and stays.
    """
    dropped: list[_Seen] = []
    kept = 0
    namespaces: dict[str, int] = {}
    for incident in sorted(incidents, key=lambda one: (-(one.last_seen or now), one.namespace, one.name)):
        seen = incident.last_seen if incident.last_seen is not None else now
        count = namespaces.get(incident.namespace, 0)
        full = count >= bounds.per_namespace or kept >= bounds.in_cluster
        if seen < now - bounds.ttl_seconds or (full and incident.last_seen is not None):
            dropped.append(incident)
            continue
        namespaces[incident.namespace] = count + 1
        kept += 1
    return dropped[::-1]
