"""The loop without the API server, after reboots, and on a disk that is full."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from oomkeeper.agent.database import StateUnwritableError
from oomkeeper.agent.desired import parse_desired
from oomkeeper.agent.enforcement import ABSENT_SECONDS
from oomkeeper.agent.incidents import status_of
from oomkeeper.agent.late_attribution import PATIENCE_SECONDS
from oomkeeper.agent.messages import DesiredChanged, NodeObjectMissing, PodChanged, PodsListed, Stop
from oomkeeper.agent.records import DesiredNote
from oomkeeper.agent.runner import run_on_state
from oomkeeper.agent.upkeep import PRUNE_SECONDS

from .loop_harness import LoopHarness
from .pod_samples import IDS, UID, pod, running, status

SWAPPINESS = "vm.swappiness"
SPEC = {"sysctls": [{"name": SWAPPINESS, "value": 10, "policy": "ten"}]}
FROM_API = DesiredChanged(
    parse_desired({"metadata": {"generation": 3}, "spec": SPEC}),
    stored_as=DesiredNote(generation=3, spec=SPEC),
)
POD = pod(status("app", now=running(), container_id=IDS[0]))
CGROUP = f"/kubepods/burstable/pod{UID}/{IDS[0]}"


@pytest.fixture
def node(tmp_path: Path) -> LoopHarness:
    return LoopHarness(tmp_path)


# -- the desired state


def test_restarted_agent_enforces_without_the_api_server(node: LoopHarness) -> None:
    node.loop.post(FROM_API)
    node.loop.step()
    node.restart()
    node.put_sysctl(SWAPPINESS, 77)
    node.pass_seconds(3600, step=5)
    assert node.sysctl(SWAPPINESS) == 10
    assert node.view.desired.generation == 3


def test_desired_values_are_applied_after_a_reboot_without_the_api_server(node: LoopHarness) -> None:
    node.loop.post(FROM_API)
    node.loop.step()
    node.reboot("boot-2", sysctls={SWAPPINESS: 60})
    node.start()
    node.pass_seconds(1)
    assert node.sysctl(SWAPPINESS) == 10


def test_stored_spec_is_checked_again_like_one_from_the_api_server(node: LoopHarness) -> None:
    bad = {"sysctls": [{"name": "vm.drop_caches", "value": 3, "policy": "x"}, *SPEC["sysctls"]]}
    node.store.put_note("oomnode", DesiredNote(generation=4, spec=bad))
    node.restart()
    node.loop.step()
    assert node.sysctl(SWAPPINESS) == 10
    assert "vm.drop_caches" in node.view.desired.problems[0]


def test_deleted_oomnode_is_not_enforced_by_the_next_run(node: LoopHarness) -> None:
    node.loop.post(FROM_API)
    node.loop.step()
    node.loop.post(NodeObjectMissing())
    node.pass_seconds(ABSENT_SECONDS + 2)
    assert node.sysctl(SWAPPINESS) == 60
    node.restart()
    node.pass_seconds(30)
    assert node.sysctl(SWAPPINESS) == 60


def test_bare_host_does_not_enforce_what_a_cluster_had_set(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path)
    node.loop.post(FROM_API)
    node.loop.step()
    node.in_cluster = False
    node.put_sysctl(SWAPPINESS, 60)
    node.restart()
    node.pass_seconds(30)
    assert node.sysctl(SWAPPINESS) == 60


# -- kills whose pod is not known


def test_kill_waits_for_the_first_list_of_pods_however_long_that_takes(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(4 * 3600, step=5)
    assert node.subjects == {}
    node.loop.post(PodsListed([POD]))
    node.pass_seconds(1)
    assert node.subjects == {"web-1": 1}
    assert node.store.unidentified() == {}


def test_kill_waits_across_restarts_and_does_not_need_the_log_again(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(60)
    node.log.forget()
    node.restart()
    node.loop.post(PodsListed([POD]))
    node.pass_seconds(1)
    assert node.subjects == {"web-1": 1}
    assert node.store.account().recorded == 1


def test_kill_of_an_earlier_boot_is_attributed_when_its_pod_is_listed(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(60)
    node.reboot("boot-2", sysctls={})
    node.start()
    node.loop.post(PodsListed([POD]))
    node.pass_seconds(1)
    assert node.subjects == {"web-1": 1}


def test_known_pod_is_found_by_a_restarted_agent_without_the_api_server(node: LoopHarness) -> None:
    node.loop.post(PodsListed([POD]))
    node.loop.step()
    node.restart()
    node.log.kill(CGROUP)
    node.pass_seconds(1)
    assert node.subjects == {"web-1": 1}


def test_kill_of_a_pod_that_is_not_listed_is_one_of_its_cgroup_after_15_seconds(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(100)
    node.loop.post(PodsListed([]))
    node.pass_seconds(PATIENCE_SECONDS["pod"] - 1)
    assert node.subjects == {}
    node.pass_seconds(3)
    assert node.subjects == {CGROUP: 1}


def test_kill_is_moved_to_its_pod_when_the_pod_becomes_known_late(node: LoopHarness) -> None:
    node.loop.post(PodsListed([]))
    node.log.kill(CGROUP)
    node.log.kill(CGROUP, pid=5000)
    node.pass_seconds(60)
    assert node.subjects == {CGROUP: 2}
    published = node.store.unpublished()
    node.store.mark_published(published[0].key, published[0].version)
    node.restart()
    node.loop.post(PodChanged(POD, deleted=False))
    node.pass_seconds(1)
    assert node.subjects == {CGROUP: 0, "web-1": 2}
    [emptied] = [one for _, one in node.store.incidents() if one.spec.workload is None]
    assert (status_of(emptied).history, status_of(emptied).kills) == ((), ())
    assert node.store.account().recorded == 2


def test_incident_that_was_never_published_vanishes_when_its_kills_have_moved(node: LoopHarness) -> None:
    node.loop.post(PodsListed([]))
    node.log.kill(CGROUP)
    node.pass_seconds(60)
    node.loop.post(PodChanged(POD, deleted=False))
    node.pass_seconds(1)
    assert node.subjects == {"web-1": 1}


# -- kills before the agent's start


def test_kills_between_boot_and_agent_start_are_recorded_on_a_known_node(node: LoopHarness) -> None:
    node.reboot("boot-2", sysctls={})
    node.log.kill("/system.slice/db.service")
    node.log.kill("/system.slice/db.service", pid=5000)
    node.start()
    node.pass_seconds(5)
    assert node.subjects == {"/system.slice/db.service": 2}
    assert node.store.account().unattributed == 0


def test_kills_that_the_log_has_lost_before_the_start_are_unattributed(node: LoopHarness) -> None:
    node.reboot("boot-2", sysctls={})
    node.log.kills += 3
    node.start()
    node.pass_seconds(5)
    assert (node.store.account().recorded, node.store.account().unattributed) == (0, 3)


def test_new_state_begins_with_the_kills_after_its_start(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path)
    assert node.store.boot("boot-1") is not None
    assert node.store.account().since is not None
    node.pass_seconds(5)
    assert node.store.account().unattributed == 0


# -- the clock


def test_kills_dated_by_a_wrong_clock_are_corrected_when_it_is_set(node: LoopHarness) -> None:
    right = node.wall
    node.wall = 0.0  # 1970
    node.restart()
    node.reboot("boot-2", sysctls={})
    node.start()
    node.log.kill("/system.slice/db.service", usec=int(4e6))
    node.pass_seconds(2)
    [(_, wrong)] = node.store.incidents()
    assert (status_of(wrong).last_seen or "").startswith("1969-12-31") or (
        status_of(wrong).last_seen or ""
    ).startswith("1970-01-01")
    node.wall = right
    node.pass_seconds(1)
    [(_, corrected)] = node.store.incidents()
    found = status_of(corrected)
    assert (found.last_seen or "").startswith("2027-01-15")
    assert found.first_seen == found.last_seen == found.kills[0].time
    assert [entry.kills for entry in found.history] == [1]
    assert found.history[0].hour.startswith("2027-01-15")
    assert (node.store.kills()[0].time or "").startswith("2027-01-15")
    # The node's own history, which OOMReports count from, as well.
    history = node.view.history
    assert history is not None
    assert (history.first_hour, history.kills) == (found.history[0].hour, (1,))


def test_clock_set_while_no_agent_ran_is_noticed_by_the_next_run(node: LoopHarness) -> None:
    node.log.kill("/system.slice/db.service")
    node.pass_seconds(2)
    node.store.close()
    node.wall += 86400
    node.now += 10
    node.wall += 10
    node.start()
    node.pass_seconds(1)
    [(_, incident)] = node.store.incidents()
    assert (status_of(incident).last_seen or "").startswith("2027-01-16")


def test_kill_from_the_future_of_an_earlier_boot_does_not_stay_the_last_one(node: LoopHarness) -> None:
    right = node.wall
    node.wall = right + 10 * 365 * 86400
    node.restart()
    node.log.kill("/system.slice/db.service")
    node.pass_seconds(2)
    node.reboot("boot-2", sysctls={})
    node.wall = right
    node.start()
    node.log.kill("/system.slice/db.service", pid=5000)
    node.pass_seconds(2)
    [(_, incident)] = node.store.incidents()
    found = status_of(incident)
    assert (found.last_seen or "").startswith("2027-01-15")
    assert found.evidence is not None
    assert found.evidence.victims[0].pid == 5000


# -- the disk


def run_until_stopped(node: LoopHarness) -> None:
    """Run on the state as the service does, with a loop that stops when it has done one round."""

    def build() -> object:
        node.build()
        node.loop.post(Stop())
        return node.loop

    run_on_state(node.store, build)  # type: ignore[arg-type]


def fill_disk(node: LoopHarness) -> None:
    pages = node.store._db.execute("PRAGMA page_count").fetchone()[0]
    node.store._db.execute(f"PRAGMA max_page_count={pages}")


def test_full_disk_stops_neither_enforcement_nor_recording_and_nothing_is_counted_twice(
    node: LoopHarness,
) -> None:
    node.loop.post(FROM_API)
    node.loop.post(PodsListed([POD]))
    node.log.kill(CGROUP)
    node.pass_seconds(2)
    fill_disk(node)
    for number in range(40):
        node.log.kill(CGROUP, pid=5000 + number)
    node.put_sysctl(SWAPPINESS, 77)
    node.count_kills()
    node.now += 10
    node.wall += 10
    run_until_stopped(node)
    assert node.store.problem is not None
    assert node.sysctl(SWAPPINESS) == 10
    assert node.subjects == {"web-1": 41}
    assert node.view.state_problem is not None
    assert node.store._disk is not None
    node.store._disk.execute("PRAGMA max_page_count=1000000")
    node.build()
    node.log.kill(CGROUP, pid=9000)
    node.pass_seconds(30)
    assert node.store.problem is None
    node.restart()
    node.pass_seconds(2)
    assert node.subjects == {"web-1": 42}
    assert node.store.account().recorded == 42
    [count] = sqlite3.connect(node.store.path).execute("SELECT count(*) FROM kill").fetchone()
    assert count == 42


def test_message_that_could_not_be_stored_is_handled_by_the_next_loop(node: LoopHarness) -> None:
    node.pass_seconds(1)
    fill_disk(node)
    big = {"sysctls": [{**SPEC["sysctls"][0], "padding": "x" * 100_000}]}
    node.loop.post(DesiredChanged(FROM_API.desired, stored_as=DesiredNote(generation=3, spec=big)))
    with pytest.raises(StateUnwritableError):
        node.loop.step()
    run_until_stopped(node)
    assert node.sysctl(SWAPPINESS) == 10


def test_old_published_incidents_are_forgotten_and_unpublished_ones_kept(node: LoopHarness) -> None:
    node.log.kill("/system.slice/old.service")
    node.pass_seconds(2)
    [old] = node.store.unpublished()
    node.store.mark_published(old.key, old.version)
    node.log.kill("/system.slice/waiting.service", pid=5)
    node.pass_seconds(2)
    node.pass_seconds(8 * 86400, step=PRUNE_SECONDS)
    assert [*node.subjects] == ["/system.slice/waiting.service"]


def test_kill_whose_pod_stays_unknown_is_not_looked_up_again(
    node: LoopHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.loop.post(PodsListed([]))
    node.log.kill(CGROUP)
    node.pass_seconds(60)
    node.restart()
    looked_up = []
    real = node.store.kill
    monkeypatch.setattr(node.store, "kill", lambda kill_id: looked_up.append(kill_id) or real(kill_id))
    node.loop.post(PodsListed([]))
    node.pass_seconds(60)
    assert looked_up == []
