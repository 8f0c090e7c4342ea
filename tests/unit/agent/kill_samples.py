"""Stored kills and incidents for the agent's tests."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.incidents import new_incident, status_of
from oomkeeper.diagnosis import diagnose
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.kill import Kill
from oomkeeper.reporting.kill_record import kill_record, recorded_kill
from oomkeeper.resources.killrecord import RecordedKill
from oomkeeper.resources.oomincident import OOMIncident, OOMIncidentStatus
from oomkeeper.resources.record import read, to_document

from .pod_samples import kill


def recorded(
    kill_id: str, one: Kill | None = None, verdict: Diagnosis | None = None, **fields: Any
) -> RecordedKill:
    """A kill's record, as the agent stores it."""
    one = one or kill()
    record = recorded_kill(kill_record(one, verdict or diagnose(one)), kill_id=kill_id)
    return read(RecordedKill, {**to_builtins(record), **fields})


def status(incident: OOMIncident) -> OOMIncidentStatus:
    return status_of(incident)


def document(incident: OOMIncident) -> dict[str, Any]:
    """The incident as it is sent to the API server."""
    return to_document(incident)


def host_incident(*, cgroup: str = "/system.slice/db.service", count: int = 1, **fields: Any) -> OOMIncident:
    """An incident of a host process with a status of the test's."""
    made = new_incident(
        Subject(node="node-a", cgroup=cgroup), cause="SystemSliceLimit", operator_namespace="ops"
    )
    made_status = OOMIncidentStatus(cause="SystemSliceLimit", count=count, **fields)
    return OOMIncident(metadata=made.metadata, spec=made.spec, status=made_status)
