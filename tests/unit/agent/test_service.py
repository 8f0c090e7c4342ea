"""`oomkeeper agent` in this process, against an API server that comes and goes."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent.database import StateError, hold_state
from oomkeeper.agent.health import HealthPortError
from oomkeeper.agent.records import DesiredNote
from oomkeeper.agent.service import Agent, AgentConfig
from oomkeeper.agent.store import Store
from oomkeeper.connection.config import ApiConfig
from tests.unit.api.objects import CONTAINER_KILL
from tests.waiting import eventually

from .kill_samples import document, host_incident
from .kube_server import Exchange, server
from .loop_harness import LoopHarness

SPEC = {"sysctls": [{"name": "vm.swappiness", "value": 10, "policy": "ten"}]}
ITEM = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "OOMNode",
    "metadata": {"name": "node-a", "generation": 3, "resourceVersion": "7"},
    "spec": SPEC,
}


class FakeCluster:
    """Answers lists and applies; watches stay open until the client goes."""

    def __init__(self) -> None:
        self.oomnodes: list[Any] = [ITEM]
        self.incidents: list[Any] = []
        self.container_kills: list[Any] | None = []
        self.applied: dict[str, Any] = {}
        self.writes: list[tuple[str, Any]] = []
        self.lock = threading.Lock()

    def answer(self, one: Exchange) -> None:
        path = one.path.partition("?")[0]
        if one.method == "PATCH":
            with self.lock:
                self.applied[path] = one.body
                self.writes.append((path, one.body))
            one.json(one.body)
        elif "watch=" in one.path:
            one.start(length=10**6)
            one.wait_until_closed()
        elif path.endswith("/oomnodes"):
            one.json({"metadata": {"resourceVersion": "7"}, "items": self.oomnodes})
        elif path.endswith("/oomincidents"):
            one.json({"metadata": {"resourceVersion": "7"}, "items": self.incidents})
        elif path.endswith("/containerkills") and self.container_kills is not None:
            one.json({"metadata": {"resourceVersion": "7"}, "items": self.container_kills})
        elif path.endswith("/pods"):
            one.json({"metadata": {"resourceVersion": "7"}, "items": []})
        else:
            one.json({"message": "not found"}, status=404)

    def status(self) -> Any:
        with self.lock:
            return self.applied["/apis/oomkeeper.dev/v1alpha1/oomnodes/node-a/status"]["status"]


class Node:
    """A host of files with an agent on it."""

    def __init__(self, folder: Path) -> None:
        self.host = LoopHarness(folder)
        self.host.store.close()
        (folder / "state" / "oomkeeper.db").unlink()
        self.state = folder / "state"
        self._agent: Agent | None = None
        self._thread: threading.Thread | None = None

    def start(self, url: str, **options: Any) -> None:
        self._agent = Agent(self.config(url, **options))
        self._thread = threading.Thread(target=self._agent.run, daemon=True)
        self._thread.start()

    def config(self, url: str, **options: Any) -> AgentConfig:
        return AgentConfig(
            api=ApiConfig(server=url, token="t"),
            node="node-a",
            state_dir=self.state,
            namespace="ops",
            host=self.host.paths(),
            **options,
        )

    def stop(self) -> None:
        if self._agent is not None and self._thread is not None:
            self._agent.stop()
            self._thread.join(20)
            assert not self._thread.is_alive()
            self._agent = None


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.stop()


def swappiness(node: Node) -> int:
    return node.host.sysctl("vm.swappiness")


def test_oomnode_is_enforced_and_its_status_published(node: Node) -> None:
    cluster = FakeCluster()
    with server(cluster.answer) as url:
        node.start(url)
        eventually(lambda: cluster.status()["sysctls"][0]["actual"] == 10, seconds=20)
        assert swappiness(node) == 10
        assert cluster.status()["observedGeneration"] == 3
        node.stop()


def test_restarted_agent_enforces_and_answers_probes_without_an_api_server(node: Node) -> None:
    cluster = FakeCluster()
    with server(cluster.answer) as url:
        node.start(url)
        eventually(lambda: swappiness(node) == 10, seconds=20)
        node.stop()
    node.host.put_sysctl("vm.swappiness", 60)
    node.start("http://127.0.0.1:9")
    eventually(lambda: swappiness(node) == 10, seconds=20)


def test_incidents_of_an_earlier_state_are_adopted_before_anything_is_published(node: Node) -> None:
    cluster = FakeCluster()
    older = json.loads(json.dumps(document(host_incident(count=41))))
    cluster.incidents = [older, {"kind": "OOMIncident", "metadata": {}}]
    with server(cluster.answer) as url:
        node.start(url)
        eventually(lambda: cluster.status(), seconds=20)
        node.stop()
    store = Store.open(node.state)
    assert [(one.status.count if one.status else 0) for _, one in store.incidents()] == [41]
    assert store.unpublished() == []
    store.close()


@pytest.mark.parametrize("known", [True, False])
def test_container_kills_of_an_earlier_state_are_adopted_where_the_cluster_has_the_kind(
    node: Node, known: bool
) -> None:
    cluster = FakeCluster()
    older = copy.deepcopy(CONTAINER_KILL)
    older["spec"]["nodeName"] = "node-a"
    cluster.container_kills = [older] if known else None
    with server(cluster.answer) as url:
        node.start(url)
        eventually(lambda: cluster.status(), seconds=20)
        node.stop()
    store = Store.open(node.state)
    adopted = [(kill.status.count if kill.status else 0) for _, kill in store.container_kills()]
    assert adopted == ([2] if known else [])
    assert store.is_end_counted("a" * 64) is known
    assert store.unpublished() == []
    store.close()


def test_second_agent_on_a_state_folder_changes_nothing(node: Node) -> None:
    with hold_state(node.state), pytest.raises(StateError, match="another oomkeeper agent"):
        Agent(node.config("http://127.0.0.1:9")).run()
    assert not (node.state / "oomkeeper.db").exists()


def test_port_of_the_probes_that_is_taken_ends_the_agent_with_its_number(node: Node) -> None:
    cluster = FakeCluster()
    with server(cluster.answer) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(HealthPortError, match=str(port)):
            Agent(node.config(url, health_port=port)).run()


def test_stored_oomnode_survives_an_agent_that_was_never_told_otherwise(node: Node) -> None:
    store = Store.open(node.state)
    store.put_note("oomnode", DesiredNote(generation=3, spec=SPEC))
    store.close()
    node.start("http://127.0.0.1:9")
    eventually(lambda: swappiness(node) == 10, seconds=20)


def test_first_status_has_every_condition_decided(node: Node) -> None:
    cluster = FakeCluster()
    with server(cluster.answer) as url:
        node.start(url)
        eventually(lambda: cluster.status(), seconds=20)
        written = [one["status"] for path, one in cluster.writes if path.endswith("oomnodes/node-a/status")]
        decided = {one["type"]: one["status"] for one in written[0]["conditions"]}
        assert decided["ClockInSync"] == "True"
        node.stop()
