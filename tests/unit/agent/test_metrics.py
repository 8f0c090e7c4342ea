"""The counter of kills loses none and never goes down, whatever happens to the agent; and what is served is
what the loop found."""

from __future__ import annotations

import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from oomkeeper.agent.database import DATABASE_NAME, StateUnwritableError, hold_state
from oomkeeper.agent.desired import parse_desired
from oomkeeper.agent.health import Health
from oomkeeper.agent.kill_totals import RETIRE_SECONDS, KillSeries
from oomkeeper.agent.late_attribution import PATIENCE_SECONDS
from oomkeeper.agent.messages import DesiredChanged, PodChanged, PodsListed
from oomkeeper.agent.metrics import AgentMetrics
from oomkeeper.agent.metrics_view import MetricsView
from oomkeeper.agent.publisher import Publisher
from oomkeeper.agent.recovery import open_state
from oomkeeper.agent.store import Store
from oomkeeper.agent.upkeep import PRUNE_SECONDS
from oomkeeper.metrics.errors import MetricsPortError
from oomkeeper.metrics.server import MetricsServer

from .loop_harness import FakeLog, LoopHarness
from .pod_samples import IDS, UID, pod, running, status

POD = pod(status("app", now=running(), container_id=IDS[0]))
CGROUP = f"/kubepods/burstable/pod{UID}/{IDS[0]}"
UNIT = "/system.slice/db.service"
DESIRED = DesiredChanged(
    parse_desired({"spec": {"sysctls": [{"name": "vm.swappiness", "value": 10, "policy": "ten"}]}})
)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(node: LoopHarness, *, workload_labels: bool = True) -> Samples:
    """What a client gets from the endpoint."""
    view = MetricsView(node.loop.facts, node.listener.views[-1] if node.listener.views else None)
    metrics = AgentMetrics(
        store=node.store, node="node-a", health=node.health, view=view, workload_labels=workload_labels
    )
    server = MetricsServer(metrics.collect, port=0, address="127.0.0.1")
    server.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        server.stop()
    return {
        (sample.name, tuple(sorted((key, value) for key, value in sample.labels.items() if value))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def kills(node: LoopHarness) -> dict[str, float]:
    """Workload, or kind where there is none -> kills."""
    found: dict[str, float] = {}
    for (name, labels), value in scrape(node).items():
        if name == "oomkeeper_oom_kills_total":
            one = dict(labels)
            key = one.get("workload") or one["workload_kind"]
            found[key] = found.get(key, 0) + value
    return found


def value(node: LoopHarness, name: str) -> float:
    return scrape(node)[(name, ())]


@pytest.fixture
def node(tmp_path: Path) -> LoopHarness:
    made = LoopHarness(tmp_path)
    made.loop.post(PodsListed([POD]))
    made.pass_seconds(1)
    return made


def test_kill_is_counted_by_cause_and_workload(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(2)
    [labels] = [labels for name, labels in scrape(node) if name == "oomkeeper_oom_kills_total"]
    assert dict(labels) == {
        "cause": "ContainerLimit",
        "namespace": "shop",
        "workload_kind": "Pod",
        "workload": "web-1",
        "container": "app",
    }
    assert value(node, "oomkeeper_kernel_oom_kills_total") == 1


def test_cgroup_of_a_host_kill_is_no_label(node: LoopHarness) -> None:
    node.log.kill(UNIT)
    node.pass_seconds(2)
    assert kills(node) == {"Host": 1}


def test_counter_continues_after_kill_9_and_reboot(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(2)
    node.restart()
    assert kills(node) == {"web-1": 1}
    node.loop.post(PodsListed([POD]))
    node.log.kill(CGROUP, pid=4712)
    node.pass_seconds(2)
    assert kills(node) == {"web-1": 2}
    node.reboot("boot-2", sysctls={})
    node.start()
    node.loop.post(PodsListed([POD]))
    assert kills(node) == {"web-1": 2}
    assert value(node, "oomkeeper_kernel_oom_kills_total") == 2
    node.log.kill(CGROUP, pid=4713)
    node.pass_seconds(2)
    assert kills(node) == {"web-1": 3}
    assert value(node, "oomkeeper_kernel_oom_kills_total") == 3


def test_kill_during_the_agents_absence_is_counted(node: LoopHarness) -> None:
    node.store.close()
    node.log.kill(CGROUP)
    node.start()
    node.loop.post(PodsListed([POD]))
    node.pass_seconds(2)
    assert kills(node) == {"web-1": 1}
    assert value(node, "oomkeeper_kernel_oom_kills_total") == 1


@pytest.mark.parametrize("fails_at", range(1, 40, 3))
def test_agent_killed_at_any_write_counts_each_kill_once(
    node: LoopHarness, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write does not happen, and the process is gone: what is open is rolled back."""
    execute = Store._execute
    writes = 0

    def die(self: Store, sql: str, parameters: object = ()) -> sqlite3.Cursor:
        nonlocal writes
        if not sql.startswith("SELECT"):
            writes += 1
            if writes == fails_at:
                raise KeyboardInterrupt
        return execute(self, sql, parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "_execute", die)
    served: list[float] = []
    try:
        for pid in range(3):
            node.log.kill(CGROUP, pid=5000 + pid)
            node.pass_seconds(2)
            served.append(kills(node)["web-1"])
    except KeyboardInterrupt:
        node.restart()
        node.loop.post(PodsListed([POD]))
        served.append(kills(node).get("web-1", 0))
    monkeypatch.undo()
    node.pass_seconds(5)
    served.append(kills(node)["web-1"])
    assert served == sorted(served)
    assert served[-1] == node.log.kills
    assert value(node, "oomkeeper_kernel_oom_kills_total") == node.log.kills


def test_kill_of_an_incident_that_is_pruned_stays_counted(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(2)
    for key, _ in list(node.store.incidents()):
        node.store.mark_published(key, 1000)
    node.pass_seconds(30)  # kubelet reports nothing: the kill is decided
    for key, _ in list(node.store.incidents()):
        node.store.mark_published(key, 1000)
    node.pass_seconds(9 * 86400, step=PRUNE_SECONDS)
    assert list(node.store.incidents()) == []
    assert kills(node) == {"web-1": 1}


def test_kill_waits_for_its_pod_and_is_counted_once_for_it(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path)  # the pods are not listed yet
    node.log.kill(CGROUP)
    node.pass_seconds(3600, step=10)
    assert kills(node) == {}
    node.loop.post(PodsListed([POD]))
    node.pass_seconds(1)
    assert kills(node) == {"web-1": 1}


def test_kill_that_moves_to_a_pod_known_late_stays_where_it_was_counted(tmp_path: Path) -> None:
    node = LoopHarness(tmp_path)
    node.loop.post(PodsListed([]))
    node.log.kill(CGROUP)
    node.pass_seconds(PATIENCE_SECONDS["pod"] + 2)
    assert kills(node) == {"UnknownPod": 1}
    node.loop.post(PodChanged(POD, deleted=False))
    node.pass_seconds(2)
    assert node.subjects == {"web-1": 1}
    assert kills(node) == {"UnknownPod": 1}
    node.log.kill(CGROUP, pid=4712)
    node.pass_seconds(2)
    assert kills(node) == {"UnknownPod": 1, "web-1": 1}


def test_kills_before_the_first_start_are_not_counted(tmp_path: Path) -> None:
    log = FakeLog()
    log.kill(UNIT)
    node = LoopHarness(tmp_path, in_cluster=False, log=log)
    node.pass_seconds(5)
    assert node.subjects == {UNIT: 1}
    assert kills(node) == {}
    assert value(node, "oomkeeper_kernel_oom_kills_total") == 0


def test_kill_without_a_record_is_counted_as_unattributed_for_good(node: LoopHarness) -> None:
    node.log.kills += 1  # the kernel counts it, and prints nothing
    node.pass_seconds(5)
    assert value(node, "oomkeeper_unattributed_oom_kills_total") == 1
    node.log.kill(CGROUP)
    node.log.kills -= 1  # it was this one, printed late
    node.pass_seconds(5)
    assert value(node, "oomkeeper_unattributed_oom_kills_total") == 1
    assert value(node, "oomkeeper_kernel_oom_kills_total") == 1


def test_state_in_memory_counts_on(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.pass_seconds(2)
    node.store.go_to_memory(StateUnwritableError("disk full"))
    node.build()
    node.loop.post(PodsListed([POD]))
    node.log.kill(CGROUP, pid=4712)
    node.pass_seconds(2)
    found = scrape(node)
    assert found[("oomkeeper_state_stored", ())] == 0
    assert kills(node) == {"web-1": 2}
    node.pass_seconds(30)
    assert node.store.problem is None
    assert kills(node) == {"web-1": 2}


def test_what_is_served_is_on_the_disk_before(node: LoopHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    )
    node.log.kill(CGROUP)
    node.pass_seconds(2)
    health, view = Health(clock=lambda: node.now), MetricsView()
    metrics = AgentMetrics(store=node.store, node="node-a", health=health, view=view)
    list(metrics.collect())
    assert synced == [f"{node.store.path}-wal", str(node.store.folder)]
    list(metrics.collect())
    assert len(synced) == 2  # nothing is new
    node.log.kill(CGROUP, pid=4712)
    node.pass_seconds(2)
    list(metrics.collect())
    assert len(synced) == 4


def test_state_that_is_set_aside_hands_on_its_totals(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.add_kill_total(series(1), now=1e9)
    store.close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("PRAGMA user_version=99")  # of a newer release
    connection.close()
    with hold_state(tmp_path):
        anew = open_state(tmp_path)
        assert anew.kill_totals().series == {series(1): 1}
        anew.close()


# -- bounds and labels


def series(number: int, *, cause: str = "ContainerLimit") -> KillSeries:
    return KillSeries(cause, "shop", "Deployment", f"web-{number}", "app")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "alone")
    made.max_kill_series = 3
    yield made
    made.close()


def test_workloads_beyond_the_bound_are_counted_together(store: Store) -> None:
    for number in (*range(5), 4, 0):
        store.add_kill_total(series(number), now=1e9)
    assert store.kill_totals().series == {
        series(0): 2,
        series(1): 1,
        series(2): 1,
        KillSeries("ContainerLimit", "", "", "other", ""): 3,
    }


def test_kills_of_the_host_need_no_room(store: Store) -> None:
    for number in range(3):
        store.add_kill_total(series(number), now=1e9)
    host = KillSeries("NodeMemory", "", "Host", "", "")
    store.add_kill_total(host, now=1e9)
    assert store.kill_totals().series[host] == 1


def test_series_without_a_kill_for_a_week_makes_room(store: Store) -> None:
    for number in range(3):
        store.add_kill_total(series(number), now=1e9 + number)
    later = 1e9 + RETIRE_SECONDS + 2.5
    store.add_kill_total(series(3), now=later)
    store.add_kill_total(series(4), now=later)
    totals = store.kill_totals()
    assert set(totals.series) == {series(2), series(3), series(4)}
    assert totals.causes == {"ContainerLimit": 5}


def test_without_workload_labels_every_kill_is_counted_by_cause(node: LoopHarness) -> None:
    node.log.kill(CGROUP)
    node.log.kill(UNIT)
    node.pass_seconds(2)
    found = scrape(node, workload_labels=False)
    labels = {labels: value for (name, labels), value in found.items() if name == "oomkeeper_oom_kills_total"}
    assert labels == {(("cause", "ContainerLimit"),): 1, (("cause", "CgroupLimit"),): 1}


# -- the other metrics


def test_state_of_log_trace_and_sysctls_is_served(node: LoopHarness) -> None:
    node.loop.post(DESIRED)
    node.pass_seconds(6)
    node.put_sysctl("vm.swappiness", 77)
    node.pass_seconds(6)
    found = scrape(node)
    assert found[("oomkeeper_sysctl_in_sync", (("mode", "Enforce"), ("sysctl", "vm.swappiness")))] == 1
    assert found[("oomkeeper_sysctl_drifts_total", (("sysctl", "vm.swappiness"),))] == 1
    assert found[("oomkeeper_kernel_log_readable", ())] == 1
    assert found[("oomkeeper_trace_readable", ())] == 1
    assert found[("oomkeeper_oom_panics_total", ())] == 0
    assert found[("oomkeeper_lost_log_records_total", ())] == 0
    [info] = [dict(labels) for name, labels in found if name == "oomkeeper_node_info"]
    assert (info["node"], info["kernel_release"]) == ("node-a", "6.12.0")
    assert ("process_resident_memory_bytes", ()) in found


def test_publish_latency_is_from_the_kill_to_the_write(node: LoopHarness) -> None:
    class Server:
        def apply(self, *_: object, **__: object) -> object:
            return {}

    publisher = Publisher(
        client=Server(), store=node.store, node="node-a", clock=lambda: node.now, wall=lambda: node.wall
    )
    node.log.kill(CGROUP, usec=int(node.now * 1e6))
    node.pass_seconds(2)
    publisher.publish()
    publisher.publish()
    observed = publisher.latency.read()
    assert observed.buckets[-1] == ("+Inf", 1)
    assert 1.0 <= observed.total <= 3.0
    assert node.store.count_unpublished() == 0


def test_other_paths_are_not_found_and_a_taken_port_is_named() -> None:
    server = MetricsServer(list, port=0, address="127.0.0.1")
    server.start()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=5)
    with pytest.raises(MetricsPortError, match=str(server.port)):
        MetricsServer(list, port=server.port, address="127.0.0.1")
    server.stop()


def test_metrics_that_cannot_be_collected_are_an_error_of_the_request_only() -> None:
    def fail() -> list[object]:
        raise RuntimeError("no")

    server = MetricsServer(fail, port=0, address="127.0.0.1")  # type: ignore[arg-type]
    server.start()
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5)
    server.stop()


def test_openmetrics_is_served_on_request(node: LoopHarness) -> None:
    metrics = AgentMetrics(
        store=node.store, node="node-a", health=Health(clock=lambda: node.now), view=MetricsView()
    )
    server = MetricsServer(metrics.collect, port=0, address="::1")
    server.start()
    request = urllib.request.Request(
        f"http://[::1]:{server.port}/metrics",
        headers={"Accept": "application/openmetrics-text;version=1.0.0"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert "openmetrics" in answer.headers["Content-Type"]
        assert answer.read().endswith(b"# EOF\n")
    server.stop()
