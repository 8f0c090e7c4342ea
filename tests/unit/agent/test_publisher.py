"""The publisher on virtual time: each object has an interval and a back-off of its own, and the status is
independent of incidents."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.agent.publisher import (
    INCIDENT_INTERVAL_SECONDS,
    LONGEST_RETRY_SECONDS,
    STATUS_INTERVAL_SECONDS,
    Publisher,
    PublisherThread,
)
from oomkeeper.agent.store import Store
from oomkeeper.model.names import AGENT_MANAGER
from oomkeeper.resources.containerkill import ContainerKill, ContainerKillSpec, ContainerKillStatus
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import OOMIncident, WorkloadReference
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
        self.counts: list[int] = []
        """The kills that each status of an incident told."""

    def apply(self, path: str, body: dict[str, object], *, manager: str) -> object:
        assert manager == AGENT_MANAGER
        self.asked.append(path)
        if self.down:
            raise ApiError("connection refused")
        for part, error in self.errors.items():
            if part in path:
                raise error
        self.applied.append(path)
        status = body.get("status")
        if "oomincidents" in path and isinstance(status, dict):
            self.counts.append(status["count"])
        return body


NODE_STATUS = "/apis/oomkeeper.dev/v1alpha1/oomnodes/node-a/status"
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
    assert NODE_STATUS in harness.api.applied


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
    harness.pass_seconds(INCIDENT_INTERVAL_SECONDS)
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


def test_status_is_written_once_per_interval_at_most_and_the_last_one_arrives(harness: Harness) -> None:
    for number in range(400):
        harness.publisher.offer_status(OOMNodeStatus(agent_version=str(number)))
        harness.pass_seconds(0.05)
    harness.pass_seconds(STATUS_INTERVAL_SECONDS)
    assert 4 <= len(harness.api.applied) <= 6
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
    harness.put("shop")
    harness.publisher.publish()
    harness.publisher.offer_status(OOMNodeStatus(agent_version="2"))
    harness.put("shop", count=2)
    harness.publisher.publish()
    assert harness.unpublished() == ["shop"]
    harness.publisher.publish_rest(within_seconds=5)
    assert harness.unpublished() == []
    assert harness.api.counts == [1, 2]
    assert [path for path in harness.api.applied if "oomnodes" in path] == [NODE_STATUS, NODE_STATUS]


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


def test_storm_of_one_incident_is_written_immediately_then_once_per_interval_and_in_the_end(
    harness: Harness,
) -> None:
    kills = 300
    for count in range(1, kills + 1):
        harness.put("shop", count=count)
        harness.pass_seconds(0.1)
    assert harness.api.counts[0] == 1
    assert len(harness.api.counts) <= 1 + kills * 0.1 / INCIDENT_INTERVAL_SECONDS
    harness.pass_seconds(INCIDENT_INTERVAL_SECONDS)
    assert harness.api.counts[-1] == kills
    assert harness.unpublished() == []
    assert harness.publisher.publish() == math.inf


def test_kill_after_a_quiet_interval_is_written_immediately(harness: Harness) -> None:
    harness.put("shop")
    harness.publisher.publish()
    harness.pass_seconds(INCIDENT_INTERVAL_SECONDS + 1)
    harness.put("shop", count=2)
    harness.publisher.publish()
    assert harness.api.counts == [1, 2]


def test_interval_of_one_incident_does_not_delay_the_first_write_of_another(harness: Harness) -> None:
    harness.put("shop")
    harness.publisher.publish()
    harness.put("shop", count=2)
    harness.put("web", count=7)
    wait = harness.publisher.publish()
    assert harness.api.counts == [1, 7]
    assert wait == pytest.approx(INCIDENT_INTERVAL_SECONDS)


def test_incident_that_failed_is_not_delayed_by_the_interval(harness: Harness) -> None:
    harness.api.errors["/shop/"] = ApiError("500 failed calling webhook", status=500)
    harness.put("shop")
    wait = harness.publisher.publish()
    assert wait <= 1
    harness.api.errors.clear()
    harness.now += wait
    harness.publisher.publish()
    assert harness.api.counts == [1]


@pytest.mark.parametrize(
    "error",
    [
        ApiError("422 admission webhook denied the request", status=422),
        ApiError('404 namespaces "shop" not found', status=404),
    ],
)
def test_storm_that_the_api_server_rejects_is_sent_once_per_interval(
    harness: Harness, error: ApiError
) -> None:
    harness.api.errors["/shop/"] = error
    for count in range(300):
        harness.put("shop", count=count)
        harness.pass_seconds(0.1)
    assert len(harness.api.asked) <= 1 + 300 * 0.1 / INCIDENT_INTERVAL_SECONDS


def test_restarted_agent_publishes_what_waited_for_its_interval(harness: Harness) -> None:
    harness.put("shop")
    harness.publisher.publish()
    harness.put("shop", count=2)
    harness.publisher.publish()
    assert harness.api.counts == [1]
    harness.publisher = harness.start()
    harness.publisher.publish()
    assert harness.api.counts == [1, 2]


def test_agent_that_ends_leaves_for_the_next_start_what_the_time_is_not_enough_for(harness: Harness) -> None:
    real = harness.api.apply

    def slow(path: str, body: dict[str, object], *, manager: str) -> object:
        harness.now += 1
        return real(path, body, manager=manager)

    harness.api.apply = slow  # type: ignore[method-assign]
    for number in range(10):
        harness.put(f"space-{number}")
    harness.publisher.publish_rest(within_seconds=5)
    # Each takes two requests of a second.
    assert len(harness.unpublished()) == 7
    harness.publisher = harness.start()
    harness.publisher.publish()
    assert harness.unpublished() == []


def test_agent_that_ends_without_an_api_server_tries_once(harness: Harness) -> None:
    harness.api.down = True
    for namespace in ("shop", "web"):
        harness.put(namespace)
    harness.publisher.publish_rest(within_seconds=5)
    assert len(harness.api.asked) == 1
    assert harness.unpublished() == ["shop", "web"]


def test_stop_during_a_write_publishes_what_came_meanwhile(harness: Harness) -> None:
    writing, go_on = threading.Event(), threading.Event()
    real = harness.api.apply

    def apply(path: str, body: dict[str, object], *, manager: str) -> object:
        writing.set()
        go_on.wait()
        return real(path, body, manager=manager)

    harness.api.apply = apply  # type: ignore[method-assign]
    harness.put("shop")
    thread = PublisherThread(harness.publisher)
    thread.start()
    writing.wait()
    harness.put("shop", count=2)
    thread.wake()
    stopping = threading.Thread(target=lambda: thread.stop(within_seconds=60))
    stopping.start()
    thread._stopping.wait()
    go_on.set()
    stopping.join()
    assert harness.api.counts == [1, 2]
    assert harness.unpublished() == []


def test_status_is_written_immediately_when_the_missing_oomnode_is_made(harness: Harness) -> None:
    harness.api.errors["oomnodes"] = ApiError("404 oomnodes not found", status=404)
    for number in range(100):
        harness.publisher.offer_status(OOMNodeStatus(agent_version=str(number)))
        harness.pass_seconds(0.01)
    assert len(harness.api.asked) == 1
    harness.api.errors.clear()
    harness.publisher.forget_status()
    harness.publisher.publish()
    assert harness.api.applied == [NODE_STATUS]


def container_kill(name: str = "web-app-0123456789") -> ContainerKill:
    return ContainerKill(
        metadata=ObjectMeta(name=name, namespace="shop"),
        spec=ContainerKillSpec(
            node_name="node-a",
            workload=WorkloadReference(kind="Deployment", name="web"),
            container="app",
            killer="Probe",
        ),
        status=ContainerKillStatus(count=1),
    )


def test_container_kills_are_published_as_incidents_are(harness: Harness) -> None:
    root = "/apis/oomkeeper.dev/v1alpha1/namespaces/shop/containerkills/web-app-0123456789"
    harness.put("shop")
    harness.store.put_container_kill("k", container_kill())
    harness.publisher.publish()
    assert [path for path in harness.api.applied if "containerkills" in path] == [root, f"{root}/status"]
    assert harness.unpublished() == []
    for count in range(2, 50):
        kill = container_kill()
        assert kill.status is not None
        harness.store.put_container_kill("k", replace(kill, status=replace(kill.status, count=count)))
        harness.pass_seconds(1)
    writes = [path for path in harness.api.applied if "containerkills" in path]
    assert 4 <= len(writes) - 2 <= 6  # once per interval, the status alone
    harness.store.put_container_kill("k", container_kill())
    harness.publisher = harness.start()
    harness.publisher.publish()
    assert harness.unpublished() == []


def test_incident_and_container_kill_of_one_name_are_two_objects(harness: Harness) -> None:
    harness.put("shop")
    harness.store.put_container_kill("k", container_kill("x"))
    harness.publisher.publish()
    root = "/apis/oomkeeper.dev/v1alpha1/namespaces/shop"
    assert {path for path in harness.api.applied if not path.endswith("/status")} == {
        f"{root}/oomincidents/x",
        f"{root}/containerkills/x",
    }
