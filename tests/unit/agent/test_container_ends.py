"""Ends of containers by SIGKILL: waited for, decided once, counted once; on virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from oomkeeper.agent.adoption import adopt_incidents
from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.container_ends import (
    EVENTS_SECONDS,
    EVIDENCE_SECONDS,
    TraceState,
)
from oomkeeper.agent.container_kills import MAX_BYTES, RING, kill_within_size
from oomkeeper.agent.messages import PodChanged, PodsListed
from oomkeeper.agent.pods import Pod
from oomkeeper.agent.records import KILLERS_NOTE
from oomkeeper.agent.store import Store
from oomkeeper.agent.upkeep import KEEP_SECONDS
from oomkeeper.api import ContainerKill as ContainerKillModel
from oomkeeper.resources.oomincident import WorkloadReference
from oomkeeper.resources.record import to_document

from .container_end_harness import OTHER_UID, START, Node, state
from .loop_harness import LoopHarness
from .pod_samples import IDS, UID, ended, parse_pod, pod, pod_object, running, status


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.store.close()


def test_metrics_count_each_end_once_and_keep_it_when_its_object_is_gone(node: Node) -> None:
    node.signal(by_path=f"/kubepods/pod{UID}/{IDS[0]}", by_comm="bash")
    node.see(node.killed())
    node.pass_seconds(60)
    node.restart()
    node.see(node.killed())
    node.pass_seconds(60)
    node.store._execute("DELETE FROM incident")
    node.see(node.killed(IDS[1]))
    node.pass_seconds(EVENTS_SECONDS + 10)
    assert node.store.committed_note(KILLERS_NOTE, dict[str, int]) == {"Container": 2}


def test_end_waits_for_its_evidence_and_is_counted_once(node: Node) -> None:
    node.signal(by_path=f"/kubepods/pod{UID}/{IDS[0]}", by_comm="bash")
    node.see(node.killed())
    node.pass_seconds(EVIDENCE_SECONDS - 0.5)
    assert node.kills() == []
    node.pass_seconds(60)
    (kill,) = node.kills()
    assert (kill.spec.workload.name, kill.spec.container, kill.spec.killer) == ("web", "app", "Container")
    assert (kill.metadata.namespace, state(kill).count) == ("shop", 1)
    assert (kill.metadata.labels or {})["oomkeeper.dev/killer"] == "Container"
    assert not node.ends.waiting
    node.see(node.killed())
    node.see(status("app", now=running(), container_id=IDS[1], last=ended(IDS[0], reason="Error")))
    node.pass_seconds(60)
    assert node.only().count == 1
    assert node.asked == []
    assert [one.key for one in node.store.unpublished()] == [key for key, _ in node.store.container_kills()]


@pytest.mark.parametrize(
    ("reason", "exit_code"), [("Completed", 0), ("Error", 1), ("Error", 143), ("Error", 255)]
)
def test_other_ends_are_not_recorded(node: Node, reason: str, exit_code: int) -> None:
    one = node.killed(reason=reason)
    one["state"]["terminated"]["exitCode"] = exit_code
    node.see(one)
    assert not node.ends.waiting


def test_end_from_long_ago_is_not_taken_up(node: Node) -> None:
    node.see(node.killed(ago=KEEP_SECONDS))
    assert not node.ends.waiting


# -- exactly once


def test_end_waits_for_the_workload_and_for_no_pod_that_is_gone(node: Node) -> None:
    node.workload = None
    node.signal(by_path="/", by_comm="x")
    node.see(node.killed())
    node.pass_seconds(60)
    assert node.kills() == []
    node.workload = WorkloadReference(kind="Job", name="once")
    node.pass_seconds(1)
    assert [kill.spec.workload.name for kill in node.kills()] == ["once"]


def test_failure_while_an_end_is_counted_counts_it_later_and_once(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.signal(by_path="/", by_comm="x")
    node.see(node.killed())

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "put_container_kill", fail)
    with pytest.raises(KeyboardInterrupt):
        node.pass_seconds(10)
    monkeypatch.undo()
    node.restart()
    assert not node.store.is_end_counted(IDS[0])
    node.pass_seconds(10)
    assert node.killers() == {"HostProcess": 1}
    node.restart()
    node.pass_seconds(10)
    assert node.killers() == {"HostProcess": 1}


def test_crash_loop_is_one_object_with_the_last_ends(node: Node) -> None:
    for number in range(RING + 3):
        container_id = f"{number:064x}"
        node.signal(container_id, by_path=f"/kubepods/pod{UID}/{container_id}", by_comm="bash")
        node.see(node.killed(container_id))
        node.pass_seconds(30)
    status_ = node.only()
    assert (node.killers(), len(status_.ends)) == ({"Container": RING + 3}, RING)
    assert status_.ends[0].container_id == f"{RING + 2:064x}"
    assert (status_.last_seen, status_.first_seen) == (status_.ends[0].time, rfc3339(START + 10))


def test_state_that_was_lost_counts_on_from_the_cluster(node: Node, tmp_path: Path) -> None:
    node.signal(by_path="/", by_comm="x")
    node.see(node.killed())
    node.pass_seconds(10)
    published = node.kills()
    node.store.close()
    node.folder = tmp_path / "new"
    node.start()
    adopt_incidents(node.store, [], published)
    assert node.store.unpublished() == []
    node.pass_seconds(10)
    assert node.killers() == {"HostProcess": 1}
    node.signal(IDS[1], by_path="/", by_comm="x")
    node.see(node.killed(IDS[1]))
    node.pass_seconds(10)
    assert node.killers() == {"HostProcess": 2}


def test_ends_before_those_that_an_adopted_object_names_are_counted_in_it(node: Node, tmp_path: Path) -> None:
    for number in range(RING + 1):
        container_id = f"{number:064x}"
        node.signal(container_id, by_path="/", by_comm="x")
        node.see(node.killed(container_id))
        node.pass_seconds(10)
    published = node.kills()
    node.store.close()
    node.folder = tmp_path / "new"
    node.start()
    adopt_incidents(node.store, [], published)
    first = "0" * 64
    node.signal(first, by_path="/", by_comm="x", time_ns=int((node.now - 110) * 1e9))
    node.see(node.killed(first, ago=110))
    node.pass_seconds(10)
    assert node.killers() == {"HostProcess": RING + 1}


def test_object_is_within_its_size_and_what_the_schema_takes(node: Node) -> None:
    long = "\\x1b" * 4000
    node.first.pids[100] = IDS[0]
    for number in range(RING):
        container_id = f"{number:064x}"
        node.signal(container_id, by_path="/system.slice/" + long, by_comm=long, by_exe="/" + long, comm=long)
        obj = pod_object(node.killed(container_id))
        obj["status"] |= {"reason": "R" * 300, "message": "é" * 5000}
        made = parse_pod(obj)
        node.pods.put(made)
        node.ends.pod_changed(made)
        node.pass_seconds(10)
    (kill,) = node.kills()
    cut = kill_within_size(kill)
    document = to_document(cut)
    assert len(msgspec.json.encode(document)) <= MAX_BYTES
    parsed = ContainerKillModel.parse(document)
    assert parsed.status is not None
    assert parsed.status.count == RING
    assert parsed.status.ends


def test_mirror_pod_that_is_made_anew_repeats_no_end(node: Node) -> None:
    node.signal(by_path="/", by_comm="x")
    node.see(node.killed())
    node.pass_seconds(10)
    node.see(node.killed(), uid=OTHER_UID)
    node.pass_seconds(10)
    assert node.killers() == {"HostProcess": 1}


def test_ends_that_find_no_room_wait_for_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oomkeeper.agent.container_ends.MOST_WAITING", 2)
    for number in range(6):
        container_id = f"{number:064x}"
        node.signal(container_id, by_path="/", by_comm="x")
        node.see(node.killed(container_id), uid=f"{number:08}-1111-2222-3333-444455556666")
    node.pass_seconds(30)
    assert node.killers() == {"HostProcess": 6}


def test_many_ends_that_wait_for_events_are_looked_at_now_and_then(node: Node) -> None:
    node.trace = TraceState(open=False)
    for number in range(200):
        node.see(node.killed(f"{number:064x}"), uid=f"{number:08}-1111-2222-3333-444455556666")
    node.pass_seconds(60)
    assert node.killers() == {}
    assert 200 <= len(node.asked) <= 60 * 60
    node.pass_seconds(EVENTS_SECONDS)
    assert node.killers() == {"Unknown": 200}


# -- in the loop


APP = f"/kubepods/burstable/pod{UID}/{IDS[0]}"


def oom_ended(harness: LoopHarness, *, reason: str = "OOMKilled") -> Pod:
    at = rfc3339(float(int(harness.wall)))
    return pod(status("app", now=ended(IDS[0], reason=reason, at=at)))


def verdicts(harness: LoopHarness) -> dict[str, int]:
    return {kill.spec.killer: state(kill).count or 0 for _, kill in harness.store.container_kills()}


def test_oom_kill_is_linked_and_counted_in_its_incident_alone(tmp_path: Path) -> None:
    harness = LoopHarness(tmp_path)
    harness.loop.post(PodsListed([pod(status("app", now=running(), container_id=IDS[0]))]))
    harness.pass_seconds(2)
    before = harness.store.account().recorded
    harness.log.kill(APP, usec=int(harness.now * 1e6))
    harness.loop.post(PodChanged(oom_ended(harness), deleted=False))
    harness.pass_seconds(30)
    assert verdicts(harness) == {"KernelOOM": 1}
    ((_, kill),) = harness.store.container_kills()
    ((_, incident),) = harness.store.incidents()
    assert state(kill).evidence is not None
    assert state(kill).evidence.incident == incident.metadata.name  # type: ignore[union-attr]
    assert state(kill).certainty == "Proved"
    assert harness.store.account().recorded == before + 1
    assert harness.subjects == {"web-1": 1}
    harness.store.close()


def test_oom_kill_that_only_kubelet_reports_links_its_incident(tmp_path: Path) -> None:
    harness = LoopHarness(tmp_path)
    harness.loop.post(PodsListed([pod(status("app", now=running(), container_id=IDS[0]))]))
    harness.pass_seconds(2)
    harness.loop.post(PodChanged(oom_ended(harness), deleted=False))
    harness.pass_seconds(30)
    ((_, kill),) = harness.store.container_kills()
    ((_, incident),) = harness.store.incidents()
    assert (kill.spec.killer, state(kill).certainty) == ("KernelOOM", "Claimed")
    assert state(kill).evidence is not None
    assert state(kill).evidence.incident == incident.metadata.name  # type: ignore[union-attr]
    harness.store.close()


def test_agent_killed_at_any_step_counts_each_end_once(tmp_path: Path) -> None:
    """The pod is deleted in the meantime, and the API server lists it no more."""
    for steps in range(1, 14):
        harness = LoopHarness(tmp_path / str(steps))
        harness.loop.post(PodsListed([pod(status("app", now=running(), container_id=IDS[0]))]))
        harness.pass_seconds(1)
        harness.loop.post(PodChanged(oom_ended(harness, reason="Error"), deleted=False))
        harness.loop.post(PodChanged(oom_ended(harness, reason="Error"), deleted=True))
        for _ in range(steps):
            harness.pass_seconds(0.5, step=0.5)
        harness.restart()
        harness.loop.post(PodsListed([]))
        harness.pass_seconds(2)
        harness.restart()
        harness.loop.post(PodsListed([]))
        harness.pass_seconds(30)
        assert verdicts(harness) == {"Unknown": 1}, steps
        ((_, kill),) = harness.store.container_kills()
        assert "signals are not traced" in state(kill).uncertain[0]
        harness.store.close()


def test_container_that_ran_through_a_reboot_ended_with_it(tmp_path: Path) -> None:
    harness = LoopHarness(tmp_path)
    started = rfc3339(harness.wall - 500)
    before = running()
    before["running"]["startedAt"] = started
    harness.loop.post(PodsListed([pod(status("app", now=before, container_id=IDS[0]))]))
    harness.pass_seconds(1)
    harness.wall += 60
    harness.reboot("boot-2", sysctls={})
    harness.start()
    gone = ended(IDS[0], reason="Unknown", at=rfc3339(float(int(harness.wall + 1))))
    gone["terminated"] |= {"exitCode": 255, "startedAt": started}
    harness.loop.post(PodsListed([pod(status("app", now=gone))]))
    harness.pass_seconds(10)
    assert verdicts(harness) == {"NodeLost": 1}
    harness.store.close()
