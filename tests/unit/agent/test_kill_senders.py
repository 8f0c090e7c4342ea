"""Senders of SIGKILL, from /proc and from cgroups that events tell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent.first_processes import ATTEMPTS, FirstProcesses
from oomkeeper.agent.kill_senders import MOST_READ, KillSenders, SentSignal
from oomkeeper.agent.process_cgroups import PlacedSignal
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.signal_origin import Origin, TracedSignal
from oomkeeper.agent.store import Store
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.tracefs.process_names import noted_comms

from .pod_samples import IDS, UID, ended, pod, running, status, table

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
AT = 500 * TICK_NS
PF_EXITING = 0x4
APP = f"/kubepods/burstable/pod{UID}/{IDS[0]}"
OTHER = f"/kubepods/burstable/pod{UID}/{IDS[1]}"
UNIT = "/system.slice/ssh.service"


class FakeCgroups:
    def __init__(self, *signals: PlacedSignal) -> None:
        self._signals = signals

    def of_signals(self) -> list[PlacedSignal]:
        return [*self._signals]


class Machine:
    """Its /proc and tracefs in a folder."""

    def __init__(self, folder: Path, *, version: int = 2) -> None:
        self.folder, self.version = folder, version
        self.proc = folder / "proc"
        self.tracefs = folder / "tracefs"
        self.tracefs.mkdir(parents=True)
        mount = folder / "cgroup" / ("memory" if version == 1 else "")
        mount.mkdir(parents=True)
        if version == 1:
            (mount / "memory.limit_in_bytes").write_text("0")
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/cgroup").write_text(self._line("/agent"))
        self.hierarchy = CgroupHierarchy.find(root=folder / "cgroup", proc=self.proc)
        self.first: dict[int, str] = {}

    def _line(self, path: str) -> str:
        return f"4:memory:{path}\n" if self.version == 1 else f"0::{path}\n"

    def process(
        self,
        pid: int,
        path: str,
        *,
        comm: str = "bash",
        exe: str | None = "/bin/bash",
        tgid: int | None = None,
        started_ns: int = 0,
        flags: int = 0,
    ) -> None:
        folder = self.proc / str(pid)
        folder.mkdir(parents=True)
        (folder / "cgroup").write_text(self._line(path))
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "status").write_text(f"Name:\ta\nTgid:\t{tgid or pid}\n")
        (folder / "stat").write_text(
            f"{pid} (a) S {'0 ' * 5}{flags} {'0 ' * 12}{started_ns // TICK_NS} {'0 ' * 15}"
        )
        if exe is not None:
            (folder / "exe").symlink_to(exe)

    def find(
        self, *signals: TracedSignal, cgroups: FakeCgroups | None = None, **shared: Any
    ) -> list[SentSignal]:
        senders = KillSenders(
            hierarchy=self.hierarchy,
            shared=SharedKernel(**shared),
            container_of_first=self.first.get,
            suspended_ns=0,
        )
        return senders.find(
            signals,
            tracefs=self.tracefs,
            cgroups=cgroups,  # type: ignore[arg-type]
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def sent(pid: int = 70, by_pid: int = 60, *, origin: Origin = Origin.PROCESS) -> TracedSignal:
    return TracedSignal(AT, pid, b"ja\x1bva", by_pid, origin)


def placed(path: str | None, by_path: str | None, *, time_ns: int = AT + 1000) -> FakeCgroups:
    return FakeCgroups(PlacedSignal(time_ns, 70, 60, path, by_path))


def test_living_sender_is_read_from_proc(machine: Machine) -> None:
    machine.process(60, UNIT, comm="ev\x1bil")
    machine.process(70, APP)
    (found,) = machine.find(sent())
    assert (found.comm, found.container_id, found.path) == ("ja\\x1bva", IDS[0], APP)
    assert (found.by_pid, found.by_comm, found.by_exe) == (60, "ev\\x1bil", "/bin/bash")
    assert (found.by_path, found.by_gone) == (UNIT, False)


def test_thread_stands_for_its_process(machine: Machine) -> None:
    machine.process(60, UNIT, comm="worker", tgid=50)
    machine.process(50, UNIT, comm="server", exe="/usr/bin/server")
    (found,) = machine.find(sent())
    assert (found.by_pid, found.by_comm, found.by_exe) == (50, "server", "/usr/bin/server")


def test_events_tell_the_cgroups_of_what_is_gone(machine: Machine) -> None:
    (machine.tracefs / "saved_cmdlines").write_bytes(b"60 kill\n61 x\n")
    (found,) = machine.find(sent(), cgroups=placed(APP, OTHER))
    assert (found.container_id, found.by_path, found.by_comm) == (IDS[0], OTHER, "kill")
    assert (found.by_gone, found.by_exe) == (True, None)
    (later,) = machine.find(sent(), cgroups=placed(APP, OTHER, time_ns=AT + 20_000_000))
    assert (later.container_id, later.by_path) == (None, None)


def test_number_that_another_process_has_since_is_gone(machine: Machine) -> None:
    machine.process(60, UNIT, started_ns=AT + 10 * TICK_NS)
    machine.process(70, APP, started_ns=AT + 10 * TICK_NS)
    (found,) = machine.find(sent())
    assert (found.by_gone, found.by_comm, found.by_path, found.container_id) == (True, None, None, None)


def test_first_process_of_a_container_is_known_by_its_number(machine: Machine) -> None:
    machine.first[70] = IDS[2]
    (found,) = machine.find(sent())
    assert found.container_id == IDS[2]
    # What its cgroup says has precedence: the number may be another process's.
    (found,) = machine.find(sent(), cgroups=placed("/user.slice", None))
    assert found.container_id is None


def test_v1_root_of_what_is_exiting_is_no_cgroup(tmp_path: Path) -> None:
    machine = Machine(tmp_path, version=1)
    machine.process(60, "/", flags=PF_EXITING)
    machine.process(70, "/")
    (found,) = machine.find(sent())
    assert (found.path, found.by_path, found.by_gone) == (None, None, False)
    machine.process(61, "/")
    (found,) = machine.find(sent(by_pid=61))
    assert found.by_path == "/"


def test_sender_outside_of_a_node_that_is_a_container_is_elsewhere(machine: Machine) -> None:
    node = "e" * 64
    cgroups = placed(f"/docker/{node}{APP}", "/docker/" + "f" * 64 + "/x")
    (found,) = machine.find(sent(), cgroups=cgroups, container_id=node)
    assert (found.container_id, found.path) == (IDS[0], APP)
    assert (found.by_path, found.by_elsewhere) == (None, True)


def test_process_of_another_node_on_the_kernel_is_elsewhere(machine: Machine) -> None:
    machine.first[70] = IDS[2]
    cgroups = placed(f"/docker/{'f' * 64}{APP}", None)
    (found,) = machine.find(sent(), cgroups=cgroups, container_id="e" * 64)
    assert (found.container_id, found.path, found.elsewhere) == (None, None, True)


def test_proc_with_other_numbers_is_not_read(machine: Machine) -> None:
    machine.process(60, UNIT)
    machine.process(70, APP)
    (found,) = machine.find(sent(), kernel_pids=False)
    assert (found.container_id, found.by_gone) == (None, True)


def test_kernel_has_no_sender(machine: Machine) -> None:
    machine.process(60, UNIT)
    machine.process(70, APP)
    for origin in (Origin.OOM_KILLER, Origin.KERNEL):
        (found,) = machine.find(sent(origin=origin))
        assert (found.container_id, found.by_comm, found.by_gone) == (IDS[0], None, False)


def test_storm_reads_the_newest_senders_only(machine: Machine) -> None:
    machine.process(60, UNIT)
    found = machine.find(*[sent(pid) for pid in range(1000, 1000 + MOST_READ + 2)])
    assert [one.by_gone for one in found] == [True, True] + [False] * MOST_READ
    assert [one.pid for one in found] == [*range(1000, 1000 + MOST_READ + 2)]


def test_names_that_occur_twice_are_not_taken(tmp_path: Path) -> None:
    assert noted_comms(tmp_path) == {}
    (tmp_path / "saved_cmdlines").write_bytes(b"7 a\n8 b\n9 runc\nz\n9 evil\nx\n\n77777777777 c\n")
    assert noted_comms(tmp_path) == {7: b"a", 8: b"b"}


# -- first processes


class Node(Machine):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pods = table()
        self.now = 100.0
        self.store = Store.open(folder / "state")
        self.start("boot-1")

    def start(self, boot_id: str) -> None:
        self.looked = FirstProcesses(
            hierarchy=self.hierarchy,
            pods=self.pods,
            store=self.store,
            boot_id=boot_id,
            clock=lambda: self.now,
        )

    def container(self, path: str, *pids: int) -> None:
        folder = self.folder / "cgroup" / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_oldest_process_is_the_first(node: Node) -> None:
    for pid, started in ((300, 9), (200, 5), (100, 7)):
        node.process(pid, APP, started_ns=started * TICK_NS)
    node.container(APP, 300, 200, 100)
    node.pods.put(pod(status("app", now=running(), container_id=IDS[0])))
    node.looked.look()
    assert (node.looked.container_of(200), node.looked.container_of(100)) == (IDS[0], None)
    assert node.looked.knows(IDS[0])
    assert not node.looked.waiting


def test_ended_container_is_known_as_long_as_its_pod_reports_it(node: Node) -> None:
    node.process(200, APP)
    node.container(APP, 200)
    node.pods.put(pod(status("app", now=running(), container_id=IDS[0])))
    node.looked.look()
    node.pods.put(pod(status("app", now=ended(IDS[0]))))
    node.looked.look()
    assert node.looked.container_of(200) == IDS[0]
    node.pods.remove(UID, now=0.0)
    node.pods.sweep(now=10_000.0)
    node.looked.look()
    assert node.looked.container_of(200) is None


def test_container_that_ended_while_no_agent_ran_is_known_to_the_next(node: Node) -> None:
    node.process(200, APP)
    node.container(APP, 200)
    node.pods.put(pod(status("app", now=running(), container_id=IDS[0])))
    node.looked.look()
    node.container(APP)
    node.start("boot-1")
    assert node.looked.container_of(200) == IDS[0]
    node.start("boot-2")
    assert node.looked.container_of(200) is None


def test_container_without_a_cgroup_is_looked_for_again_for_a_while(node: Node) -> None:
    node.pods.put(pod(status("app", now=running(), container_id=IDS[0])))
    node.looked.look()
    assert node.looked.waiting
    node.process(200, APP)
    node.container(APP, 200)
    node.looked.look()
    assert node.looked.container_of(200) is None
    node.now += 1.0
    node.looked.look()
    assert node.looked.container_of(200) == IDS[0]
    node.pods.put(pod(status("app", now=running(), container_id=IDS[1])))
    for _ in range(ATTEMPTS):
        node.now += 1.0
        node.looked.look()
    assert not node.looked.waiting
