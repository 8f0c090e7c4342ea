"""Ends of containers by SIGKILL: waited for, decided once, counted once; on virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oomkeeper.agent.adoption import adopt_incidents
from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.container_ends import (
    DETAIL_SECONDS,
    EVENTS_SECONDS,
    EVIDENCE_SECONDS,
    ContainerEnds,
    TraceState,
)
from oomkeeper.agent.container_kills import MAX_BYTES, RING, kill_within_size
from oomkeeper.agent.end_signals import KEPT_TO_OTHERS, EndSignals
from oomkeeper.agent.event_reader import EventsAnswer, EventsOf
from oomkeeper.agent.kill_claims import KEPT, KillClaims
from oomkeeper.agent.kill_senders import SentSignal
from oomkeeper.agent.lost_runs import with_lost_runs
from oomkeeper.agent.messages import PodChanged, PodsListed
from oomkeeper.agent.pods import Pod, PodStop
from oomkeeper.agent.records import CLAIMS_NOTE, KILLERS_NOTE, ClaimNote
from oomkeeper.agent.signal_origin import Origin
from oomkeeper.agent.store import Store
from oomkeeper.agent.upkeep import KEEP_SECONDS
from oomkeeper.api import ContainerKill as ContainerKillModel
from oomkeeper.model.killer import EventFact, KillSignal, SenderPlace
from oomkeeper.model.log import LogRecord
from oomkeeper.resources.containerkill import ContainerKill, ContainerKillStatus
from oomkeeper.resources.oomincident import WorkloadReference
from oomkeeper.resources.record import to_document

from .loop_harness import LoopHarness
from .pod_samples import IDS, UID, Json, ended, parse_pod, pod, pod_object, running, status, table

OTHER_UID = "99999999-1111-2222-3333-444455556666"
START = 1_800_000_000.0
BOOTED = START - 86_400
LIVENESS = "Container app failed liveness probe, will be restarted"


class FirstOf:
    """The first processes that the test names."""

    def __init__(self) -> None:
        self.pids: dict[int, str] = {}

    def container_of(self, pid: int) -> str | None:
        return self.pids.get(pid)

    def knows(self, container_id: str) -> bool:
        return container_id in self.pids.values()


class Node:
    """A node's state; `restart` is the agent's end by kill -9 and its next start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now, self.wall = 86_400.0, START
        self.first = FirstOf()
        self.trace = TraceState(open=True)
        self.answers: dict[str, EventsAnswer] = {}
        self.asked: list[str] = []
        self.pods = table()
        self.workload: WorkloadReference | None = WorkloadReference(kind="Deployment", name="web")
        self.pods._workload_of = lambda _pod: self.workload
        self.start()
        self.tick()
        self.pass_seconds(10)

    def start(self) -> None:
        self.store = Store.open(self.folder)
        self.signals = EndSignals(
            store=self.store,
            pods=self.pods,
            first=self.first,  # type: ignore[arg-type]
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )
        self.claims = KillClaims(
            store=self.store, boot_id="boot-1", clock=lambda: self.now, wall=lambda: self.wall
        )
        self.ends = ContainerEnds(
            store=self.store,
            node="node-a",
            boot_id="boot-1",
            pods=self.pods,
            signals=self.signals,
            claims=self.claims,
            trace=lambda: self.trace,
            events=self.ask,
            since_boot=lambda: self.wall - BOOTED,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    def restart(self) -> None:
        self.store.close()
        self.start()

    def ask(self, of: EventsOf) -> EventsAnswer | None:
        self.asked.append(of.container_id)
        return self.answers.get(of.container_id)

    def tick(self) -> None:
        self.claims.tick()
        self.ends.tick()

    def pass_seconds(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self.wall += 0.5
            self.tick()

    def see(self, *statuses: Json, **fields: Any) -> Pod:
        made = pod(*statuses, **fields)
        made = with_lost_runs(made, self.pods.find(made.facts.uid))
        self.pods.put(made)
        self.ends.pod_changed(made)
        return made

    def log(self, text: str, *, kernel: bool = False) -> None:
        """Write a line to the kernel log."""
        record = LogRecord(text.encode(), usec=int(self.now * 1e6), kernel=kernel)
        assert [*self.claims.seen([record])] == [record]

    def killed(self, container_id: str = IDS[0], *, reason: str = "Error", ago: float = 0.0) -> Json:
        at = rfc3339(float(int(self.wall - ago)))
        return status("app", now=ended(container_id, reason=reason, at=at))

    def signal(self, container_id: str | None = IDS[0], *, pid: int = 100, **fields: Any) -> None:
        path = f"/kubepods/pod{UID}/{container_id}" if container_id else None
        sent = SentSignal(
            time_ns=int(self.now * 1e9),
            pid=pid,
            comm="java",
            by_pid=7,
            origin=Origin.PROCESS,
            path=path,
            container_id=container_id,
        )
        self.signals.take(deque([sent._replace(**fields)]))

    def kills(self) -> list[ContainerKill]:
        return [kill for _, kill in self.store.container_kills()]

    def killers(self) -> dict[str, int]:
        return {kill.spec.killer: state(kill).count or 0 for kill in self.kills()}

    def only(self) -> ContainerKillStatus:
        (kill,) = self.kills()
        return state(kill)


def state(kill: ContainerKill) -> ContainerKillStatus:
    assert kill.status is not None
    return kill.status


def event(message: str, at: float, *, reason: str = "Killing") -> EventsAnswer:
    return EventsAnswer((EventFact(reason, message, "app", at, at),))


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


def test_probe_is_found_in_the_pods_events(node: Node) -> None:
    node.first.pids[100] = IDS[0]
    node.signal(by_path="/system.slice/containerd.service", by_comm="runc")
    node.see(node.killed())
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    assert node.kills() == []
    node.answers[IDS[0]] = event(LIVENESS, node.wall - 30)
    node.pass_seconds(1)
    status_ = node.only()
    assert (node.killers(), status_.certainty) == ({"Probe": 1}, "Proved")
    assert status_.evidence is not None
    assert status_.evidence.event is not None
    assert status_.evidence.event.message == LIVENESS
    assert status_.evidence.sender is not None
    assert (status_.evidence.sender.comm, status_.evidence.sender.place) == ("runc", "Runtime")
    assert status_.evidence.target is not None
    assert (status_.evidence.target.pid, status_.evidence.target.first) == (100, True)


OOMD = f"systemd-oomd[709]: Killed /kubepods/burstable/pod{UID}/{IDS[0]} due to memory pressure for /kubepods"
BY_OOMD = {
    "by_path": "/system.slice/systemd-oomd.service",
    "by_comm": "systemd-oomd",
    "by_exe": "/usr/lib/systemd/systemd-oomd",
}


def test_line_of_an_oom_killer_is_evidence_beside_its_signal_over_a_restart(node: Node) -> None:
    node.first.pids[100] = IDS[0]
    node.log(OOMD)
    node.log(OOMD)  # read again
    node.pass_seconds(1)
    node.signal(**BY_OOMD)
    node.restart()
    node.see(node.killed())
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    found = node.only()
    assert (node.killers(), found.certainty) == ({"SystemdOOMD": 1}, "Proved")
    assert found.evidence is not None
    assert found.evidence.claim is not None
    assert (found.evidence.claim.program, found.evidence.claim.text) == ("systemd-oomd", OOMD)


@pytest.mark.parametrize("kernel", [True, False])
def test_line_about_another_container_or_of_the_kernel_is_no_claim(node: Node, kernel: bool) -> None:
    node.trace = TraceState(open=False, problem="locked down")
    node.answers[IDS[0]] = EventsAnswer(())
    node.log(OOMD if kernel else OOMD.replace(IDS[0], IDS[1]), kernel=kernel)
    node.see(node.killed())
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    assert node.killers() == {"Unknown": 1}


def test_flood_of_forged_lines_keeps_memory_and_writes_bounded(node: Node) -> None:
    changes = []
    for number in range(10 * KEPT):
        node.log(f"earlyoom[1]: sending SIGKILL to process {number} uid 0 \x1b[2J" + "x" * 4000)
        node.claims.tick()
        changes.append(node.store.note(CLAIMS_NOTE, tuple[ClaimNote, ...]))
    assert len({len(one or ()) for one in changes}) == 1
    node.pass_seconds(2)
    stored = node.store.note(CLAIMS_NOTE, tuple[ClaimNote, ...])
    assert stored is not None
    assert len(stored) == KEPT
    assert max(len(one.text) for one in stored) <= 400
    assert "\x1b" not in stored[0].text


def lost() -> Json:
    unknown = {"terminated": {"reason": "ContainerStatusUnknown", "exitCode": 137, "finishedAt": None}}
    return status("app", now=unknown, last=unknown)


@pytest.mark.parametrize("seen", [True, False], ids=["seen running", "never seen"])
def test_eviction_without_a_container_id_is_counted_once(node: Node, seen: bool) -> None:
    """As kubelet writes it after an eviction for memory."""
    node.first.pids[100] = IDS[0]
    if seen:
        began = {"running": {"startedAt": rfc3339(node.wall)}}
        node.see(status("app", now=began, container_id=IDS[0]))
    node.signal(by_path="/system.slice/containerd.service", by_comm="runc")
    signalled = node.wall
    evicted = parse_pod(pod_object(lost()))
    evicted = replace(
        evicted, stop=PodStop(reason="Evicted", message="The node was low on resource: memory.")
    )
    for _ in range(2):
        made = with_lost_runs(evicted, node.pods.find(UID))
        node.pods.put(made)
        node.ends.pod_changed(made)
        node.pass_seconds(EVIDENCE_SECONDS + 1)
        node.restart()
    found = node.only()
    assert (node.killers(), found.count) == ({"Eviction": 1}, 1)
    assert found.certainty == ("Proved" if seen else "Claimed")
    (end,) = found.ends
    assert (end.reason, end.container_id) == (
        "ContainerStatusUnknown",
        IDS[0] if seen else f"{UID}-app",
    )
    if seen:
        assert end.time == rfc3339(signalled)


def test_run_that_is_reported_later_is_no_lost_one(node: Node) -> None:
    node.see(status("app", now=running(), container_id=IDS[0]))
    again = status("app", now=running(), container_id=IDS[1], last=lost()["state"])
    made = node.see(again)
    assert (made.states[IDS[0]].running, made.states[IDS[1]].running) == (False, True)


def test_api_eviction_waits_shortly_for_who_asked_for_it(node: Node) -> None:
    node.first.pids[100] = IDS[0]
    node.signal(by_path="/system.slice/containerd.service", by_comm="runc")
    at = rfc3339(float(int(node.wall)))
    obj = pod_object(node.killed(), deletionTimestamp=at, deletionGracePeriodSeconds=5)
    obj["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    ]
    made = parse_pod(obj)
    node.pods.put(made)
    node.ends.pod_changed(made)
    node.pass_seconds(DETAIL_SECONDS - 1)
    assert node.kills() == []
    node.pass_seconds(2)
    assert node.killers() == {"GracePeriod": 1}


def test_deleted_pod_needs_no_events(node: Node) -> None:
    node.first.pids[100] = IDS[0]
    node.signal(by_path="/system.slice/containerd.service", by_comm="runc")
    deleted = {"deletionTimestamp": rfc3339(float(int(node.wall))), "deletionGracePeriodSeconds": 5}
    node.see(node.killed(), **deleted)
    node.pods.remove(UID, now=node.now)
    node.pass_seconds(10)
    assert node.killers() == {"GracePeriod": 1}
    assert "grace period of 5 s after the pod was deleted" in (node.only().summary or "")
    assert node.asked == []


def test_grace_period_is_the_one_of_the_first_deletion(node: Node) -> None:
    """kubelet deletes the pod once more, with 0 s, when its containers have ended."""
    node.first.pids[100] = IDS[0]
    first = {"deletionTimestamp": rfc3339(float(int(node.wall + 5))), "deletionGracePeriodSeconds": 5}
    node.see(status("app", now=running(), container_id=IDS[0]), **first)
    node.pass_seconds(5)
    node.signal(by_path="/system.slice/containerd.service", by_comm="runc")
    last = {"deletionTimestamp": rfc3339(float(int(node.wall + 1))), "deletionGracePeriodSeconds": 0}
    node.see(node.killed(), **last)
    node.pass_seconds(10)
    evidence = node.only().evidence
    assert evidence is not None
    assert (evidence.grace_period_seconds, evidence.deletion_time) == (5, first["deletionTimestamp"])
    # Forced: the containers still run.
    node.see(status("app", now=running(), container_id=IDS[1]), uid=OTHER_UID, **first)
    forced = node.see(status("app", now=running(), container_id=IDS[1]), uid=OTHER_UID, **last)
    known = node.pods.find(OTHER_UID)
    assert known is not None
    assert known.stop == forced.stop


def test_evicted_pod_is_an_eviction_with_its_threshold(node: Node) -> None:
    obj = pod_object(node.killed())
    obj["status"] |= {"reason": "Evicted", "message": "The node was low on\x1b resource: memory."}
    obj["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "low"}
    ]
    made = parse_pod(obj)
    node.trace = TraceState(open=False, problem="tracefs: locked down")
    node.pods.put(made)
    node.ends.pod_changed(made)
    node.pass_seconds(10)
    status_ = node.only()
    assert (node.killers(), status_.certainty) == ({"Eviction": 1}, "Claimed")
    assert status_.evidence is not None
    assert status_.evidence.pod_message == "The node was low on\\x1b resource: memory."
    assert (status_.evidence.disruption, status_.evidence.trace) == ("TerminationByKubelet", "Absent")
    assert status_.uncertain == ("The sender of SIGKILL is not known: tracefs: locked down.",)


def test_sender_in_another_pod_is_named(node: Node) -> None:
    other = pod_object(
        status("shell", now=running(), container_id=IDS[3]), containers=("shell",), uid=OTHER_UID
    )
    other["metadata"] |= {"namespace": "ops", "name": "debug"}
    node.pods.put(parse_pod(other))
    node.first.pids[100] = IDS[0]
    node.signal(by_path=f"/kubepods/pod{OTHER_UID}/{IDS[3]}", by_comm="containerd")
    node.see(node.killed())
    node.pass_seconds(10)
    assert (node.killers(), node.only().certainty) == ({"OtherContainer": 1}, "Proved")
    assert "in container shell of pod ops/debug." in (node.only().summary or "")


def place(node: Node, **fields: Any) -> KillSignal:
    node.signal(**fields)
    return node.store.container_signals(IDS[0])[-1]


def test_place_of_the_sender_is_its_cgroup(node: Node) -> None:
    node.see(
        status("app", now=running(), container_id=IDS[0]),
        status("side", now=running(), container_id=IDS[1]),
        containers=("app", "side"),
    )
    below = f"/kubepods/pod{UID}"
    side = place(node, by_path=f"{below}/{IDS[1]}")
    assert (side.sender_place, side.sender_container) == (SenderPlace.SAME_POD, "side")
    pause = place(node, by_path=f"{below}/{IDS[4]}", by_comm="runc")
    assert (pause.sender_place, pause.sender_container) == (SenderPlace.SAME_POD, None)
    assert place(node, by_path=f"/kubepods/pod{OTHER_UID}/{IDS[2]}").sender_pod == OTHER_UID
    conmon = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-conmon-{IDS[0]}.scope"
    assert place(node, by_path=conmon, by_comm="conmon").sender_place is SenderPlace.RUNTIME
    assert place(node, by_path=conmon, by_comm="bash").sender_place is SenderPlace.HOST
    # The name of a runtime in a container that is none of kubelet's.
    docker = f"/system.slice/docker-{'f' * 64}.scope"
    assert place(node, by_path=docker, by_comm="runc").sender_place is SenderPlace.HOST
    assert place(node, by_elsewhere=True, by_comm="runc").sender_place is SenderPlace.HOST
    assert place(node, by_gone=True).sender_place is SenderPlace.UNKNOWN
    assert place(node, origin=Origin.OOM_KILLER).sender_place is SenderPlace.OOM_KILLER
    assert place(node, origin=Origin.KERNEL).sender_place is SenderPlace.KERNEL


def test_signals_kept_of_a_container_are_bounded(node: Node) -> None:
    node.first.pids[100] = IDS[0]
    node.signal(by_gone=True)
    for pid in range(200, 300):
        node.signal(pid=pid, by_gone=True)
    kept = node.store.container_signals(IDS[0])
    assert [one.pid for one in kept] == [100, *range(300 - KEPT_TO_OTHERS, 300)]
    assert [one.main for one in kept] == [True] + [False] * KEPT_TO_OTHERS
    assert abs(kept[0].at - node.wall) < 0.001


# -- what is missing is said


def test_without_an_answer_the_end_is_counted_in_the_end(node: Node) -> None:
    node.trace = TraceState(open=False, problem="another agent of this kernel reads it")
    node.see(node.killed())
    node.pass_seconds(EVENTS_SECONDS - 5)
    assert node.kills() == []
    node.pass_seconds(10)
    assert (node.killers(), node.only().certainty) == ({"Unknown": 1}, "Unknown")
    assert node.only().uncertain == (
        "The sender of SIGKILL is not known: another agent of this kernel reads it.",
        "The pod's Events were not read in time.",
    )


def test_end_before_the_agent_started_is_answered_as_far_as_statuses_go(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.answers[IDS[0]] = EventsAnswer(())
    node.see(node.killed(ago=3600))
    node.pass_seconds(10)
    assert node.killers() == {"Unknown": 1}
    assert node.only().uncertain == (
        "The sender of SIGKILL is not known: the kernel was not traced, or records were lost, at that time.",
    )
    assert node.only().last_seen == rfc3339(float(int(START + 10 - 3600)))
    node.store.close()


def test_end_while_no_agent_ran_may_lack_its_signal(node: Node) -> None:
    node.answers[IDS[0]] = EventsAnswer(())
    node.see(node.killed())
    node.pass_seconds(2)
    node.restart()
    node.pass_seconds(10)
    assert node.killers() == {"Unknown": 1}
    assert "the agent was started again after that" in node.only().uncertain[0]


def test_lost_records_are_no_proof_of_silence(node: Node) -> None:
    node.answers[IDS[0]] = EventsAnswer(())
    node.see(node.killed())
    node.trace = TraceState(open=True, complete_since=node.now + 1.5)
    node.pass_seconds(10)
    assert node.killers() == {"Unknown": 1}


def test_signal_to_an_unknown_cgroup_is_no_proof_of_silence(node: Node) -> None:
    node.answers[IDS[0]] = EventsAnswer(())
    node.signal(None, by_gone=True)
    node.see(node.killed())
    node.pass_seconds(10)
    assert node.killers() == {"Unknown": 1}
    assert node.only().uncertain[0].startswith("At that time 1 SIGKILLs hit processes")


def test_signal_to_another_node_of_the_kernel_is_none_of_this_one(node: Node) -> None:
    node.answers[IDS[0]] = EventsAnswer(())
    node.signal(None, by_gone=True, elsewhere=True)
    node.see(node.killed())
    node.pass_seconds(10)
    assert node.killers() == {"Container": 1}


def test_silence_of_a_complete_trace_is_an_exit_code_of_the_containers_own(node: Node) -> None:
    node.answers[IDS[0]] = EventsAnswer(())
    node.see(node.killed())
    node.pass_seconds(10)
    assert (node.killers(), node.only().certainty) == ({"Container": 1}, "Inferred")
    assert "ended by itself with exit code 137" in (node.only().summary or "")


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
