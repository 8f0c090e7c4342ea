"""Incidents stay within 16 KiB, whatever was in the log, and their counts stay whole."""

from __future__ import annotations

import msgspec
import pytest

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.incident_size import MAX_BYTES, within_size
from oomkeeper.agent.incidents import add_kill, new_incident
from oomkeeper.resources.oomincident import OOMIncident, WorkloadReference

from .kill_samples import document, recorded, status
from .pod_samples import IDS, pod

SUBJECT = Subject(
    node="node-a",
    pod=pod(),
    workload=WorkloadReference(kind="Deployment", name="web"),
    container="app",
    container_id=IDS[0],
)


def killed_every_hour_for_nine_days(*, text: int, victims: int) -> OOMIncident:
    """Texts of so many characters, and so many victims at each kill."""
    victim = {
        "pid": 4194304,
        "comm": "\\x1b" * 15,
        "uid": 4294967295,
        "totalVmBytes": 2**47,
        "anonRssBytes": 2**40,
        "fileRssBytes": 2**30,
        "shmemRssBytes": 2**30,
        "oomScoreAdj": -1000,
        "pgtablesBytes": None,
    }
    made = new_incident(SUBJECT, cause="PodLimit", operator_namespace="ops")
    for number in range(200):
        day, hour = divmod(number, 24)
        record = recorded(
            f"6f9f3f0e-1111-4222-8333-444455556666-{number}",
            summary="s" * text,
            advice=[{"remedy": "FitLimit", "message": "a" * text}] * 8,
            uncertain=["u" * text] * 8,
            victims=[victim] * victims,
            oomMemcg="/" + "p" * 2 * text,
            taskMemcg="/" + "p" * 2 * text,
        )
        time = f"2026-11-{day + 1:02}T{hour:02}:59:59.999999Z"
        made = add_kill(made, record=record, time=time, subject=SUBJECT, new=True)
    return made


@pytest.mark.parametrize(("text", "victims"), [(60, 1), (300, 16), (5000, 60)])
def test_incident_is_within_its_size_and_keeps_its_count(text: int, victims: int) -> None:
    made = killed_every_hour_for_nine_days(text=text, victims=victims)
    cut = within_size(made)
    assert len(msgspec.json.encode(document(cut))) <= MAX_BYTES
    assert status(cut).count == 200
    assert status(cut).kills[0] == status(made).kills[0]


def test_ordinary_incident_loses_nothing() -> None:
    made = killed_every_hour_for_nine_days(text=60, victims=1)
    assert within_size(made) is made


def test_what_is_left_out_of_the_victims_is_counted() -> None:
    made = killed_every_hour_for_nine_days(text=300, victims=16)
    evidence = status(within_size(made)).evidence
    assert evidence is not None
    assert (len(evidence.victims), evidence.victims_omitted) == (1, 15)


def test_as_many_victims_as_fit_are_kept() -> None:
    made = killed_every_hour_for_nine_days(text=60, victims=16)
    assert len(msgspec.json.encode(document(made))) > MAX_BYTES
    cut = status(within_size(made))
    evidence = cut.evidence
    assert evidence is not None
    assert len(evidence.victims) > 1
    assert len(evidence.victims) + (evidence.victims_omitted or 0) == 16
    assert cut.advice == status(made).advice
