"""Cgroups of killed processes, from what the kernel traced before."""

import os
from pathlib import Path

import pytest

from oomkeeper.agent.process_cgroups import LONGEST_PATH_BYTES, ProcessCgroups
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.events import (
    CLONE_INTO_CGROUP,
    CgroupJoined,
    ProcessMade,
    SignalSent,
    TraceEvent,
    VictimMarked,
)

KILLER, PARENT = 50, 60
PF_EXITING = 0x4
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Machine:
    """Its /proc, and the events of its kernel, each a millisecond after the one before."""

    def __init__(self, folder: Path, *, version: int) -> None:
        self.version = version
        self.proc = folder / "proc"
        mount = folder / "cgroup" / ("memory" if version == 1 else "")
        mount.mkdir(parents=True)
        (mount / ("memory.limit_in_bytes" if version == 1 else "cgroup.procs")).write_text("0")
        self._id = 4 if version == 1 else 0
        self.process(os.getpid(), "/agent", link="self")
        hierarchy = CgroupHierarchy.find(root=folder / "cgroup", proc=self.proc)
        self.cgroups = ProcessCgroups(CgroupNamespace(hierarchy), suspended_ns=0)
        self._events: list[TraceEvent] = []
        self._now = 1_000_000_000_000

    def process(
        self,
        pid: int,
        path: str,
        *,
        tgid: int | None = None,
        started_ns: int = 0,
        link: str = "",
        flags: int = 0,
    ) -> None:
        folder = self.proc / (link or str(pid))
        folder.mkdir(parents=True, exist_ok=True)
        line = f"4:memory:{path}\n" if self.version == 1 else f"0::{path}\n"
        (folder / "cgroup").write_text(line)
        (folder / "status").write_text(f"Name:\ta\\nTgid:\t1\nTgid:\t{tgid or pid}\n")
        fields = ["S", *["0"] * 5, str(flags), *["0"] * 12, str(started_ns // TICK_NS), *["0"] * 30]
        (folder / "stat").write_text(f"{pid} (a) {' '.join(fields)}")

    @property
    def now(self) -> int:
        self._now += 1_000_000
        return self._now

    def joins(self, pid: int, path: str, *, hierarchy: int | None = None) -> None:
        number = self._id if hierarchy is None else hierarchy
        self._events.append(CgroupJoined(self.now, 1, pid, number, path.encode()))

    def forks(self, parent: int, pid: int, *, flags: int = 0x11) -> None:
        self._events.append(ProcessMade(self.now, parent, pid, flags))

    def oom_kills(self, pid: int, *, signal: bool = True) -> None:
        if signal:
            self._events.append(SignalSent(self.now, KILLER, pid, b"a", 9, 128, 0))
        self._events.append(VictimMarked(self.now, KILLER, pid, *[None] * 8))

    def sends(self, pid: int, to: int) -> None:
        self._events.append(SignalSent(self.now, pid, to, b"a", 9, 0, 0))

    def victims(self, *, lost_before: int | None = None) -> list[tuple[int, str | None]]:
        """What one reading of the ring buffer tells. `lost_before`: so many of its events are missing."""
        events, self._events = self._events, []
        since = None if lost_before is None else events[lost_before].time_ns
        return [(one.pid, one.path) for one in self.cgroups.take(events, complete_since=since)]


@pytest.fixture(params=[1, 2])
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    return Machine(tmp_path, version=request.param)


def test_victim_is_where_it_was_moved_last(machine: Machine) -> None:
    machine.joins(7, "/a")
    machine.joins(7, "/b")
    machine.oom_kills(7)
    machine.joins(7, "/c")
    assert machine.victims() == [(7, "/b")]


def test_child_is_where_its_parent_was(machine: Machine) -> None:
    machine.joins(PARENT, "/a")
    machine.forks(PARENT, 7)
    machine.joins(PARENT, "/b")
    machine.forks(7, 8)
    machine.oom_kills(8)
    assert machine.victims() == [(8, "/a")]


def test_what_was_read_before_is_remembered(machine: Machine) -> None:
    machine.joins(7, "/a")
    assert machine.victims() == []
    machine.oom_kills(7)
    assert machine.victims() == [(7, "/a")]


def test_pid_used_again_is_another_process(machine: Machine) -> None:
    machine.joins(PARENT, "/b")
    machine.joins(7, "/a")
    machine.oom_kills(7)
    machine.forks(PARENT, 7)
    machine.oom_kills(7)
    assert machine.victims() == [(7, "/a"), (7, "/b")]


def test_parent_older_than_the_ring_buffer_is_looked_up(machine: Machine) -> None:
    machine.process(PARENT, "/a")
    machine.forks(PARENT, 7)
    machine.oom_kills(7)
    assert machine.victims() == [(7, "/a")]


def test_thread_that_forks_counts_as_its_process(machine: Machine) -> None:
    machine.process(61, "/now", tgid=PARENT)
    machine.joins(PARENT, "/a")
    machine.forks(61, 7)
    machine.oom_kills(7)
    assert machine.victims() == [(7, "/a")]


@pytest.mark.parametrize("moved", [PARENT, 61])
def test_parent_that_moved_after_the_fork_tells_nothing(machine: Machine, moved: int) -> None:
    machine.process(61, "/b", tgid=PARENT)
    machine.forks(61, 7)
    machine.joins(moved, "/b")
    machine.oom_kills(7)
    assert machine.victims() == [(7, None)]


def test_parent_is_looked_up_once_however_many_children_it_makes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that forks a thousand times a second must not keep the agent from the kills."""
    machine.process(PARENT, "/a")
    looked_up: list[int] = []
    path_of = machine.cgroups._namespace.path_of
    monkeypatch.setattr(
        machine.cgroups._namespace, "path_of", lambda pid: (looked_up.append(pid), path_of(pid))[1]
    )
    for _ in range(3):
        for child in range(100, 200):
            machine.forks(PARENT, child)
        machine.oom_kills(150)
        assert machine.victims() == [(150, "/a")]
    assert looked_up == [PARENT]


def test_parent_that_moved_while_it_was_looked_up_tells_nothing(machine: Machine) -> None:
    """The next reading of the ring buffer has a fork and then the move, which /proc showed already."""
    machine.process(PARENT, "/new")
    machine.forks(PARENT, 7)
    machine.victims()
    machine.forks(PARENT, 8)
    machine.joins(PARENT, "/new")
    machine.forks(PARENT, 9)
    for child in (7, 8, 9):
        machine.oom_kills(child)
    assert machine.victims() == [(7, None), (8, None), (9, "/new")]


def test_process_that_got_the_parents_pid_tells_nothing(machine: Machine) -> None:
    machine.forks(PARENT, 7)
    machine.process(PARENT, "/b", started_ns=machine.now + 10 * TICK_NS)
    machine.oom_kills(7)
    assert machine.victims() == [(7, None)]


def test_parent_that_is_gone_tells_nothing(machine: Machine) -> None:
    machine.forks(PARENT, 7)
    machine.oom_kills(7)
    assert machine.victims() == [(7, None)]


def test_exiting_parent_on_version_1_is_in_no_cgroup(tmp_path: Path) -> None:
    machine = Machine(tmp_path, version=1)
    machine.process(PARENT, "/", flags=PF_EXITING)
    machine.process(PARENT + 1, "/")
    machine.forks(PARENT, 7)
    machine.oom_kills(7)
    machine.forks(PARENT + 1, 8)
    machine.oom_kills(8)
    assert machine.victims() == [(7, None), (8, "/")]


def test_process_made_in_another_cgroup_is_not_its_parents(tmp_path: Path) -> None:
    machine = Machine(tmp_path, version=2)
    machine.joins(PARENT, "/a")
    machine.forks(PARENT, 7, flags=CLONE_INTO_CGROUP)
    machine.oom_kills(7)
    assert machine.victims() == [(7, None)]


def test_other_hierarchies_do_not_count(tmp_path: Path) -> None:
    machine = Machine(tmp_path, version=1)
    machine.joins(7, "/a")
    machine.joins(7, "/cpu", hierarchy=2)
    machine.oom_kills(7)
    assert machine.victims() == [(7, "/a")]


def test_lost_events_end_what_was_known(machine: Machine) -> None:
    machine.joins(7, "/a")
    machine.joins(8, "/a")
    machine.victims()
    machine.joins(7, "/lost")
    machine.joins(8, "/b")
    machine.oom_kills(7)
    machine.oom_kills(8)
    assert machine.victims(lost_before=1) == [(7, None), (8, "/b")]


def test_process_that_was_dying_anyway_is_no_victim(machine: Machine) -> None:
    machine.joins(7, "/a")
    machine.oom_kills(7, signal=False)
    assert machine.victims() == []


def test_path_that_the_kernel_cut_off_is_not_used(machine: Machine) -> None:
    machine.joins(7, "/" + "a" * (LONGEST_PATH_BYTES - 1))
    machine.oom_kills(7)
    assert machine.victims() == [(7, None)]


def test_signal_has_the_cgroups_of_both_sides_when_it_was_sent(machine: Machine) -> None:
    machine.joins(70, "/a")
    machine.joins(71, "/b")
    machine.sends(70, 71)
    machine.joins(71, "/c")
    machine.sends(72, 71)
    machine.victims()
    assert [one[1:] for one in machine.cgroups.signals] == [(71, 70, "/b", "/a"), (71, 72, "/c", None)]


def test_child_of_a_process_whose_own_parent_was_gone_is_where_that_process_is_now(machine: Machine) -> None:
    """As runc is made by a shim, which a program made that ended at once."""
    machine.forks(59, PARENT)
    machine.process(PARENT, "/runtime")
    machine.forks(PARENT, 70)
    machine.sends(70, 71)
    machine.victims()
    assert [one.by_path for one in machine.cgroups.signals] == ["/runtime"]


def test_signal_of_a_process_is_no_sign_of_the_oom_killer(machine: Machine) -> None:
    machine.joins(71, "/b")
    machine.sends(KILLER, 71)
    machine.oom_kills(71, signal=False)
    assert machine.victims() == []
