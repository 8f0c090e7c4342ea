"""The pod Event."""

import pytest

from oomkeeper.controller import pod_events
from oomkeeper.model.times import format_time

from .builders import NOW, incident, node


def test_event_names_the_pod_and_container() -> None:
    event = pod_events.event_of(incident(), node=node("n"))
    assert event["metadata"]["namespace"] == event["involvedObject"]["namespace"] == "shop"
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "web-1",
        "namespace": "shop",
        "uid": "pod-uid",
        "fieldPath": "spec.containers{app}",
    }
    assert (event["reason"], event["type"], event["count"]) == ("OOMKilled", "Warning", 3)
    assert event["message"] == "app was killed"
    assert event["lastTimestamp"] == format_time(NOW - 60)


def test_event_name_is_stable_and_within_the_limit() -> None:
    first, again = (
        pod_events.event_of(incident(count=count), node=None)["metadata"]["name"] for count in (1, 9)
    )
    assert first == again
    assert len(pod_events.event_of(incident(name="x" * 253), node=None)["metadata"]["name"]) <= 253


def test_event_of_a_host_process_is_about_the_node() -> None:
    event = pod_events.event_of(incident(pod=False, namespace="oomkeeper-system"), node=node("n"))
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "uid-n"}


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
    assert pod_events.is_due(incident(age=age, count=count), published=published, now=NOW) is due
