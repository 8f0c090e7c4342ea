"""A panic that pstore holds is an incident, once: over restarts, copies, a lost state and a kill -9."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent import incident_counts
from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.incidents import merge_older, status_of
from oomkeeper.agent.listener import LoopListener
from oomkeeper.agent.panics import ATTRIBUTE_SECONDS, LOOK_SECONDS, MAX_AGE_SECONDS, PanicWatch, panics_of
from oomkeeper.agent.pods import PodTable
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.store import Store
from oomkeeper.api.oomincident import OOMIncident as IncidentModel
from oomkeeper.model.node import NodeFacts
from oomkeeper.resources.killrecord import RecordedKill
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import LastPanic
from tests.unit.kernel.panic_samples import (
    CONTAINER_CGROUP,
    CONTAINER_ID,
    POD_CGROUP,
    WRITTEN,
    panic_lines,
    parts,
    write_erst,
)

from .kill_samples import document
from .pod_samples import ended, pod, status, table

FACTS = NodeFacts(
    kernel_release="6.1.0-40-cloud-amd64", boot_id="boot-after", cgroup_version=2, page_size_bytes=4096,
    memory_bytes=2 << 30, swap_bytes=0, cpus=2, online_nodes=(0, 1),
)  # fmt: skip
WHEN = rfc3339(WRITTEN)
CRASHED = pod(status("app", now=ended(CONTAINER_ID, reason="Unknown")))


class Printed(LoopListener):
    """Keeps the records that the loop would print."""

    def __init__(self) -> None:
        self.records: list[RecordedKill] = []

    def kill_recorded(self, record: RecordedKill) -> None:
        self.records.append(record)


class Harness:
    """A node after the reboot, with clocks of its own."""

    def __init__(self, folder: Path, *, pods: PodTable | None) -> None:
        self.folder = folder
        self.pstore = folder / "pstore"
        self.pods = pods
        self.now = 5.0
        self.wall = WRITTEN + 40.0
        self.listener = Printed()
        self.shared = SharedKernel()
        self.store = Store.open(folder / "state")
        self.watch = self.start()

    def start(self) -> PanicWatch:
        """As the agent's start does."""
        return PanicWatch(
            store=self.store,
            facts=FACTS,
            node="node-a",
            pods=self.pods,
            operator_namespace="ops",
            listener=self.listener,
            shared=self.shared,
            pstore=self.pstore,
            archive=self.folder / "archive",
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    @property
    def printed(self) -> list[RecordedKill]:
        return self.listener.records

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.watch.tick()

    def incidents(self) -> list[OOMIncident]:
        found = [incident for _, incident in self.store.incidents()]
        for incident in found:
            IncidentModel.model_validate_json(json.dumps(document(incident)))
        return found

    def only(self) -> OOMIncident:
        [incident] = self.incidents()
        return incident


@pytest.fixture
def node(tmp_path: Path) -> Harness:
    return Harness(tmp_path, pods=table(CRASHED))


@pytest.fixture
def bare(tmp_path: Path) -> Harness:
    return Harness(tmp_path, pods=None)


def test_panic_at_a_pods_limit_is_the_pods_incident_with_its_cause(node: Harness) -> None:
    write_erst(node.pstore, parts(panic_lines(), cuts=(9,)))
    node.store.start_boot(
        boot_id="boot-before", since="2026-01-01T00:00:00Z", cursor=0, vmstat_base=0, counters={}
    )
    node.store.start_boot(
        boot_id="boot-after", since=rfc3339(WRITTEN + 30), cursor=0, vmstat_base=0, counters={}
    )
    node.watch.tick()
    incident = node.only()
    assert incident.metadata.namespace == "shop"
    assert incident.spec.container == "app"
    state = status_of(incident)
    assert (state.cause, state.level, state.outcome, state.count) == ("PodLimit", "Pod", "Panicked", 1)
    assert state.evidence is not None
    assert (state.first_seen, state.evidence.limit_bytes) == (WHEN, 48 << 20)
    assert state.evidence.oom_memcg == POD_CGROUP
    assert state.evidence.victims == ()
    assert "panicked" in (state.summary or "")
    assert state.conditions[0].reason == "ReportComplete"
    [record] = node.store.kills()
    assert record.boot_id == "boot-before"
    assert panics_of(node.store).last == LastPanic(
        time=WHEN, boot_id="boot-before", cause="PodLimit", message=state.summary
    )


def test_panic_before_the_first_start_is_marked(node: Harness) -> None:
    node.store.start_boot(
        boot_id="boot-after", since=rfc3339(WRITTEN + 30), cursor=0, vmstat_base=0, counters={}
    )
    write_erst(node.pstore, parts(panic_lines(), cuts=(9,)))
    node.watch.tick()
    assert [kill.before_install for kill in status_of(node.only()).kills] == [True]
    write_erst(node.pstore, parts(panic_lines(started=90.0)), written=WRITTEN + 35)
    node.pass_seconds(LOOK_SECONDS)
    assert [kill.before_install for kill in status_of(node.only()).kills] == [None, True]


def test_panic_at_a_containers_limit_names_the_container(node: Harness) -> None:
    write_erst(node.pstore, parts(panic_lines(cgroup=CONTAINER_CGROUP)))
    node.watch.tick()
    incident = node.only()
    assert (incident.spec.container, incident.spec.cause) == ("app", "ContainerLimit")
    evidence = status_of(incident).evidence
    assert evidence is not None
    assert evidence.container_id == CONTAINER_ID


def test_panic_is_counted_once_over_restarts_and_moved_records(node: Harness) -> None:
    paths = write_erst(node.pstore, parts(panic_lines(), cuts=(9,)))
    node.watch.tick()
    node.watch = node.start()
    node.pass_seconds(LOOK_SECONDS)
    archive = node.folder / "archive" / "7600"
    archive.mkdir(parents=True)
    for path in paths:
        path.rename(archive / path.name)
    node.watch = node.start()
    node.pass_seconds(LOOK_SECONDS)
    assert node.only().status.count == 1
    assert len(node.printed) == 1
    assert panics_of(node.store).count == 1


def test_second_panic_at_the_same_limit_is_counted(node: Harness) -> None:
    write_erst(node.pstore, parts(panic_lines()))
    node.watch.tick()
    write_erst(node.pstore, parts(panic_lines(started=33.0)), written=WRITTEN + 20)
    node.pass_seconds(LOOK_SECONDS)
    assert node.only().status.count == 2
    assert panics_of(node.store).times == (WHEN, rfc3339(WRITTEN + 20))
    assert panics_of(node.store).last.time == rfc3339(WRITTEN + 20)


def test_record_that_appears_when_its_backend_is_loaded_is_found(node: Harness) -> None:
    node.watch.tick()
    assert node.incidents() == []
    write_erst(node.pstore, parts(panic_lines()))
    node.pass_seconds(LOOK_SECONDS)
    assert node.only().status.count == 1


def test_panic_waits_for_its_pod_until_the_pods_are_listed(tmp_path: Path) -> None:
    harness = Harness(tmp_path, pods=PodTable())
    write_erst(harness.pstore, parts(panic_lines()))
    harness.watch.tick()
    assert list(panics_of(harness.store).found.values()) == [WHEN], "the panic breaker does not wait"
    harness.pass_seconds(1000.0)
    assert harness.incidents() == []
    assert harness.pods is not None
    harness.pods.replace([], now=harness.now)
    harness.pass_seconds(1.0)
    assert harness.incidents() == []
    harness.pods.replace([CRASHED], now=harness.now)
    harness.pass_seconds(1.0)
    assert harness.only().spec.workload.name == "web-1"


def test_panic_of_a_deleted_pod_is_an_incident_of_its_cgroup(tmp_path: Path) -> None:
    harness = Harness(tmp_path, pods=table())
    write_erst(harness.pstore, parts(panic_lines()))
    harness.watch.tick()
    harness.pass_seconds(ATTRIBUTE_SECONDS + 1)
    assert harness.only().spec.cgroup == POD_CGROUP
    assert harness.only().metadata.namespace == "ops"


def test_one_of_the_nodes_that_share_a_kernel_reports_a_panic(tmp_path: Path) -> None:
    harness = Harness(tmp_path, pods=table())
    harness.shared.publishes_host_kills = False
    write_erst(harness.pstore, parts(panic_lines(cgroup="/system.slice/x.service")))
    harness.watch.tick()
    harness.shared.publishes_host_kills = True
    harness.watch = harness.start()
    harness.pass_seconds(LOOK_SECONDS)
    assert (harness.incidents(), panics_of(harness.store).count) == ([], 0)


def test_bare_host_prints_and_stores_a_panic(bare: Harness) -> None:
    write_erst(bare.pstore, parts(panic_lines(cgroup="/system.slice/db.service")))
    bare.watch.tick()
    [record] = bare.printed
    assert (record.outcome, record.cause, record.time) == ("Panicked", "CgroupLimit", WHEN)
    assert bare.store.kills() == [record]
    assert status_of(bare.only()).visibility == "Host"


def test_panic_for_want_of_node_memory_is_no_limit(bare: Harness) -> None:
    lines = [line for line in panic_lines() if "emory cgroup" not in line and "usage" not in line]
    lines = [line.replace("compulsory", "system-wide").replace("mem_cgroup_out", "out") for line in lines]
    write_erst(bare.pstore, parts(lines))
    bare.watch.tick()
    assert (bare.printed[0].scope, bare.printed[0].cause) == ("Global", "NodeMemory")


def test_dump_without_its_beginning_has_no_scope(bare: Harness) -> None:
    write_erst(bare.pstore, parts(panic_lines()[17:]))
    bare.watch.tick()
    assert (bare.printed[0].scope, bare.printed[0].outcome) == ("Unknown", "Panicked")
    assert not bare.printed[0].complete


def test_oops_and_panic_for_another_reason_are_ignored(bare: Harness) -> None:
    write_erst(bare.pstore, parts(["<0>[ 1.0] Kernel panic - not syncing: Fatal exception"]))
    bare.watch.tick()
    assert (bare.printed, panics_of(bare.store).count) == ([], 0)


def test_old_panic_is_ignored(bare: Harness) -> None:
    write_erst(bare.pstore, parts(panic_lines()))
    bare.wall = WRITTEN + MAX_AGE_SECONDS + 60
    bare.watch.tick()
    assert bare.printed == []


def test_new_state_does_not_count_a_published_panic_again(node: Harness, tmp_path: Path) -> None:
    write_erst(node.pstore, parts(panic_lines()))
    node.watch.tick()
    published = node.only()
    fresh = Harness(tmp_path / "fresh", pods=table(CRASHED))
    fresh.pstore = node.pstore
    fresh.watch = fresh.start()
    fresh.watch.tick()
    merged = status_of(merge_older(fresh.only(), published))
    assert (merged.count, len(merged.kills), merged.history[0].kills) == (1, 1, 1)


def _die_between_reading_and_the_end_of_the_transaction(folder: Path) -> None:
    real = incident_counts.count_kill

    def counted_then_dead(*args: Any, **fields: Any) -> str:
        real(*args, **fields)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    incident_counts.count_kill = counted_then_dead  # type: ignore[assignment]
    Harness(folder, pods=None).watch.tick()


def test_sigkill_between_reading_and_storing_a_panic_neither_loses_nor_doubles_it(tmp_path: Path) -> None:
    write_erst(tmp_path / "pstore", parts(panic_lines()))
    process = multiprocessing.get_context("spawn").Process(
        target=_die_between_reading_and_the_end_of_the_transaction, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    store = Store.open(tmp_path / "state")
    assert (store.kills(), [*store.incidents()], panics_of(store).count) == ([], [], 0)
    after = Harness(tmp_path, pods=None)
    after.watch.tick()
    assert after.only().status.count == 1
    assert len(after.printed) == 1
