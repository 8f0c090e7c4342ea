"""Limit, usage and victim of the last kill of an incident.

Usage is always the usage of the cgroup that reached its limit, as the kernel counted it (the counter at its
limit), never a sum of the processes' resident memory: pages may be charged to another cgroup."""

from typing import NamedTuple

from oomkeeper.resources.oomincident import OOMIncident, OOMIncidentStatus


class KillMemory(NamedTuple):
    """What the last kill shows; None where its record does not."""

    limit_bytes: int | None = None
    usage_bytes: int | None = None
    victim: str | None = None


def memory_at_kills(obj: OOMIncident) -> KillMemory:
    """Return limit, usage and victim of the last kill. The evidence is the last report that the kernel
    printed, and so may be of an earlier kill; limit and usage are taken from one kill."""
    status = obj.status or OOMIncidentStatus()
    last = status.kills[0] if status.kills else None
    victim = last.comm if last else None
    for kill in status.kills:
        if kill.limit_bytes is not None and kill.usage_bytes is not None:
            return KillMemory(kill.limit_bytes, kill.usage_bytes, victim)
    evidence = status.evidence
    if evidence is None:
        return KillMemory(victim=victim)
    return KillMemory(evidence.limit_bytes, evidence.usage_bytes, victim)
