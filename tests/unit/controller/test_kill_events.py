"""The Events about kills."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.controller.kill_events import event_object, is_due, kill_events, published, reason_of
from oomkeeper.controller.objects import Node
from oomkeeper.model.cause import Cause
from oomkeeper.model.times import format_time, format_time_micro
from oomkeeper.reporting.incident import Incident, LastKill, PodKills
from oomkeeper.resources.oomincident import WorkloadIdentity

from .builders import NOW, incident, node

WEB = WorkloadIdentity(api_version="apps/v1", uid="web-uid")
MIB = 1 << 20
PAGE = Path(__file__).parents[3] / "docs" / "events.md"


def events(one: Incident, *, nodes: Mapping[str, Node] | None = None) -> list[dict[str, Any]]:
    return [event_object(event) for event in kill_events(one, nodes=nodes or {}, now=NOW)]


def event(one: Incident, *, at: int = 0) -> dict[str, Any]:
    return events(one, nodes={"n": node("n")})[at]


def last(*, survived: bool | None, comm: str = "java") -> LastKill:
    return LastKill(comm, 4711, 127 * MIB, 128 * MIB, survived)


def survived(one: Incident, *, lives: bool | None = True) -> Incident:
    [pod] = one.pods
    return replace(one, pods=(pod._replace(last=last(survived=lives)),))


def two_pods(*, lives: bool | None = None, comm: str = "java") -> Incident:
    return replace(
        incident(count=7),
        pods=(
            PodKills("web-2", "uid-2", 2, NOW - 70, NOW - 60, last(survived=None)),
            PodKills("web-1", "uid-1", 3, NOW - 700, NOW - 600, last(survived=lives, comm=comm)),
        ),
    )


def test_event_names_the_pod_and_container() -> None:
    found = event(incident())
    assert found["metadata"]["namespace"] == found["involvedObject"]["namespace"] == "shop"
    assert found["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "web-1",
        "namespace": "shop",
        "uid": "pod-uid",
        "fieldPath": "spec.containers{app}",
    }
    assert (found["reason"], found["type"], found["count"]) == ("OOMPodLimit", "Warning", 3)
    assert found["message"] == "app was killed"
    assert found["related"]["name"] == "web-1-app-0a"


def test_event_of_several_kills_is_a_series() -> None:
    one = incident(count=3)
    found = event(one)
    assert found["eventTime"] == format_time_micro(NOW - 660)
    assert found["series"] == {"count": 3, "lastObservedTime": format_time_micro(NOW - 60)}
    assert (found["firstTimestamp"], found["lastTimestamp"]) == (
        format_time(NOW - 660),
        format_time(NOW - 60),
    )
    assert "series" not in event(incident(count=1))


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("Container", "spec.containers{app}"),
        ("InitContainer", "spec.initContainers{app}"),
        ("EphemeralContainer", "spec.ephemeralContainers{app}"),
        (None, "spec.containers{app}"),
    ],
)
def test_field_path_follows_the_kind_of_the_container(kind: str | None, field: str) -> None:
    one = replace(incident(), container_kind=kind)
    assert event(one)["involvedObject"]["fieldPath"] == field


def test_workload_has_an_event_of_its_own() -> None:
    pod, workload = events(replace(survived(incident()), workload_identity=WEB))
    assert workload["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "namespace": "shop",
        "uid": "web-uid",
    }
    assert workload["metadata"]["namespace"] == "shop"
    assert workload["metadata"]["name"] != pod["metadata"]["name"]
    assert (workload["count"], workload["message"]) == (3, "app was killed, and the container kept running.")


def test_event_of_a_recreated_workload_is_another_one() -> None:
    names = [
        events(replace(incident(), workload_identity=WorkloadIdentity(api_version="apps/v1", uid=uid)))[1]
        for uid in ("11111111-a", "22222222-b")
    ]
    assert names[0]["metadata"]["name"] != names[1]["metadata"]["name"]


@pytest.mark.parametrize("lives", [False, None])
def test_event_claims_no_survival_that_is_not_known(lives: bool | None) -> None:
    assert event(survived(incident(), lives=lives))["message"] == "app was killed"


def test_event_name_is_stable_and_within_the_limit() -> None:
    first, again = (event(incident(count=count))["metadata"]["name"] for count in (1, 9))
    assert first == again
    assert len(event(incident(name="x" * 253))["metadata"]["name"]) <= 253


def test_event_of_a_host_process_is_about_the_node() -> None:
    found = event(incident(pod=False, namespace="oomkeeper-system"))
    assert found["metadata"]["namespace"] == "default"
    assert found["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "uid-n"}


@pytest.mark.parametrize(("age", "count"), [(60.0, 0), (4000.0, 1)])
def test_no_event_without_a_recent_kill(age: float, count: int) -> None:
    assert events(incident(age=age, count=count)) == []


def test_event_is_due_for_more_kills_or_another_sentence() -> None:
    [two] = kill_events(incident(count=2), nodes={}, now=NOW)
    [three] = kill_events(incident(count=3), nodes={}, now=NOW)
    [alive] = kill_events(survived(incident(count=2)), nodes={}, now=NOW)
    assert is_due(two, None)
    assert is_due(three, published(two))
    assert not is_due(two, published(two))
    assert not is_due(two, published(three))
    assert is_due(alive, published(two))


def test_every_pod_of_the_recent_kills_has_an_event_of_its_own() -> None:
    last, earlier = events(two_pods(lives=True))
    assert [found["involvedObject"]["name"] for found in (last, earlier)] == ["web-2", "web-1"]
    assert last["metadata"]["name"] != earlier["metadata"]["name"]
    assert (last["count"], earlier["count"]) == (2, 3)
    assert last["message"] == "app was killed"
    assert earlier["message"] == (
        "The kernel killed java (pid 4711, 127 MiB resident) in container app, limit 128 MiB, "
        "cause PodLimit, and the container kept running."
    )
    assert earlier["lastTimestamp"] == format_time(NOW - 600)


@pytest.mark.parametrize("filler", ["x", "é", "🔥"])
def test_note_is_within_the_limit_in_bytes_and_keeps_its_end(filler: str) -> None:
    found = event(survived(replace(incident(), summary=filler * 1024)))
    assert len(found["message"].encode()) <= 1024
    assert found["message"].endswith(", and the container kept running.")


def test_names_that_processes_chose_are_escaped() -> None:
    assert "java\\x1b[2J" in events(two_pods(comm="java\x1b[2J"))[1]["message"]


def test_every_reason_is_documented() -> None:
    page = PAGE.read_text()
    assert [cause for cause in Cause if f"| `{reason_of(cause)}` |" not in page] == []
