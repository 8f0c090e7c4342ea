"""What the agent writes fits the schema, however much a kill has to say: a refused object would be a lost
record."""

from __future__ import annotations

from typing import Any

import pytest

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.incidents import add_kill, new_incident
from oomkeeper.api import OOMIncident
from oomkeeper.model.cause import (
    BindingCounter,
    Cause,
    Confidence,
    ContributorName,
    Level,
    Outcome,
    Remedy,
    Scope,
)
from oomkeeper.model.diagnosis import Advice, Contributor, Diagnosis
from oomkeeper.model.kill import Invoker, Kill, Victim
from oomkeeper.reporting.kill_record import kill_record, recorded_kill
from oomkeeper.resources.record import to_document

COMM = "\x01" * 15
"""Fifteen bytes that all have to be escaped."""
PATH = "/" + "/".join(["x" * 255] * 8)
"""As much path as fits into one record of the kernel log."""

HUGE = Kill(
    invoker=Invoker(comm=COMM, pid=4194304, order=10, gfp="0x" + "__GFP_X|" * 120, oom_score_adj=1000),
    constraint="CONSTRAINT_MEMORY_POLICY",
    nodemask=",".join(str(node) for node in range(0, 512, 2)),
    mems_allowed=",".join(str(node) for node in range(0, 512, 2)),
    oom_memcg=PATH,
    task_memcg=PATH,
    header_seen=True,
    victims=tuple(Victim(pid=pid, comm=COMM, uid=4294967295, oom_score_adj=-1000) for pid in range(1, 60)),
)
VERDICT = Diagnosis(
    scope=Scope.MEMCG,
    cause=Cause.CGROUP_LIMIT,
    level=Level.OWN,
    outcome=Outcome.KILLED_GROUP,
    limit_bytes=2**62,
    usage_bytes=2**62,
    binding_counter=BindingCounter.MEMORY,
    contributors=tuple(
        Contributor(name=ContributorName.KERNEL_SLAB, bytes=2**62, share=1.7, detail="cache")
        for _ in range(20)
    ),
    confidence=Confidence.LOW,
    summary="é" * 5000,
    advice=tuple(Advice(remedy=Remedy.FIND_LEAK, message="é" * 5000) for _ in range(20)),
    uncertain=("é" * 5000,) * 20,
)
HOST = Subject(node="n1", cgroup=PATH)


def incident(*, kills: int, kill: Kill = HUGE, verdict: Diagnosis = VERDICT) -> dict[str, Any]:
    """The agent's document after so many kills, an hour apart."""
    made = new_incident(HOST, cause=verdict.cause, operator_namespace="oomkeeper")
    for number in range(kills):
        day, hour = divmod(number, 24)
        kill_id = f"6f9f3f0e-1111-4222-8333-444455556666-{number}"
        made = add_kill(
            made,
            record=recorded_kill(kill_record(kill, verdict), kill_id=kill_id),
            time=f"2026-11-{day + 1:02}T{hour:02}:59:59.999999Z",
            subject=HOST,
            new=True,
        )
    return to_document(made)


def test_an_incident_with_more_than_fits_everywhere_is_cut_to_what_the_schema_takes() -> None:
    status = OOMIncident.parse(incident(kills=200)).status
    assert status is not None
    assert status.count == 200
    assert len(status.kills) == 10
    assert sum(hour.kills for hour in status.history) == 168
    assert status.evidence is not None
    assert status.evidence.victims_omitted == 43


def test_an_incident_of_which_the_log_said_nothing_is_written_too() -> None:
    bare = Diagnosis(
        scope=Scope.UNKNOWN,
        cause=Cause.UNKNOWN,
        level=None,
        outcome=Outcome.NO_VICTIM,
        limit_bytes=None,
        usage_bytes=None,
        binding_counter=None,
        contributors=(),
        confidence=Confidence.LOW,
        summary="",
        advice=(),
    )
    document = incident(kills=1, kill=Kill(), verdict=bare)
    written = {**document, "status": {k: v for k, v in document["status"].items() if v is not None}}
    assert OOMIncident.parse(written).spec.cause is Cause.UNKNOWN


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_can_be_an_incident(cause: Cause) -> None:
    document = new_incident(HOST, cause=cause, operator_namespace="oomkeeper")
    assert OOMIncident.parse(to_document(document)).spec.cause is cause
