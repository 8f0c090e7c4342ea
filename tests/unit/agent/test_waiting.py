"""A kill waits for what the API has yet to say of its pod, and no longer than it may take."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.agent import late_attribution
from oomkeeper.agent.kill_recorder import KillRecorder
from oomkeeper.agent.late_attribution import PATIENCE_SECONDS, LateAttribution
from oomkeeper.agent.listener import LoopListener
from oomkeeper.agent.pods import PodTable
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.store import Store
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy

from .pod_samples import IDS, UID, pod, running, status
from .test_shared_kernel import FACTS, Log

PAIR = ("app", "sidecar")


class WaitingNode:
    """A kill recorder on virtual time, with a kill in a container of a pod."""

    def __init__(self, folder: Path) -> None:
        (folder / "cgroup" / "memory").mkdir(parents=True)
        (folder / "cgroup" / "memory" / "memory.usage_in_bytes").write_text("0")
        self.store = Store.open(folder / "state")
        self.pods = PodTable()
        self._now = 0.0
        self.pods.replace([], now=0.0)
        self._late = LateAttribution(
            store=self.store,
            facts=FACTS,
            node="node-a",
            pods=self.pods,
            operator_namespace="oomkeeper-system",
            clock=lambda: self._now,
        )
        self._recorder = KillRecorder(
            store=self.store,
            facts=FACTS,
            node="node-a",
            boot=self.store.start_boot(
                boot_id="boot", since="2026-01-01T00:00:00Z", cursor=0, vmstat_base=0, counters={}
            ),
            hierarchy=CgroupHierarchy.find(root=folder / "cgroup", proc=folder),
            pods=self.pods,
            operator_namespace="oomkeeper-system",
            listener=LoopListener(),
            shared=SharedKernel(),
            late=self._late,
            clock=lambda: self._now,
        )
        self._log = Log()
        self.kill()

    def kill(self) -> None:
        self._recorder.feed(self._log.full(f"/kubepods/burstable/pod{UID}/{IDS[0]}"), lost=lambda: 0)
        self.at(self._now)

    def at(self, seconds: float) -> None:
        self._now = seconds
        self._recorder.tick()
        self._late.retry()

    @property
    def counts(self) -> dict[str | None, int]:
        """Workload of each incident, and its kills."""
        incidents = (incident for _, incident in self.store.incidents())
        return {
            incident.spec.workload.name if incident.spec.workload else None: incident.status.count
            for incident in incidents
            if incident.status is not None
        }

    @property
    def subjects(self) -> list[tuple[str | None, str | None]]:
        """Pod and container of each incident."""
        specs = [incident.spec for _, incident in self.store.incidents()]
        return [(spec.workload.name if spec.workload else None, spec.container) for spec in specs]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WaitingNode]:
    made = WaitingNode(tmp_path)
    yield made
    made.store.close()


def starting(node: WaitingNode) -> None:
    """The pod is known; which container has which id is not."""
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    node.pods.put(pod(*(status(name, now=waiting) for name in PAIR), containers=PAIR))


def test_kill_waits_for_the_container_id_of_a_pod_slow_to_start(node: WaitingNode) -> None:
    starting(node)
    node.at(PATIENCE_SECONDS["container"] - 1)
    assert node.subjects == []
    named = (status(name, now=running(), container_id=IDS[n]) for n, name in enumerate(PAIR))
    node.pods.put(pod(*named, containers=PAIR))
    node.at(PATIENCE_SECONDS["container"] - 0.5)
    assert node.subjects == [("web-1", "app")]


def test_kill_that_waited_for_its_container_id_is_counted_by_one_part_of_the_agent(
    node: WaitingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    monkeypatch.setattr(late_attribution, "uncount_kill", lambda _store, *, key, **_: moved.append(key))
    starting(node)
    node.at(1.0)
    named = (status(name, now=running(), container_id=IDS[n]) for n, name in enumerate(PAIR))
    node.pods.put(pod(*named, containers=PAIR))
    node.at(2.0)
    assert (node.subjects, moved) == ([("web-1", "app")], [])


def test_kill_is_counted_without_a_container_id_that_never_comes(node: WaitingNode) -> None:
    starting(node)
    node.at(PATIENCE_SECONDS["container"])
    assert node.subjects == [("web-1", None)]


def test_kill_is_counted_without_a_pod_that_is_never_listed(node: WaitingNode) -> None:
    node.at(PATIENCE_SECONDS["pod"] - 0.5)
    assert node.subjects == []
    node.at(PATIENCE_SECONDS["pod"])
    assert [pod_name for pod_name, _ in node.subjects] == [None]


def test_kills_beyond_the_bound_are_counted_at_once(
    node: WaitingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_attribution, "MAX_KILLS", 1)
    node.kill()
    node.kill()
    assert node.counts == {None: 2}
    assert len(node.store.unidentified()) == 1
    node.at(PATIENCE_SECONDS["pod"])
    assert node.counts == {None: 3}
