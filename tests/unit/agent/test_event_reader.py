"""Events of one pod, read for one end of a container and no more often than agreed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oomkeeper.agent.event_reader import MOST_EVENTS, MOST_PER_MINUTE, EventReader, EventsAnswer, EventsOf
from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import LONGEST_SECONDS
from oomkeeper.model.times import parse_time
from tests.waiting import eventually

from .adjust_harness import Clock
from .kube_server import Exchange, server

POD = EventsOf("shop", "uid-1", "a" * 64)
WHEN = "2026-01-01T10:00:00Z"


def event(reason: str = "Killing", **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "metadata": {"name": "x"},
        "reason": reason,
        "message": "Container app failed liveness probe, will be restarted",
        "involvedObject": {"kind": "Pod", "uid": "uid-1", "fieldPath": "spec.containers{app}"},
        "source": {"component": "kubelet", "host": "node-a"},
        "firstTimestamp": WHEN,
        "lastTimestamp": "2026-01-01T11:00:00Z",
    }
    return {**made, **fields}


class Cluster:
    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.status = 200
        self.asked: list[str] = []

    def answer(self, exchange: Exchange) -> None:
        self.asked.append(exchange.path)
        if self.status != 200:
            exchange.json({"message": "no"}, status=self.status)
        else:
            exchange.json({"metadata": {"resourceVersion": "7"}, "items": self.items})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


class Harness:
    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self._answers = threading.Semaphore(0)
        self.reader = EventReader(
            config=ApiConfig(server=url), answered=self._answers.release, clock=self.clock
        )

    def ask(self, of: EventsOf = POD) -> EventsAnswer:
        assert self.reader.ask(of) is None
        assert self._answers.acquire(timeout=10)
        answer = self.reader.ask(of)
        assert answer is not None
        return answer


@pytest.fixture
def harness(cluster: Cluster) -> Iterator[Harness]:
    with server(cluster.answer) as url:
        yield Harness(url)


def test_events_of_the_one_pod_are_listed_once(cluster: Cluster, harness: Harness) -> None:
    cluster.items = [event()]
    answer = harness.ask()
    assert answer.problem is None
    assert answer.events is not None
    (found,) = answer.events
    assert (found.reason, found.container) == ("Killing", "app")
    assert (found.first_at, found.last_at) == (parse_time(WHEN), parse_time("2026-01-01T11:00:00Z"))
    for _ in range(3):
        assert harness.reader.ask(POD) == answer
    (path,) = cluster.asked
    assert urlsplit(path).path == "/api/v1/namespaces/shop/events"
    assert parse_qs(urlsplit(path).query) == {
        "fieldSelector": ["involvedObject.uid=uid-1"],
        "limit": [str(MOST_EVENTS)],
    }


def test_events_of_others_and_without_meaning_are_left_out(cluster: Cluster, harness: Harness) -> None:
    cluster.items = [
        event(source={"component": "someone"}),
        event("Pulled"),
        event("Evicted", source=None, reportingComponent="kubelet", involvedObject={"uid": "uid-1"}),
        event("Preempted", source={}, reportingComponent="default-scheduler"),
        event("evictPodSuccess", source={"component": "koordlet-qosManager"}, involvedObject=None),
        {"reason": 7},
    ]
    events = harness.ask().events
    assert events is not None
    assert [(one.reason, one.container) for one in events] == [
        ("Evicted", None),
        ("Preempted", "app"),
        ("evictPodSuccess", None),
    ]


def test_text_of_an_event_is_escaped_and_cut(cluster: Cluster, harness: Harness) -> None:
    cluster.items = [event(message="\x1b[31m" + "x" * 5000)]
    events = harness.ask().events
    assert events is not None
    assert events[0].message.startswith("\\x1b[31mx")
    assert len(events[0].message) == 512


def test_newer_events_have_other_times(cluster: Cluster, harness: Harness) -> None:
    later = {"lastObservedTime": "2026-01-01T12:00:00.000000Z"}
    cluster.items = [
        event(firstTimestamp=None, lastTimestamp=None, eventTime=WHEN, series=later),
        event(firstTimestamp=None, lastTimestamp=None, eventTime=WHEN),
    ]
    events = harness.ask().events
    assert events is not None
    assert [(one.first_at, one.last_at) for one in events] == [
        (parse_time(WHEN), parse_time("2026-01-01T12:00:00Z")),
        (parse_time(WHEN), parse_time(WHEN)),
    ]


def test_refusal_is_an_answer(cluster: Cluster, harness: Harness) -> None:
    cluster.status = 403
    assert harness.ask() == EventsAnswer(None, "The pod's Events were not read: HTTP 403.")


def test_silent_server_is_asked_again(cluster: Cluster, harness: Harness) -> None:
    cluster.status = 503
    assert harness.reader.ask(POD) is None
    eventually(lambda: len(cluster.asked) == 1, seconds=10)
    cluster.status = 200
    for _ in range(3):
        harness.clock.now += LONGEST_SECONDS
        if harness.reader.ask(POD) is None:
            eventually(lambda: harness.reader._answers, seconds=10)
    assert harness.reader.ask(POD) == EventsAnswer(())


def test_requests_of_a_minute_are_bounded(cluster: Cluster, harness: Harness) -> None:
    ends = [POD._replace(pod_uid=f"uid-{number}", container_id=str(number)) for number in range(20)]
    for one in ends:
        harness.reader.ask(one)
    eventually(lambda: len(harness.reader._answers) == MOST_PER_MINUTE, seconds=10)
    for one in ends:
        harness.reader.ask(one)
    assert len(cluster.asked) == MOST_PER_MINUTE
    harness.clock.now += 60
    for one in ends:
        harness.reader.ask(one)
    eventually(lambda: len(harness.reader._answers) == 2 * MOST_PER_MINUTE, seconds=10)
