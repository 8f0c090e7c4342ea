"""Kills to a webhook: real HTTP and API servers, and a controller that is killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.model.names import NOTIFIED_ANNOTATION
from tests.receiver import Receiver, receiver
from tests.waiting import eventually

from .controller_harness import OOM, Controller, Harness, harness, running_controller

__all__ = ["harness"]

pytestmark = pytest.mark.cluster

INCIDENTS = f"{OOM}/namespaces/default/oomincidents"


@pytest.fixture
def events() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def controller(harness: Harness, events: Receiver, tmp_path: Path) -> Iterator[Controller]:
    # Incidents that the agents of other tests have left would be sent too.
    for namespace in {one["metadata"]["namespace"] for one in harness.list(f"{OOM}/oomincidents")}:
        harness.delete(f"{OOM}/namespaces/{namespace}/oomincidents")
    harness.node("n")
    options = ("--webhook-url", events.url, "--webhook-source", "urn:cluster:test")
    with running_controller(harness, tmp_path, *options) as process:
        yield process


def uid_of(harness: Harness, name: str) -> str:
    return str(harness.get(f"{INCIDENTS}/{name}")["metadata"]["uid"])


def notified(harness: Harness, name: str) -> str | None:
    annotations = harness.get(f"{INCIDENTS}/{name}")["metadata"].get("annotations", {})
    found: str | None = annotations.get(NOTIFIED_ANNOTATION)
    return found


def kills_told(events: Receiver, uid: str) -> int:
    """Return how many kills of an incident the events that were received tell of."""
    return max((one.event["data"]["kills"] for one in events.requests if uid in one.event["id"]), default=0)


@pytest.mark.usefixtures("controller")
def test_kills_are_sent_once_while_nothing_fails(harness: Harness, events: Receiver) -> None:
    harness.kill("web-1-app-0a", node="n", workload_uid="web-uid")
    eventually(lambda: notified(harness, "web-1-app-0a") == "1")
    [request] = events.requests
    assert request.headers["Content-Type"].startswith("application/cloudevents+json")
    uid = uid_of(harness, "web-1-app-0a")
    assert request.event["id"] == f"{uid}-1"
    assert request.event["source"] == f"urn:cluster:test{INCIDENTS}/web-1-app-0a"
    assert request.event["subject"] == "default/Deployment/web"
    assert request.event["data"]["advice"] == [{"remedy": "FitLimit", "message": "set the limit to 512Mi"}]

    harness.kill("web-1-app-0a", node="n", count=4)
    eventually(lambda: notified(harness, "web-1-app-0a") == "4")
    assert events.ids == [f"{uid}-1", f"{uid}-4"]
    assert events.requests[1].event["data"]["newKills"] == 3
    # The agent's next write does not take the annotation away.
    assert notified(harness, "web-1-app-0a") == "4"


@pytest.mark.usefixtures("controller")
def test_refused_event_is_sent_again_and_holds_up_no_other(harness: Harness, events: Receiver) -> None:
    events.answers = [(500, {}), (302, {"Location": events.url + "/elsewhere"}), (400, {})]
    harness.kill("one", node="n")
    harness.kill("two", node="n")
    eventually(lambda: [notified(harness, name) for name in ("one", "two")] == ["1", "1"])
    one, two = uid_of(harness, "one"), uid_of(harness, "two")
    assert set(events.ids) == {f"{one}-1", f"{two}-1"}
    assert len(events.ids) == 5


def test_controller_that_is_killed_loses_no_kill(
    harness: Harness, events: Receiver, controller: Controller
) -> None:
    events.answering.clear()
    harness.kill("accepted", node="n")
    eventually(lambda: events.ids)  # received, and not yet answered
    controller.kill()
    events.answering.set()
    harness.kill("accepted", node="n", count=2)
    harness.kill("during", node="n", count=5)
    assert [notified(harness, name) for name in ("accepted", "during")] == [None, None]
    controller.start()
    eventually(lambda: [notified(harness, name) for name in ("accepted", "during")] == ["2", "5"])
    assert kills_told(events, uid_of(harness, "accepted")) == 2
    assert kills_told(events, uid_of(harness, "during")) == 5


def test_event_is_repeated_with_the_same_id_after_a_kill_of_the_controller(
    harness: Harness, events: Receiver, controller: Controller
) -> None:
    events.answering.clear()
    harness.kill("web-1-app-0a", node="n", count=3)
    eventually(lambda: events.ids)
    controller.kill()
    events.answering.set()
    controller.start()
    eventually(lambda: notified(harness, "web-1-app-0a") == "3")
    first, *others = events.ids
    assert others
    assert set(others) == {first}
    assert all(one.event == events.requests[0].event for one in events.requests)
