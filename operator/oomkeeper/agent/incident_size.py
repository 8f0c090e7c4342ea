"""Keep an OOMIncident small: etcd, every watch and every list carry each of them in full."""

from collections.abc import Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from oomkeeper.resources.oomincident import Evidence, OOMIncident, OOMIncidentStatus
from oomkeeper.resources.record import bounded

from .incidents import status_of, with_status

MAX_BYTES = 16 * 1024
"""Bytes of JSON that an incident may have, without what the API server adds."""


def _victims(most: int, status: OOMIncidentStatus) -> OOMIncidentStatus:
    evidence = status.evidence or Evidence()
    omitted = (evidence.victims_omitted or 0) + max(0, len(evidence.victims) - most)
    return replace(
        status,
        evidence=replace(evidence, victims=evidence.victims[:most], victims_omitted=omitted or None),
    )


_CUTS: tuple[Callable[[OOMIncidentStatus], OOMIncidentStatus], ...] = (
    *(partial(_victims, most) for most in (12, 8, 4, 2, 1)),
    lambda status: replace(status, uncertain=status.uncertain[:1]),
    lambda status: replace(status, advice=status.advice[:3]),
    lambda status: replace(status, kills=status.kills[:3]),
    lambda status: replace(status, history=status.history[-72:]),
)
"""What is left out first. The counts stay; the node's database keeps everything."""


def within_size(incident: OOMIncident, *, max_bytes: int = MAX_BYTES) -> OOMIncident:
    """Return the incident with as little left out as brings it within `max_bytes`."""
    for cut in _CUTS:
        if len(msgspec.json.encode(bounded(incident))) <= max_bytes:
            break
        incident = with_status(incident, cut(status_of(incident)))
    return incident
