"""The limit of each workload's last kill, for the alerts: their annotations show it with the remedy."""

from collections.abc import Iterable

from oomkeeper.reporting.incident import Incident

from .kill_events import FRESH_SECONDS

MAX_SERIES = 200
"""Workloads with a series: those killed last."""
LABELS = ("namespace", "workload_kind", "workload", "container", "cause", "remedy", "incident")


def last_kill_limits(incidents: Iterable[Incident], *, now: float) -> dict[tuple[str, ...], float]:
    """Return LABELS -> limit in bytes, for the last kill of each container of a workload for one cause within
    the last 50 minutes; without those that reached no limit."""
    newest: dict[tuple[str, ...], Incident] = {}
    for incident in incidents:
        seen, workload = incident.last_seen, incident.workload
        if (
            incident.limit_bytes is None
            or seen is None
            or now - seen > FRESH_SECONDS
            or not workload.namespace
        ):
            continue
        key = (*workload, incident.container or "", incident.cause)
        known = newest.get(key)
        if known is None or (known.last_seen or 0.0) < seen:
            newest[key] = incident
    latest = sorted(newest.items(), key=lambda item: -(item[1].last_seen or 0.0))[:MAX_SERIES]
    return {(*key, _remedy(one), one.name): float(one.limit_bytes or 0) for key, one in latest}


def _remedy(incident: Incident) -> str:
    """Return the kind of the best remedy; empty without one."""
    return incident.advice[0][0] if incident.advice else ""
