"""What the end of a container by SIGKILL is decided from: signals, Events, statuses, lines of the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.container_ends import (
    DETAIL_SECONDS,
    EVENTS_SECONDS,
    EVIDENCE_SECONDS,
    TraceState,
)
from oomkeeper.agent.end_signals import KEPT_TO_OTHERS
from oomkeeper.agent.event_reader import EventsAnswer
from oomkeeper.agent.kill_claims import KEPT
from oomkeeper.agent.lost_runs import with_lost_runs
from oomkeeper.agent.pods import PodStop
from oomkeeper.agent.records import CLAIMS_NOTE, ClaimNote
from oomkeeper.agent.signal_origin import Origin
from oomkeeper.model.killer import KillSignal, SenderPlace

from .container_end_harness import LIVENESS, OTHER_UID, START, Node, event
from .pod_samples import IDS, UID, Json, parse_pod, pod_object, running, status


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.store.close()


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
