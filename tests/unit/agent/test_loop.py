"""The node's loop on virtual time: messages, the kernel log, and what falls due."""

from pathlib import Path

import pytest

from oomkeeper.agent.desired import Desired
from oomkeeper.agent.enforcement import ABSENT_SECONDS, ENFORCE_SECONDS
from oomkeeper.agent.kill_recorder import OBSERVER_SECONDS
from oomkeeper.agent.log_follower import REOPEN_SECONDS
from oomkeeper.agent.messages import (
    DesiredChanged,
    NodeObjectMissing,
    NodeRead,
    PodChanged,
    PodsListed,
)
from oomkeeper.resources.oomnode import DesiredSysctl

from .loop_harness import LoopHarness
from .pod_samples import IDS, UID, pod, running, status

SWAPPINESS = "vm.swappiness"
TEN = Desired(generation=1, sysctls=(DesiredSysctl(name=SWAPPINESS, value=10, policy="ten"),))
POD = pod(status("app", now=running(), container_id=IDS[0]))
CGROUP = f"/kubepods/burstable/pod{UID}/{IDS[0]}"


@pytest.fixture
def node(tmp_path: Path) -> LoopHarness:
    return LoopHarness(tmp_path)


def test_nothing_is_written_before_the_desired_state_is_known(node: LoopHarness) -> None:
    node.pass_seconds(60)
    assert node.sysctl(SWAPPINESS) == 60


def test_desired_value_is_applied_immediately_and_drift_within_five_seconds(node: LoopHarness) -> None:
    node.loop.post(DesiredChanged(TEN))
    node.loop.step()
    assert node.sysctl(SWAPPINESS) == 10
    node.put_sysctl(SWAPPINESS, 77)
    node.pass_seconds(ENFORCE_SECONDS)
    assert node.sysctl(SWAPPINESS) == 10
    assert node.view.sysctls.statuses[0].drift_count == 1


def test_values_are_restored_when_the_oomnode_stays_away(node: LoopHarness) -> None:
    node.loop.post(DesiredChanged(TEN))
    node.pass_seconds(10)
    node.loop.post(NodeObjectMissing())
    node.pass_seconds(ABSENT_SECONDS - 1)
    assert node.sysctl(SWAPPINESS) == 10
    node.pass_seconds(2)
    assert node.sysctl(SWAPPINESS) == 60


def test_oomnode_that_returns_in_time_keeps_its_values(node: LoopHarness) -> None:
    node.loop.post(DesiredChanged(TEN))
    node.loop.step()
    node.loop.post(NodeObjectMissing())
    node.pass_seconds(ABSENT_SECONDS - 1)
    node.loop.post(DesiredChanged(TEN))
    node.pass_seconds(ABSENT_SECONDS)
    assert node.sysctl(SWAPPINESS) == 10


def test_kill_of_a_listed_pod_is_its_incident(node: LoopHarness) -> None:
    node.loop.post(PodsListed([POD]))
    node.log.kill(CGROUP)
    node.pass_seconds(1)
    assert node.subjects == {"web-1": 1}
    assert (node.view.account.recorded, node.view.account.unattributed) == (1, 0)


def test_kill_of_a_pod_created_after_the_list_waits_for_it(node: LoopHarness) -> None:
    node.loop.post(PodsListed([]))
    node.log.kill(CGROUP)
    node.pass_seconds(3)
    assert node.subjects == {}
    node.loop.post(PodChanged(POD, deleted=False))
    node.loop.step()
    assert node.subjects == {"web-1": 1}


def test_kill_is_counted_once_over_a_restart_of_the_agent(node: LoopHarness) -> None:
    node.loop.post(PodsListed([POD]))
    node.log.kill(CGROUP)
    node.loop.step()
    node.restart()
    node.loop.post(PodsListed([POD]))
    node.log.kill(CGROUP, pid=4712)
    node.pass_seconds(2)
    assert node.subjects == {"web-1": 2}


def test_unreadable_kernel_log_is_reported_and_opened_again(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path)
    node.log.readable = False
    node.restart()
    node.pass_seconds(ENFORCE_SECONDS)
    node.loop.post(DesiredChanged(TEN))
    node.loop.step()
    assert "Operation not permitted" in (node.view.log_problem or "")
    node.log.readable = True
    node.log.kill("/system.slice/db.service")
    node.pass_seconds(REOPEN_SECONDS + ENFORCE_SECONDS)
    assert node.view.log_problem is None
    assert node.subjects == {"/system.slice/db.service": 1}


def test_kill_that_no_record_explains_is_unattributed_after_two_seconds(node: LoopHarness) -> None:
    node.loop.step()
    node.log.kills += 1
    node.pass_seconds(1)
    assert node.store.account().unattributed == 0
    node.pass_seconds(3)
    assert node.store.account().unattributed == 1
    assert node.view.account.unattributed == 1


def test_kubelet_version_is_shown(node: LoopHarness) -> None:
    node.loop.post(NodeRead("v1.34.0", None))
    node.loop.step()
    assert node.view.kubelet_version == "v1.34.0"


def test_wait_ends_when_something_falls_due(node: LoopHarness) -> None:
    node.loop.post(DesiredChanged(TEN))
    node.loop.step()
    assert 0 < node.loop.wait_seconds() <= ENFORCE_SECONDS
    node.now += ENFORCE_SECONDS
    assert node.loop.wait_seconds() == 0


def test_message_wakes_the_loop_and_stop_ends_it(node: LoopHarness) -> None:
    node.loop.post(DesiredChanged(TEN))
    node.loop.stop()
    node.loop.run()
    assert node.sysctl(SWAPPINESS) == 10


@pytest.mark.parametrize(("in_cluster", "reason"), [(True, "KubeletNotFound"), (False, None)])
def test_kubelets_own_key_is_refused_on_a_node_without_a_visible_kubelet(
    tmp_path: Path, in_cluster: bool, reason: str | None
) -> None:
    node = LoopHarness(tmp_path, in_cluster=in_cluster)
    wanted = DesiredSysctl(name="kernel.panic", value=30, policy="p", acknowledge=("KubeletConflict",))
    node.loop.post(DesiredChanged(Desired(generation=1, sysctls=(wanted,))))
    node.loop.step()
    assert node.view.sysctls.statuses[0].reason == reason
    assert node.sysctl("kernel.panic") == (10 if reason else 30)


def test_log_record_without_a_kill_moves_the_cursor_and_is_not_reported(node: LoopHarness) -> None:
    node.pass_seconds(1)
    reported = len(node.listener.views)
    for _ in range(5):
        node.log.append("eth0: link is up")
        node.loop.step()
    boot = node.store.boot(node.boot_id)
    assert boot is not None
    assert boot.cursor == len(node.log.records) - 1
    assert len(node.listener.views) == reported
    node.log.kill("/system.slice/big.service")
    node.loop.step()
    assert len(node.listener.views) == reported + 1
    assert node.view.account.recorded == 1


class _Traced:
    """Proves the cgroup of every kill."""

    def of_victim(self, _: int, *, usec: int | None) -> str:
        assert usec is not None
        return "/job"

    def forget_unclaimed(self, *, now_ns: int) -> None:
        pass


@pytest.mark.parametrize("seconds_behind", [1, 30])
def test_kill_without_a_report_waits_for_an_observer_that_is_behind(
    node: LoopHarness, seconds_behind: int
) -> None:
    """On a machine whose CPUs are all taken, the thread that proves cgroups may come late."""
    recorder = node.loop._recorder
    recorder.observed = True
    recorder.observer.traced = _Traced()  # type: ignore[assignment]
    node.log.append("Memory cgroup out of memory: Killed process 9 (tail) total-vm:6kB, anon-rss:4kB")
    node.log.kills += 1
    node.pass_seconds(seconds_behind)
    recorder.observer.step(node.log.records)
    node.pass_seconds(2)
    assert node.subjects == {"/job": 1}


def test_kill_without_a_report_is_counted_although_its_observer_never_comes(node: LoopHarness) -> None:
    node.loop._recorder.observed = True
    node.log.append("Memory cgroup out of memory: Killed process 9 (tail) total-vm:6kB, anon-rss:4kB")
    node.log.kills += 1
    node.pass_seconds(OBSERVER_SECONDS)
    assert node.subjects == {}
    node.pass_seconds(3)
    assert node.subjects == {"/": 1}
