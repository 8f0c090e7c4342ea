"""The publisher on virtual time: each object has a back-off of its own, and the status is independent of
incidents."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.agent.publisher import LONGEST_RETRY_SECONDS, STATUS_INTERVAL_SECONDS, Publisher
from oomkeeper.agent.store import Store
from oomkeeper.model.names import AGENT_MANAGER
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNodeStatus

from .kill_samples import host_incident


class FakeApi:
    """An API server that rejects what the test says."""

    def __init__(self) -> None:
        self.errors: dict[str, ApiError] = {}
        """Part of a path -> the answer to it."""
        self.down = False
        self.asked: list[str] = []
        self.applied: list[str] = []

    def apply(self, path: str, body: dict[str, object], *, manager: str) -> object:
        assert manager == AGENT_MANAGER
        self.asked.append(path)
        if self.down:
            raise ApiError("connection refused")
        for part, error in self.errors.items():
            if part in path:
                raise error
        self.applied.append(path)
        return body


QUOTA = ApiError("403 oomincidents is forbidden: exceeded quota: objects", status=403)


class Harness:
    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder)
        self.api = FakeApi()
        self.now = 1000.0
        self.changes = 0
        self.publisher = self.start()

    def start(self) -> Publisher:
        return Publisher(
            client=self.api,
            store=self.store,
            node="node-a",
            rejections_changed=self._changed,
            clock=lambda: self.now,
        )

    def _changed(self) -> None:
        self.changes += 1

    def put(self, namespace: str, *, count: int = 1) -> None:
        made = host_incident(count=count)
        self.store.put_incident(namespace, in_namespace(made, namespace))

    def unpublished(self) -> list[str]:
        return [one.key for one in self.store.unpublished()]

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass as the thread does: by the waits that the publisher asks for."""
        until = self.now + seconds
        while self.now <= until:
            wait = self.publisher.publish()
            self.now += min(max(wait, 0.01), until - self.now + 0.001)


def in_namespace(incident: OOMIncident, namespace: str) -> OOMIncident:
    return replace(incident, metadata=replace(incident.metadata, namespace=namespace, name="x"))


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.store.close()


def test_namespace_over_its_quota_holds_up_neither_other_incidents_nor_the_status(harness: Harness) -> None:
    harness.api.errors["/full/"] = QUOTA
    for namespace in ("full", "shop", "web"):
        harness.put(namespace)
    harness.publisher.offer_status(OOMNodeStatus(agent_version="1"))
    harness.publisher.publish()
    assert harness.unpublished() == ["full"]
    assert "/apis/oomkeeper.dev/v1alpha1/oomnodes/node-a/status" in harness.api.applied


def test_incident_that_fails_is_tried_less_and_less_often_and_published_in_the_end(harness: Harness) -> None:
    harness.api.errors["/full/"] = ApiError("500 failed calling webhook", status=500)
    harness.put("full")
    harness.pass_seconds(3600)
    assert 12 <= len(harness.api.asked) <= 60
    del harness.api.errors["/full/"]
    harness.pass_seconds(LONGEST_RETRY_SECONDS + 1)
    assert harness.unpublished() == []


def test_another_kill_does_not_cut_the_back_off_short(harness: Harness) -> None:
    harness.api.errors["/full/"] = QUOTA
    for count in range(200):
        harness.put("full", count=count)
        harness.publisher.publish()
        harness.now += 0.1
    assert len(harness.api.asked) < 40


def test_failing_status_does_not_hold_up_incidents(harness: Harness) -> None:
    harness.api.errors["oomnodes"] = ApiError("500 failed calling webhook", status=500)
    harness.publisher.offer_status(OOMNodeStatus(agent_version="1"))
    harness.put("shop")
    harness.publisher.publish()
    assert harness.unpublished() == []


@pytest.mark.parametrize("status", [400, 413, 422])
def test_rejected_incident_is_shown_and_tried_again_by_the_next_run_alone(
    harness: Harness, status: int
) -> None:
    harness.api.errors["/shop/"] = ApiError(f"{status} admission webhook denied the request", status=status)
    harness.put("shop")
    harness.put("web")
    harness.pass_seconds(3600)
    assert len([path for path in harness.api.asked if "/shop/" in path]) == 1
    assert harness.publisher.rejections.number == 1
    assert harness.publisher.rejections.example.startswith(f"shop/x: {status} admission webhook")
    assert harness.changes == 1
    # After an upgrade the same document may fit.
    harness.api.errors.clear()
    harness.publisher = harness.start()
    harness.publisher.publish()
    assert harness.unpublished() == []
    assert harness.publisher.rejections.number == 0


def test_newer_version_of_a_rejected_incident_is_tried(harness: Harness) -> None:
    harness.api.errors["/shop/"] = ApiError("422 invalid", status=422)
    harness.put("shop")
    harness.publisher.publish()
    harness.api.errors.clear()
    harness.put("shop", count=2)
    harness.publisher.publish()
    assert harness.unpublished() == []
    assert (harness.publisher.rejections.number, harness.changes) == (0, 2)


@pytest.mark.parametrize("status", [None, 429, 503])
def test_api_server_that_does_not_answer_is_left_alone_for_a_while(
    harness: Harness, status: int | None
) -> None:
    harness.api.errors["/"] = ApiError("too many requests", status=status, retry_after_seconds=10)
    for namespace in ("a", "b", "c"):
        harness.put(namespace)
    wait = harness.publisher.publish()
    assert len(harness.api.asked) == 1
    assert wait >= 10
    harness.now += 5
    harness.publisher.publish()
    assert len(harness.api.asked) == 1
    harness.api.errors.clear()
    harness.now += wait
    harness.publisher.publish()
    assert harness.unpublished() == []


def test_hours_without_the_api_server_lose_nothing(harness: Harness) -> None:
    harness.api.down = True
    harness.put("shop")
    harness.pass_seconds(4 * 3600)
    harness.api.down = False
    harness.pass_seconds(31)
    assert harness.unpublished() == []


def test_status_is_written_once_a_second_at_most_and_the_last_one_arrives(harness: Harness) -> None:
    for number in range(100):
        harness.publisher.offer_status(OOMNodeStatus(agent_version=str(number)))
        harness.pass_seconds(0.05)
    harness.pass_seconds(STATUS_INTERVAL_SECONDS)
    assert 4 <= len(harness.api.applied) <= 8
    assert harness.publisher.publish() == math.inf


def test_equal_status_is_not_written_again_unless_the_object_is_new(harness: Harness) -> None:
    harness.publisher.offer_status(OOMNodeStatus(agent_version="1"))
    harness.pass_seconds(5)
    harness.publisher.offer_status(OOMNodeStatus(agent_version="1"))
    harness.pass_seconds(5)
    assert len(harness.api.applied) == 1
    harness.publisher.forget_status()
    harness.pass_seconds(5)
    assert len(harness.api.applied) == 2


def test_incident_in_a_deleted_namespace_is_dropped_for_good(harness: Harness) -> None:
    harness.api.errors["/gone/"] = ApiError('404 namespaces "gone" not found', status=404)
    harness.put("gone")
    harness.publisher.publish()
    assert harness.unpublished() == []


def test_agent_that_ends_publishes_what_is_held_back(harness: Harness) -> None:
    harness.publisher.offer_status(OOMNodeStatus(agent_version="1"))
    harness.publisher.publish()
    harness.publisher.offer_status(OOMNodeStatus(agent_version="2"))
    harness.publisher.publish(hurry=True)
    assert len(harness.api.applied) == 2


def test_rounds_without_a_request_do_not_reset_the_delay(harness: Harness) -> None:
    """After a failure the server is left alone for a while: a round that sends nothing is no success."""
    harness.api.down = True
    harness.publisher.offer_status(OOMNodeStatus(agent_version="1"))
    for failures in range(1, 7):
        wait = harness.publisher.publish()
        assert harness.publisher._server.failures == failures
        harness.publisher.publish()
        assert harness.publisher._server.failures == failures
        harness.now += max(wait, STATUS_INTERVAL_SECONDS)
    harness.api.down = False
    harness.publisher.publish()
    assert harness.publisher._server.failures == 0


def test_status_forgotten_while_its_write_was_under_way_is_written_again(harness: Harness) -> None:
    real = harness.api.apply

    def apply(path: str, body: dict[str, object], *, manager: str) -> object:
        if len(harness.api.asked) == 0:
            harness.publisher.forget_status()
        return real(path, body, manager=manager)

    harness.api.apply = apply  # type: ignore[method-assign]
    harness.publisher.offer_status(OOMNodeStatus(agent_version="1"))
    harness.pass_seconds(5)
    assert len(harness.api.applied) == 2
