"""The workload of a pod: owners followed through an API server, each asked once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from oomkeeper.agent.workloads import WorkloadResolver
from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import LONGEST_SECONDS
from oomkeeper.model.pod import PodFacts
from oomkeeper.resources.oomincident import WorkloadReference
from tests.waiting import eventually

from .adjust_harness import Clock
from .kube_server import Exchange, server
from .pod_samples import pod


class Harness:
    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.asked: list[str] = []
        self.clock = Clock()
        self._answered = threading.Semaphore(0)
        self._changes = threading.Semaphore(0)

    def answer(self, exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0]
        self.asked.append(path)
        if self.status != 200:
            exchange.json({"message": "no"}, status=self.status)
        elif path not in self.objects:
            exchange.json({"message": "not found"}, status=404)
        else:
            exchange.json({"metadata": self.objects[path]})
        self._answered.release()

    def start(self, url: str) -> None:
        self._resolver = WorkloadResolver(
            config=ApiConfig(server=url), changed=self._changes.release, clock=self.clock
        )

    def workload(self, facts: PodFacts) -> tuple[str, str] | None:
        found = self._resolver.workload(facts)
        return None if found is None else (found.kind, found.name)

    def identity(self, facts: PodFacts) -> tuple[str, str] | None:
        found = self._resolver.identity(facts)
        return None if found is None else (found.api_version, found.uid)

    def resolved(self, facts: PodFacts) -> tuple[str, str] | None:
        """After the API server has answered."""
        assert self.workload(facts) is None
        assert self._changes.acquire(timeout=10)
        return self.workload(facts)

    def wait_for_answer(self) -> None:
        assert self._answered.acquire(timeout=10)


@pytest.fixture
def harness() -> Iterator[Harness]:
    made = Harness()
    with server(made.answer) as url:
        made.start(url)
        yield made


def owned(kind: str, name: str, *, group: str = "apps", uid: str = "owner-uid") -> PodFacts:
    reference = {"apiVersion": f"{group}/v1", "kind": kind, "name": name, "uid": uid, "controller": True}
    return pod(ownerReferences=[reference]).facts


def metadata(uid: str, *, kind: str | None = None, name: str = "", group: str = "apps") -> dict[str, Any]:
    above = {"apiVersion": f"{group}/v1", "kind": kind, "name": name, "uid": "above", "controller": True}
    return {"uid": uid, "ownerReferences": [above] if kind else []}


REPLICA_SETS = "/apis/apps/v1/namespaces/shop/replicasets/"
JOBS = "/apis/batch/v1/namespaces/shop/jobs/"


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (None, ("Pod", "web-1")),
        (("StatefulSet", "db", "apps"), ("StatefulSet", "db")),
        (("SparkApplication", "pi", "sparkoperator.k8s.io"), ("SparkApplication", "pi")),
        (("ReplicaSet", "odd", "example.com"), ("ReplicaSet", "odd")),
        (("Node", "node-a", ""), ("Pod", "web-1")),
    ],
)
def test_other_controllers_are_the_workload_and_cost_no_request(harness: Harness, owner, expected) -> None:
    facts = pod().facts if owner is None else owned(owner[0], owner[1], group=owner[2])
    assert harness.workload(facts) == expected
    assert harness.asked == []


def test_replica_set_counts_for_its_deployment_and_is_read_once(harness: Harness) -> None:
    harness.objects[REPLICA_SETS + "web-5d4f"] = metadata("owner-uid", kind="Deployment", name="web")
    facts = owned("ReplicaSet", "web-5d4f")
    assert harness.resolved(facts) == ("Deployment", "web")
    assert harness.workload(facts) == ("Deployment", "web")
    assert len(harness.asked) == 1


def test_replica_set_of_a_custom_controller_counts_for_it(harness: Harness) -> None:
    harness.objects[REPLICA_SETS + "web-1"] = metadata(
        "owner-uid", kind="Rollout", name="web", group="argoproj.io"
    )
    assert harness.resolved(owned("ReplicaSet", "web-1")) == ("Rollout", "web")


def test_job_counts_for_a_cron_job_only_if_it_owns_it(harness: Harness) -> None:
    harness.objects[JOBS + "nightly-29384920"] = metadata("a", kind="CronJob", name="nightly", group="batch")
    harness.objects[JOBS + "migrate-20261127"] = metadata("b")
    nightly = owned("Job", "nightly-29384920", group="batch", uid="a")
    assert harness.resolved(nightly) == ("CronJob", "nightly")
    migrate = owned("Job", "migrate-20261127", group="batch", uid="b")
    assert harness.resolved(migrate) == ("Job", "migrate-20261127")


def test_uid_of_the_workload_is_that_of_the_top_of_its_owners(harness: Harness) -> None:
    harness.objects[JOBS + "nightly-29384920"] = metadata("a", kind="CronJob", name="nightly", group="batch")
    nightly = owned("Job", "nightly-29384920", group="batch", uid="a")
    assert harness.identity(nightly) is None
    assert harness.resolved(nightly) == ("CronJob", "nightly")
    assert harness.identity(nightly) == ("batch/v1", "above")
    migrate = owned("Job", "migrate-20261127", group="batch", uid="b")
    assert harness.resolved(migrate) == ("Job", "migrate-20261127")
    assert harness.identity(migrate) == ("batch/v1", "b")
    assert harness.identity(owned("StatefulSet", "db")) == ("apps/v1", "owner-uid")


def test_pod_that_is_its_own_workload_has_no_other_uid(harness: Harness) -> None:
    assert harness.identity(pod().facts) is None
    mirror = {"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "n", "controller": True}
    assert harness.identity(pod(ownerReferences=[mirror]).facts) is None


@pytest.mark.parametrize("status", [403, 404])
def test_owner_that_cannot_be_read_is_the_workload_itself(harness: Harness, status: int) -> None:
    harness.status = status
    assert harness.resolved(owned("ReplicaSet", "web-5d4f")) == ("ReplicaSet", "web-5d4f")


def test_another_object_of_the_owners_name_is_not_believed(harness: Harness) -> None:
    harness.objects[REPLICA_SETS + "web-5d4f"] = metadata("later-uid", kind="Deployment", name="other")
    assert harness.resolved(owned("ReplicaSet", "web-5d4f")) == ("ReplicaSet", "web-5d4f")


def test_without_an_answer_the_workload_stays_unknown_and_is_asked_for_again(harness: Harness) -> None:
    harness.status = 503
    facts = owned("ReplicaSet", "web-5d4f")
    assert harness.workload(facts) is None
    harness.wait_for_answer()
    assert harness.workload(facts) is None
    harness.status = 200
    harness.objects[REPLICA_SETS + "web-5d4f"] = metadata("owner-uid", kind="Deployment", name="web")

    def resolved() -> bool:
        harness.clock.now += LONGEST_SECONDS
        return harness.workload(facts) == ("Deployment", "web")

    eventually(resolved)


def test_reference_is_the_type_that_incidents_carry(harness: Harness) -> None:
    assert harness._resolver.workload(pod().facts) == WorkloadReference(kind="Pod", name="web-1")
