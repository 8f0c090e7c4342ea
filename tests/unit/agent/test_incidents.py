"""Kills folded into incidents: identity, names, counts, and documents that the API takes."""

import json
import random
from dataclasses import replace as replace_subject
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.incidents import (
    HISTORY_HOURS,
    RING,
    add_kill,
    incident_key,
    key_of_incident,
    merge_older,
    new_incident,
    reported_only,
    with_visibility,
)
from oomkeeper.agent.pods import ContainerState
from oomkeeper.api.oomincident import OOMIncident as IncidentModel
from oomkeeper.model.kill import Invoker, Kill, Victim
from oomkeeper.resources.oomincident import HourCount, OOMIncident, WorkloadIdentity, WorkloadReference

from .kill_samples import document, recorded, status
from .pod_samples import IDS, kill, parse_pod, pod, pod_object

BOOT = "587afb08-a187-419f-bc9f-3df964da34bb"
WEB = WorkloadReference(kind="Deployment", name="web")
POD = Subject(node="node-a", pod=pod(), workload=WEB, container="app", container_id=IDS[0])
HOST = Subject(node="node-a", cgroup="/system.slice/sshd.service")
START = datetime(2026, 1, 1, 10, tzinfo=UTC)


def stamp(hours: float) -> str:
    return (START + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def folded(times: list[float], *, subject: Subject = POD, cause: str = "PodLimit") -> OOMIncident:
    incident = new_incident(subject, cause=cause, operator_namespace="ops")
    for number, hours in enumerate(times):
        incident = add_kill(
            incident,
            record=recorded(f"{BOOT}-{number}"),
            time=stamp(hours),
            subject=subject,
            new=True,
        )
    return incident


def test_same_subject_and_cause_is_one_object_and_any_other_is_another() -> None:
    subjects = [
        POD,
        HOST,
        Subject(node="node-a", pod=POD.pod, workload=WEB, container="side"),
        Subject(node="node-a", pod=POD.pod, workload=WEB),
        Subject(
            node="node-a",
            pod=POD.pod,
            workload=WorkloadReference(kind="StatefulSet", name="web"),
            container="app",
        ),
        Subject(node="node-b", pod=POD.pod, workload=WEB, container="app"),
        Subject(node="node-b", cgroup=HOST.cgroup),
        Subject(node="node-a", cgroup="/"),
    ]
    documents = [
        new_incident(one, cause=cause, operator_namespace="ops")
        for one in subjects
        for cause in ("PodLimit", "NodeMemory")
    ]
    assert len({one.metadata.name for one in documents}) == len(documents)
    again = new_incident(POD, cause="PodLimit", operator_namespace="ops")
    assert again == documents[0]
    for made, one in zip(documents[::2], subjects, strict=True):
        assert key_of_incident(made) == incident_key(one, cause="PodLimit")


def test_all_pods_of_a_workload_on_a_node_are_one_incident() -> None:
    another = replace_subject(POD, pod=pod(uid="9" * 32, name="web-2"), container_id=IDS[1])
    incident = add_kill(folded([0.0]), record=recorded("k-2"), time=stamp(1), subject=another, new=True)
    assert incident_key(another, cause="PodLimit") == incident_key(POD, cause="PodLimit")
    assert [(one.pod, one.pod_uid, one.container_id) for one in status(incident).kills] == [
        ("web-2", "9" * 32, IDS[1]),
        ("web-1", POD.pod.facts.uid, IDS[0]),
    ]


def test_renewed_record_keeps_what_kubelet_reported_of_the_container() -> None:
    state = ContainerState(container="app", running=False, reason="OOMKilled", exit_code=137)
    incident = with_visibility(folded([0.0]), f"{BOOT}-0", "Reported", state=state)
    again = add_kill(incident, record=recorded(f"{BOOT}-0"), time=stamp(0), subject=POD, new=False)
    assert again == incident
    another = replace_subject(POD, container_id=IDS[1])
    later = add_kill(incident, record=recorded("k-2"), time=stamp(1), subject=another, new=True)
    assert status(later).evidence.reason is None


def test_status_tells_which_workload_and_which_kind_of_container_the_last_kill_hit() -> None:
    identity = WorkloadIdentity(api_version="apps/v1", uid="web-uid")
    with_init = pod_object(containers=())
    with_init["spec"]["initContainers"] = [{"name": "app"}]
    subject = replace_subject(POD, pod=parse_pod(with_init), workload_identity=identity)
    found = status(add_kill(folded([0.0]), record=recorded("k-2"), time=stamp(1), subject=subject, new=True))
    assert (found.workload, found.container_kind) == (identity, "InitContainer")
    assert status(folded([0.0])).container_kind == "Container"
    assert status(folded([0.0], subject=HOST)).container_kind is None


def test_labels_select_the_kills_of_a_workload() -> None:
    labels = folded([0.0]).metadata.labels
    assert labels["oomkeeper.dev/workload-kind"] == "Deployment"
    assert labels["oomkeeper.dev/workload"] == "web"


def test_name_that_is_no_label_value_is_left_to_the_field_selectors() -> None:
    long = replace_subject(POD, workload=WorkloadReference(kind="Job", name="x" * 64))
    labels = new_incident(long, cause="PodLimit", operator_namespace="ops").metadata.labels
    assert "oomkeeper.dev/workload" not in labels


def test_incidents_of_pods_are_in_their_namespace_and_those_of_the_host_in_the_operators() -> None:
    assert new_incident(POD, cause="PodLimit", operator_namespace="ops").metadata.namespace == "shop"
    assert new_incident(HOST, cause="CgroupLimit", operator_namespace="ops").metadata.namespace == "ops"


def test_kill_recorded_again_renews_its_record_and_counts_once() -> None:
    document = folded([0.0])
    again = add_kill(document, record=recorded(f"{BOOT}-0"), time=stamp(0), subject=POD, new=False)
    assert again == document


def test_recent_kills_are_bounded_and_the_count_is_complete() -> None:
    found = status(folded([number / 60 for number in range(RING + 4)]))
    assert [one.id for one in found.kills] == [f"{BOOT}-{number}" for number in range(RING + 3, 3, -1)]
    assert (len(found.kills), found.count) == (RING, RING + 4)
    assert (found.first_seen, found.last_seen) == (stamp(0), stamp((RING + 3) / 60))


def test_kills_are_counted_by_their_hour_for_a_week_of_hours() -> None:
    found = status(folded([0.1, 0.2, 1.5, *(float(hour) for hour in range(2, 200))]))
    assert len(found.history) == HISTORY_HOURS
    assert found.history[-1] == HourCount(hour="2026-01-09T17:00:00Z", kills=1)
    assert status(folded([0.1, 0.9, 1.0])).history == (
        HourCount(hour="2026-01-01T10:00:00Z", kills=2),
        HourCount(hour="2026-01-01T11:00:00Z", kills=1),
    )


@given(st.permutations([0.0, 0.5, 1.1, 1.2, 3.0, 3.1, 7.0]))
def test_order_in_which_kills_are_recorded_does_not_matter(times: list[float]) -> None:
    def plain(incident: OOMIncident) -> tuple:
        found = status(incident)
        times = [one.time for one in found.kills]
        return found.count, found.first_seen, found.last_seen, found.history, times

    assert plain(folded(times)) == plain(folded(sorted(times)))


def test_older_kill_does_not_replace_the_description_of_the_last_one() -> None:
    document = folded([5.0])
    old = recorded("x-1", kill(comm="older"))
    found = status(add_kill(document, record=old, time=stamp(1), subject=POD, new=True))
    assert found.evidence is not None
    assert found.evidence.victims[0].comm == "java"
    assert found.first_seen == stamp(1)


def test_kills_counted_by_an_earlier_state_are_added_once() -> None:
    older, mine = folded([0.0, 0.1, 1.0]), folded([1.2, 2.0])
    kills = tuple(replace(one, id=f"{one.id}-later") for one in status(mine).kills)
    mine = replace(mine, status=replace(status(mine), kills=kills))
    found = status(merge_older(mine, older))
    assert (found.count, found.first_seen, found.last_seen) == (5, stamp(0), stamp(2.0))
    assert [hour.kills for hour in found.history] == [2, 2, 1]
    assert [one.time for one in found.kills] == [stamp(at) for at in (2.0, 1.2, 1.0, 0.1, 0.0)]


def valid(incident: OOMIncident) -> IncidentModel:
    return IncidentModel.model_validate_json(json.dumps(document(incident)))


@pytest.mark.parametrize(
    "subject", [POD, HOST, Subject(node="n" * 253, cgroup="/a\udcff\n\x1b" + "x" * 5000)]
)
@pytest.mark.parametrize("visibility", [None, "Reported", "Invisible", "Host"])
def test_every_document_is_valid(subject: Subject, visibility: str | None) -> None:
    incident = folded([0.0, 1.0, 2.0], subject=subject)
    if visibility is not None:
        incident = with_visibility(incident, f"{BOOT}-2", visibility)
    assert valid(incident).status is not None
    assert valid(new_incident(subject, cause="NodeMemory", operator_namespace="ops"))


def test_incident_from_a_container_status_alone_is_valid() -> None:
    state = ContainerState(container="app", running=False, reason="OOMKilled", exit_code=137)
    incident = new_incident(POD, cause="Unknown", operator_namespace="ops")
    incident = reported_only(incident, subject=POD, state=state, kill_id="status-x", time=stamp(0))
    assert valid(incident).status.visibility == "ReportedOnly"


TEXT = st.text(max_size=40) | st.just("\x1b[31m\udcff") | st.just("x" * 6000)


@settings(max_examples=60)
@given(comm=TEXT, path=TEXT, gfp=TEXT, constraint=TEXT, mask=TEXT, victims=st.integers(0, 40))
def test_document_is_valid_whatever_the_kernel_prints(
    comm: str, path: str, gfp: str, constraint: str, mask: str, victims: int
) -> None:
    numbers = random.Random(victims)
    one = Kill(
        header_seen=True,
        scope=kill().scope,
        invoker=Invoker(comm=comm[:15], pid=1, order=0, gfp=gfp, oom_score_adj=0),
        constraint=constraint,
        nodemask=mask,
        mems_allowed=mask,
        oom_memcg="/" + path,
        task_memcg="/" + path,
        victims=tuple(
            Victim(pid=number, comm=comm[:15], uid=numbers.randrange(2**32), anon_rss_bytes=2**40)
            for number in range(victims)
        ),
        kill_lines=victims,
    )
    subject = Subject(node="node-a", cgroup=one.task_memcg)
    verdict = recorded("k", one)
    incident = new_incident(subject, cause=verdict.cause, operator_namespace="ops")
    valid(add_kill(incident, record=verdict, time=stamp(0), subject=subject, new=True))
