"""Kills before the agent's first start: recorded once, marked, and no part of the account."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from oomkeeper.agent import before_install, incident_counts
from oomkeeper.agent.adoption import adopted_until
from oomkeeper.agent.before_install import BUSY_SECONDS
from oomkeeper.agent.clock import parse_rfc3339, rfc3339
from oomkeeper.agent.incidents import status_of
from oomkeeper.agent.messages import IncidentsListed, PodsListed, WorkloadFound
from oomkeeper.agent.pods import Pod
from oomkeeper.agent.records import BEFORE_INSTALL_NOTE, BeforeInstallNote
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.upkeep import KEEP_SECONDS
from oomkeeper.agent.visibility import EVIDENCE_SECONDS, STATUS_SECONDS
from oomkeeper.resources.oomincident import OOMIncident, OOMIncidentStatus, WorkloadReference

from .loop_harness import FakeLog, LoopHarness
from .pod_samples import IDS, UID, ended, pod, running, status

HOST = "/system.slice/db.service"
CGROUP = f"/kubepods/burstable/pod{UID}/{IDS[0]}"
GONE = f"/kubepods/burstable/pod99999999-1111-2222-3333-444455556666/{IDS[5]}"
KERNEL_NOW_USEC = 1_000_000_000
"""The harness starts 1,000 s after boot."""
START = 1_800_000_000.0
"""Its wall clock at that time."""


def log_of(*cgroups: str, usec: int = 500_000_000) -> FakeLog:
    log = FakeLog()
    for number, cgroup in enumerate(cgroups):
        log.kill(cgroup, pid=100 + number, usec=usec + number * 1_000_000)
    return log


def at(seconds: float) -> str:
    """A time so many seconds before the first start, as kubelet writes it."""
    return rfc3339(START - seconds)[:19] + "Z"


def connect(node: LoopHarness, *pods: Pod, incidents: tuple[OOMIncident, ...] = ()) -> None:
    """Let the API server answer: the node's pods, and the incidents of an earlier state."""
    node.loop.post(PodsListed([*pods]))
    node.loop.post(IncidentsListed(incidents, threading.Event()))
    node.loop.step()


def marks(node: LoopHarness) -> dict[int, bool]:
    """Pid -> whether its kill is marked, in the order of `oomkeeper kills`."""
    return {kill.victims[0].pid: kill.before_install for kill in node.store.kills()}


def only(node: LoopHarness) -> OOMIncidentStatus:
    [(_, incident)] = node.store.incidents()
    return status_of(incident)


def test_kills_in_the_log_are_recorded_and_marked_at_the_first_start(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST, HOST))
    node.loop.step()
    node.log.kill(HOST, pid=200, usec=KERNEL_NOW_USEC)
    node.pass_seconds(3)
    assert marks(node) == {100: True, 101: True, 200: False}
    assert node.subjects == {HOST: 3}
    assert [kill.before_install for kill in only(node).kills] == [None, True, True]
    account = node.store.account()
    assert (account.before_install, account.recorded, account.unattributed) == (2, 1, 0)
    assert node.view.account.before_install == 2


def test_new_kills_come_first(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST))
    node.log.kill(HOST, pid=200, usec=KERNEL_NOW_USEC)
    node.loop.step()
    assert marks(node) == {200: False}
    node.pass_seconds(2)
    assert marks(node) == {100: True, 200: False}


def test_storm_without_end_delays_kills_before_install_for_a_while(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST))
    found = []
    for number in range(int(BUSY_SECONDS) + 2):
        node.log.kill(HOST, pid=200 + number, usec=KERNEL_NOW_USEC + number * 1_000_000)
        node.pass_seconds(1)
        found.append(100 in marks(node))
    assert (found[-4], found[-1]) == (False, True)


def test_kill_before_install_counts_in_its_own_hour(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST))
    node.loop.step()
    assert only(node).first_seen == rfc3339(START - 500)
    assert [hour.hour for hour in only(node).history] == [rfc3339(START - 500)[:13] + ":00:00Z"]
    assert node.view.history is not None
    assert node.view.history.first_hour == only(node).history[0].hour


def test_restart_does_not_count_kills_before_install_again(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST, HOST))
    node.loop.step()
    for _ in range(2):
        node.restart()
        node.pass_seconds(3)
    assert node.subjects == {HOST: 2}
    assert node.store.account().before_install == 2


def test_restart_after_each_piece_of_the_work_counts_each_kill_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(before_install, "SLICE_SECONDS", -1.0)  # every slice ends after one piece
    monkeypatch.setattr(before_install, "PAUSE_SECONDS", 0.0)
    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST, HOST, HOST))
    counted = []
    for steps in range(1, 16):
        for _ in range(steps):
            node.loop.step()
        counted.append(node.store.account().before_install)
        node.restart()
    assert counted[0] == 0
    assert counted == sorted(counted)
    assert counted[-1] == 3
    assert node.subjects == {HOST: 3}
    assert marks(node) == {100: True, 101: True, 102: True}


def test_end_in_the_middle_of_a_transaction_neither_loses_nor_doubles_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class EndedError(Exception):
        pass

    def end(*_arguments: object) -> None:
        raise EndedError

    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST, HOST))
    with monkeypatch.context() as patch:
        patch.setattr(incident_counts, "count_in_hour", end)
        with pytest.raises(EndedError):
            node.loop.step()
    assert node.store.kills() == []
    node.restart()
    node.loop.step()
    assert node.subjects == {HOST: 2}
    assert node.store.account().before_install == 2


def test_newest_kills_are_kept_and_the_others_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(before_install, "MAX_KILLS", 2)
    node = LoopHarness(tmp_path, in_cluster=False, log=log_of(HOST, HOST, HOST, HOST, HOST))
    node.loop.step()
    assert list(marks(node)) == [103, 104]
    assert (node.store.account().before_install, node.store.account().left_out) == (2, 3)


def test_report_that_is_open_at_the_first_start_is_left_to_the_recorder(tmp_path: Path) -> None:
    log = log_of(HOST, HOST)
    last = log.records.pop()
    log.kills -= 1
    node = LoopHarness(tmp_path, in_cluster=False, log=log)
    node.loop.step()
    assert marks(node) == {100: True}
    node.log.append(last.text.decode(), usec=KERNEL_NOW_USEC)
    node.log.kills += 1
    node.pass_seconds(5)
    assert marks(node) == {100: True, 101: False}
    assert (node.store.account().recorded, node.store.account().unattributed) == (1, 0)


def test_first_start_after_an_unfinished_one_in_an_earlier_boot_reads_nothing_twice(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(HOST))
    node.loop.step()  # waits for the API server
    node.reboot("boot-2", sysctls={})
    node.log.kill(HOST, pid=300, usec=1_000_000)
    node.start()
    connect(node)
    node.pass_seconds(5)
    assert marks(node) == {300: False}
    assert node.subjects == {HOST: 1}
    note = node.store.note(BEFORE_INSTALL_NOTE, BeforeInstallNote)
    assert note is not None
    assert note.done


def test_state_of_an_older_release_reads_nothing_before(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(HOST))
    node.store.drop_note(BEFORE_INSTALL_NOTE)
    node.restart()
    connect(node, pod(status("app", now=ended(IDS[0], at=at(600)), container_id=IDS[0])))
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    assert node.subjects == {}


# -- in a cluster


def test_pods_kills_are_counted_when_pods_and_incidents_are_listed(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(CGROUP, GONE, HOST))
    node.pass_seconds(5)
    assert node.subjects == {}
    node.loop.post(PodsListed([pod(status("app", now=running(), container_id=IDS[0]))]))
    node.pass_seconds(5)
    assert node.subjects == {}
    node.loop.post(IncidentsListed((), threading.Event()))
    node.loop.step()
    assert node.subjects == {"web-1": 1, GONE: 1, HOST: 1}
    assert set(marks(node).values()) == {True}
    node.restart()
    connect(node)
    node.pass_seconds(60)
    assert node.subjects == {"web-1": 1, GONE: 1, HOST: 1}


def test_kills_after_the_first_start_are_not_read_twice_while_the_api_server_is_away(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(HOST))
    node.log.kill(HOST, pid=200, usec=KERNEL_NOW_USEC)
    node.pass_seconds(5)
    assert marks(node) == {200: False}
    connect(node)
    assert list(marks(node).items()) == [(100, True), (200, False)]
    assert node.subjects == {HOST: 2}


def test_visibility_of_a_later_kill_does_not_decide_that_of_one_before_install(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(CGROUP))
    later = f"/kubepods/burstable/pod{UID}/{IDS[1]}"
    connect(node, pod(status("app", now=running(), container_id=IDS[1])))
    node.log.kill(later, pid=200, usec=KERNEL_NOW_USEC)
    node.pass_seconds(STATUS_SECONDS + 2)
    assert [kill.visibility for kill in only(node).kills] == ["Invisible", None]


def test_kubelets_report_before_install_is_matched(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(CGROUP))
    connect(node, pod(status("app", now=running(), container_id=IDS[1], last=ended(IDS[0], at=at(499)))))
    node.pass_seconds(EVIDENCE_SECONDS + 2)
    found = only(node)
    assert (found.count, found.visibility) == (1, "Reported")
    assert found.evidence is not None
    assert found.evidence.exit_code == 137


def test_container_that_continued_was_killed_invisibly(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(CGROUP))
    connect(node, pod(status("app", now=running(), container_id=IDS[0])))
    assert only(node).visibility == "Invisible"


def test_visibility_is_unknown_where_the_containers_status_is_gone(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(CGROUP, GONE))
    connect(node, pod(status("app", now=running(), container_id=IDS[1])))
    node.pass_seconds(60)
    assert node.subjects == {"web-1": 1, GONE: 1}
    assert {status_of(incident).visibility for _, incident in node.store.incidents()} == {None}
    assert not node.store.any_undecided


def test_kill_whose_workload_is_not_known_yet_keeps_its_mark(tmp_path: Path) -> None:
    found: list[WorkloadReference] = []
    node = LoopHarness(tmp_path, log=log_of(CGROUP), workload_of=lambda _pod: found[0] if found else None)
    connect(node, pod(status("app", now=ended(IDS[0], at=at(499)), container_id=IDS[0])))
    node.pass_seconds(EVIDENCE_SECONDS + 2)
    assert node.subjects == {}
    found.append(WorkloadReference(kind="Deployment", name="web"))
    node.loop.post(WorkloadFound())
    node.pass_seconds(EVIDENCE_SECONDS + 2)
    assert node.subjects == {"web": 1}
    assert (only(node).kills[0].before_install, only(node).visibility) == (True, "Reported")


def test_work_pauses_while_many_kills_wait_for_their_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oomkeeper.agent.late_attribution.MAX_KILLS", 4)
    found: list[WorkloadReference] = []
    log = log_of(CGROUP, CGROUP, CGROUP, CGROUP, CGROUP)
    node = LoopHarness(tmp_path, log=log, workload_of=lambda _pod: found[0] if found else None)
    connect(node, pod(status("app", now=running(), container_id=IDS[0])))
    node.pass_seconds(3)
    assert len(node.store.unidentified()) == 2
    found.append(WorkloadReference(kind="Deployment", name="web"))
    node.pass_seconds(3)
    assert node.subjects == {"web": 5}


def test_kills_older_than_an_incident_lives_are_left_out_in_a_cluster(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(HOST, usec=0))
    node.now = KEEP_SECONDS + 10.0
    connect(node)
    assert node.subjects == {}
    assert node.store.account().left_out == 1


def test_only_kills_of_this_nodes_cgroups_are_read_on_a_shared_kernel(tmp_path: Path) -> None:
    own, other = "1" * 64, "2" * 64
    log = log_of(f"/docker/{own}{CGROUP}", f"/docker/{other}{GONE}", HOST, f"/docker/{own}/x.service")
    log.append(f"Memory cgroup out of memory: Killed process 9 (x) total-vm:1kB, anon-rss:{1}kB", usec=600)
    node = LoopHarness(tmp_path, log=log)
    shared = SharedKernel(container_id=own)
    shared.publishes_host_kills = True
    node.loop._before_install._shared = shared
    connect(node, pod(status("app", now=running(), container_id=IDS[0])))
    assert node.subjects == {"web-1": 1, f"/docker/{own}/x.service": 1}


# -- after a state that was lost


def published(node: LoopHarness) -> tuple[OOMIncident, ...]:
    return tuple(incident for _, incident in node.store.incidents())


def test_new_state_does_not_count_what_a_lost_one_has_published(tmp_path: Path) -> None:
    first = LoopHarness(tmp_path / "first", log=log_of(*[CGROUP] * 15))
    connect(first, pod(status("app", now=running(), container_id=IDS[0])))
    assert first.subjects == {"web-1": 15}
    log = first.log
    log.kill(CGROUP, pid=500, usec=900_000_000)  # while no agent runs
    second = LoopHarness(tmp_path / "second", log=log)
    connect(
        second,
        pod(status("app", now=running(), container_id=IDS[1], last=ended(IDS[0], at=at(480)))),
        incidents=published(first),
    )
    second.pass_seconds(EVIDENCE_SECONDS + 2)
    assert second.subjects == {"web-1": 16}
    assert marks(second) == {500: True}


def test_status_that_a_lost_state_may_have_counted_is_not_counted_again(tmp_path: Path) -> None:
    first = LoopHarness(tmp_path / "first", log=log_of(HOST))
    connect(first)
    node = LoopHarness(tmp_path / "second")
    before = pod(status("app", now=ended(IDS[1], at=at(490)), container_id=IDS[1]))
    connect(node, before, incidents=published(first))
    node.pass_seconds(EVIDENCE_SECONDS + 2)
    assert node.subjects == {HOST: 1}
    assert adopted_until(node.store).last_seen == rfc3339(START - 500)


# -- containers' statuses


def status_before(seconds: float = 600.0) -> Pod:
    return pod(status("app", now=running(), container_id=IDS[1], last=ended(IDS[2], at=at(seconds))))


def test_status_older_than_the_account_is_an_incident_once(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path)
    connect(node, status_before())
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    node.restart()
    connect(node, status_before())
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    found = only(node)
    assert (found.count, found.visibility, found.kills[0].before_install) == (1, "ReportedOnly", True)
    assert parse_rfc3339(found.kills[0].time) == START - 600
    assert "before oomkeeper was installed" in (found.summary or "")
    account = node.store.account()
    assert (account.before_install, account.recorded, account.unattributed) == (1, 0, 0)


def test_status_stays_decided_when_the_kills_record_is_dropped(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path, log=log_of(CGROUP))
    connect(node, pod(status("app", now=ended(IDS[0], at=at(499)), container_id=IDS[0])))
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    node.store._execute("DELETE FROM kill")
    node.restart()
    connect(node, pod(status("app", now=ended(IDS[0], at=at(499)), container_id=IDS[0])))
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    assert node.subjects == {"web-1": 1}


def test_status_after_the_start_waits_until_the_log_before_it_is_read(tmp_path: Path) -> None:
    """kubelet may report a kill a moment after it, when the account has begun."""
    node = LoopHarness(tmp_path, log=log_of(CGROUP, usec=KERNEL_NOW_USEC - 1_000_000))
    node.loop.post(PodsListed([pod(status("app", now=ended(IDS[0], at=at(-1)), container_id=IDS[0]))]))
    node.pass_seconds(EVIDENCE_SECONDS + 3)
    assert node.subjects == {}
    node.loop.post(IncidentsListed((), threading.Event()))
    node.pass_seconds(EVIDENCE_SECONDS + 3)
    assert (only(node).count, only(node).visibility) == (1, "Reported")


def test_status_that_a_kill_without_a_report_may_explain_is_not_counted_again(tmp_path: Path) -> None:
    log = FakeLog()
    log.append(
        "Memory cgroup out of memory: Killed process 77 (tail) total-vm:60000kB, anon-rss:48000kB, "
        "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:140kB oom_score_adj:0",
        usec=400_000_000,
    )
    log.kills += 1
    node = LoopHarness(tmp_path, log=log)
    connect(
        node,
        pod(
            status("app", now=ended(IDS[0], at=at(599)), container_id=IDS[0]),
            status("side", now=ended(IDS[1], at=at(100)), container_id=IDS[1]),
            containers=("app", "side"),
        ),
    )
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    assert node.subjects == {"/": 1, "web-1": 1}


@pytest.mark.parametrize("finished", [at(KEEP_SECONDS + 60), "", "yesterday"])
def test_status_without_a_usable_time_is_ignored(tmp_path: Path, finished: str) -> None:
    node = LoopHarness(tmp_path)
    connect(node, pod(status("app", now=ended(IDS[2], at=finished), container_id=IDS[2])))
    node.pass_seconds(EVIDENCE_SECONDS + 1)
    assert node.subjects == {}
