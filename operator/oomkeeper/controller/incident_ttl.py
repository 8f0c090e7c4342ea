"""When an OOMIncident is deleted."""

from collections.abc import Iterable

from oomkeeper.reporting.incident import Incident

TTL_SECONDS = 7 * 24 * 3600.0
"""How long an incident stays after its last kill."""


def expired(incidents: Iterable[Incident], *, now: float) -> list[Incident]:
    """Return the incidents whose last kill is longer ago than TTL_SECONDS. `now`: seconds since the epoch."""
    return [
        incident
        for incident in incidents
        if incident.last_seen is not None and incident.last_seen < now - TTL_SECONDS
    ]
