"""What one agent has read of the trace of cgroups is there for the next, also after kill -9."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.traced_cgroups import TracedCgroups
from oomkeeper.agent.traced_kills import TracedKills
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.kmsg import KmsgReader
from oomkeeper.kernel.report.killline import parse_killed
from oomkeeper.kernel.report.kinds import Kind, kind_of
from oomkeeper.kernel.tracefs.instance import remove_instance
from oomkeeper.kernel.tracefs.location import Tracefs
from tests.kernel.harness import MIB, Cgroup, Eater

Make = Callable[[], TracedCgroups]


@pytest.fixture
def open_trace(tracefs: Tracefs, tmp_path: Path) -> Iterator[Make]:
    """Opens the agent's reader on an instance of the test's own."""
    name = f"oomkeeper-test-{uuid.uuid4().hex[:8]}"
    made: list[TracedCgroups] = []

    def make() -> TracedCgroups:
        made.append(
            TracedCgroups(
                tracefs.root,
                namespace=CgroupNamespace(CgroupHierarchy.find()),
                shared=SharedKernel(),
                instance=name,
                spool=tmp_path / "cgroup-trace",
                boot_id="this",
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()
    remove_instance(tracefs.root, name)


def usecs_of_lines(log: KmsgReader) -> dict[int, int]:
    """When the kernel printed that it killed a process, by its number."""
    found = {}
    for one in log.read_available():
        if one.kernel and one.usec is not None and kind_of(one.text) is Kind.KILLED:
            victim = parse_killed(one.text)
            assert victim is not None
            assert victim.pid is not None
            found[victim.pid] = one.usec
    return found


def eat(eater: Callable[..., Eater], cgroup: Cgroup) -> int:
    victim = eater()
    victim.do("join", procs=cgroup.procs)
    victim.begin("eat", bytes=16 * MIB)
    assert victim.killed
    return victim.pid


def test_move_that_a_killed_agent_had_read_is_known_to_the_next(
    open_trace: Make, top: Cgroup, eater: Callable[..., Eater]
) -> None:
    cgroup = top.child("one", limit_bytes=4 * MIB)
    first = open_trace()
    victim = eater()
    victim.do("join", procs=cgroup.procs)
    first.of_signals()  # reads
    first.close()
    log = KmsgReader()
    second = open_trace()
    victim.begin("eat", bytes=16 * MIB)
    assert victim.killed
    assert second.of_victim(victim.pid, usec=usecs_of_lines(log)[victim.pid]) == cgroup.path
    log.close()


def test_victim_that_a_killed_agent_had_read_is_claimed_by_the_next_once(
    open_trace: Make, top: Cgroup, eater: Callable[..., Eater]
) -> None:
    cgroup = top.child("one", limit_bytes=4 * MIB)
    log = KmsgReader()
    first = open_trace()
    pid = eat(eater, cgroup)
    first.of_signals()
    first.close()
    second = open_trace()
    usec = usecs_of_lines(log)[pid]
    assert second.of_victim(pid, usec=usec) == cgroup.path
    assert second.of_victim(pid, usec=usec) is None
    log.close()


def test_victim_of_long_ago_is_not_taken_for_another_of_its_number(
    open_trace: Make, top: Cgroup, eater: Callable[..., Eater]
) -> None:
    first = open_trace()
    log = KmsgReader()
    pid = eat(eater, top.child("one", limit_bytes=4 * MIB))
    first.of_signals()
    first.close()
    second = open_trace()
    assert second.of_victim(pid, usec=usecs_of_lines(log)[pid] + 60_000_000) is None
    log.close()


def test_kill_dash_nine_while_reading_loses_no_move(
    top: Cgroup, eater: Callable[..., Eater], open_trace: Make, tmp_path: Path
) -> None:
    """A reader that does nothing but read is killed, time and again, while processes move."""
    cgroups = [top.child(name, limit_bytes=4 * MIB) for name in ("one", "two")]
    first = open_trace()
    name = first._instance.folder.name
    first.close()
    code = (
        "import sys; from pathlib import Path\n"
        "from oomkeeper.agent.traced_cgroups import EVENTS, BUFFER_KIB\n"
        "from oomkeeper.kernel.tracefs.instance import TraceInstance\n"
        "from oomkeeper.kernel.tracefs.location import Tracefs\n"
        "found = Tracefs.find(Path('/sys/kernel/tracing'))\n"
        "one = TraceInstance(found.root, sys.argv[1], events=EVENTS, buffer_kib=BUFFER_KIB,"
        " joins_cpus=True, spool=Path(sys.argv[2]), boot_id='this')\n"
        "print(one.has_spooled, flush=True)\n"
        "while True: one.read()\n"
    )
    log = KmsgReader()
    maker = eater("maker")
    made: list[int] = []
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", code, name, str(tmp_path / "cgroup-trace")],
            stdout=subprocess.PIPE,
        ) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"True\n"
            maker.begin("storm", procs=[one.procs for one in cgroups], count=20, bytes=8 * MIB)
            reader.kill()
            reader.wait()
            made += maker.result()
    last = open_trace()
    truth = {pid: cgroups[turn % 20 % 2].path for turn, pid in enumerate(made)}
    usecs = usecs_of_lines(log)
    assert {pid: last.of_victim(pid, usec=usecs[pid]) for pid in made} == truth
    log.close()


def test_kill_that_a_killed_agent_had_read_comes_again_and_its_signal_does_not(
    tracefs: Tracefs, top: Cgroup, eater: Callable[..., Eater], tmp_path: Path
) -> None:
    """Its line may be overwritten before the next agent reads the log."""
    name = f"oomkeeper-test-{uuid.uuid4().hex[:8]}"

    def reader() -> TracedKills:
        return TracedKills(tracefs.root, instance=name, spool=tmp_path / "kill-trace", boot_id="this")

    try:
        first = reader()
        pid = eat(eater, top.child("one", limit_bytes=4 * MIB))
        assert pid in [kill.pid for kill in first.read()]
        assert pid in [signal.pid for signal in first.take_signals()]
        first.keep_skew(7_000_000_000)
        first.close()
        second = reader()
        later = eat(eater, top.child("two", limit_bytes=4 * MIB))
        assert [kill.pid for kill in second.read() if kill.pid in (pid, later)] == [pid, later]
        assert [one.pid for one in second.take_signals() if one.pid in (pid, later)] == [later]
        assert (second.skew_ns, second.complete_since_ns) == (7_000_000_000, None)
        assert second.read() == []
        second.close()
    finally:
        remove_instance(tracefs.root, name)
