"""The pod Event."""

from dataclasses import replace
from typing import Any

import pytest

from oomkeeper.controller import pod_events
from oomkeeper.controller.objects import Node
from oomkeeper.model.times import format_time
from oomkeeper.reporting.incident import Incident, PodKills

from .builders import NOW, incident, node


def event(one: Incident, *, at: int = 0, node: Node | None = None) -> dict[str, Any]:
    return pod_events.event_of(one, pod_events.pods_of(one)[at], node=node)


def test_event_names_the_pod_and_container() -> None:
    found = event(incident(), node=node("n"))
    assert found["metadata"]["namespace"] == found["involvedObject"]["namespace"] == "shop"
    assert found["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "web-1",
        "namespace": "shop",
        "uid": "pod-uid",
        "fieldPath": "spec.containers{app}",
    }
    assert (found["reason"], found["type"], found["count"]) == ("OOMKilled", "Warning", 3)
    assert found["message"] == "app was killed"
    assert found["lastTimestamp"] == format_time(NOW - 60)


def test_event_name_is_stable_and_within_the_limit() -> None:
    first, again = (event(incident(count=count))["metadata"]["name"] for count in (1, 9))
    assert first == again
    assert len(event(incident(name="x" * 253))["metadata"]["name"]) <= 253


def test_event_of_a_host_process_is_about_the_node() -> None:
    found = event(incident(pod=False, namespace="oomkeeper-system"), node=node("n"))
    assert found["metadata"]["namespace"] == "default"
    assert found["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "uid-n"}


@pytest.mark.parametrize(
    ("age", "count", "published", "due"),
    [
        (60.0, 1, None, True),
        (60.0, 2, 1, True),
        (60.0, 2, 2, False),
        (60.0, 0, None, False),
        (4000.0, 1, None, False),
    ],
)
def test_event_is_due_for_recent_unpublished_kills(
    age: float,
    count: int,
    published: int | None,
    due: bool,
) -> None:
    one = incident(age=age, count=count)
    [pod] = pod_events.pods_of(one)
    assert pod_events.is_due(one, pod, published=published, now=NOW) is due


def test_every_pod_of_the_recent_kills_has_an_event_of_its_own() -> None:
    one = replace(
        incident(count=7),
        pods=(
            PodKills("web-2", "uid-2", 2, NOW - 70, NOW - 60),
            PodKills("web-1", "uid-1", 3, NOW - 700, NOW - 600),
        ),
    )
    last, earlier = event(one, at=0), event(one, at=1)
    assert [found["involvedObject"]["name"] for found in (last, earlier)] == ["web-2", "web-1"]
    assert last["metadata"]["name"] != earlier["metadata"]["name"]
    assert (last["count"], earlier["count"]) == (2, 3)
    assert last["message"] == "app was killed"
    assert earlier["message"] == (
        "The kernel killed container app, cause PodLimit: see OOMIncident web-1-app-0a"
    )
    assert earlier["lastTimestamp"] == format_time(NOW - 600)
