"""The kernel's own events, from a real instance."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from oomkeeper.kernel.tracefs.events import CLONE_THREAD, CgroupJoined, ProcessMade, SignalSent, TraceEvent
from oomkeeper.kernel.tracefs.instance import InstanceBusyError, TraceInstance, remove_instance
from oomkeeper.kernel.tracefs.location import Tracefs, TracefsUnavailableError
from tests.kernel.harness import MIB, Cgroup, Eater, Node, oomkeeper, pids
from tests.waiting import eventually

Make = Callable[[Mapping[str, str | None]], TraceInstance]
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
KILLS = {"signal/signal_generate": "sig == 9"}
FORKS = {"task/task_newtask": f"!(clone_flags & {CLONE_THREAD})"}


@pytest.fixture
def make(tracefs: Tracefs) -> Iterator[Make]:
    """Makes readers of one instance; it is removed in the end."""
    name = f"oomkeeper-test-{uuid.uuid4().hex[:8]}"
    made: list[TraceInstance] = []

    def open_instance(events: Mapping[str, str | None]) -> TraceInstance:
        made.append(TraceInstance(tracefs.root, name, events=events, buffer_kib=16))
        return made[-1]

    yield open_instance
    for one in made:
        one.close()
    remove_instance(tracefs.root, name)


def events(instance: TraceInstance) -> list[TraceEvent]:
    return instance.read()[0]


def kill_one(*, comm: bytes = b"victim") -> int:
    code = f"open('/proc/self/comm', 'wb').write({comm!r}); print(flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        return process.pid


def test_sigkill_is_recorded_with_any_comm(make: Make) -> None:
    instance = make(KILLS)
    hostile = b"a\n1 x: sig=9 \xff"
    pid = kill_one(comm=hostile)
    (sent,) = [one for one in events(instance) if isinstance(one, SignalSent) and one.pid == pid]
    assert (sent.comm, sent.sig, sent.code) == (hostile, 9, 0)


def test_fork_and_move_are_recorded_in_order(make: Make, top: Cgroup) -> None:
    instance = make({**FORKS, "cgroup/cgroup_attach_task": None})
    group = top.child("moved")
    with subprocess.Popen(["sh", "-c", f"echo $$ > {group.procs}; true & wait"]) as process:
        process.wait()
    found = [
        one
        for one in events(instance)
        if (isinstance(one, CgroupJoined) and one.pid == process.pid)
        or (isinstance(one, ProcessMade) and process.pid in (one.pid, one.by_pid))
    ]
    assert [type(one) for one in found] == [ProcessMade, CgroupJoined, ProcessMade]
    assert isinstance(found[1], CgroupJoined)
    assert found[1].path.decode() == group.path


def test_instance_records_on_while_no_one_reads(make: Make) -> None:
    make(KILLS).close()
    pid = kill_one()
    assert pid in [one.pid for one in events(make(KILLS))]


def test_instance_has_one_reader(make: Make) -> None:
    make(KILLS)
    with pytest.raises(InstanceBusyError):
        make(KILLS)


def test_instance_in_use_is_not_removed(tracefs: Tracefs, make: Make) -> None:
    instance = make(KILLS)
    with pytest.raises(InstanceBusyError):
        remove_instance(tracefs.root, instance.folder.name)
    assert not remove_instance(tracefs.root, "oomkeeper-test-none")


def test_overwritten_records_are_counted_and_dated(make: Make) -> None:
    instance = make(FORKS)
    assert (instance.read()[1], instance.lost()) == (None, 0)
    subprocess.run(["bash", "-c", "for i in {1..1500}; do (:); done"], check=True)
    found, complete_since = instance.read()
    assert instance.lost() > 0
    assert complete_since is not None
    assert found[0].time_ns <= complete_since <= found[-1].time_ns
    assert instance.read()[1] is None


def test_missing_event_is_named(tracefs: Tracefs) -> None:
    name = f"oomkeeper-test-{uuid.uuid4().hex[:8]}"
    with pytest.raises(TracefsUnavailableError, match="this kernel does not have it"):
        TraceInstance(tracefs.root, name, events={"oom/none": None}, buffer_kib=16)
    assert not remove_instance(tracefs.root, name)


def test_second_agent_of_a_kernel_works_without_the_trace(
    top: Cgroup, eater: Callable[..., Eater], node: Node, tmp_path: Path
) -> None:
    cgroup = top.child("shared", limit_bytes=4 * MIB)
    (tmp_path / "second").mkdir()
    second = Node(tmp_path / "second")
    node.start()
    eventually(lambda: "kernel tracing" not in node.log_since())
    second.start()
    try:
        eventually(lambda: "another agent of this kernel reads it" in second.log_since())
        made = eater("maker").do("storm", procs=[cgroup.procs], count=3, bytes=8 * MIB)
        for one in (node, second):
            found = eventually(lambda one=one: len(one.kills(below=top)) >= 3 and one.kills(below=top))
            assert sorted(pids(found)) == sorted(made)
    finally:
        second.kill()


def test_restore_removes_the_instances(tracefs: Tracefs, node: Node) -> None:
    def instances() -> set[str]:
        return {one.name for one in (tracefs.root / "instances").iterdir()} & {
            "oomkeeper",
            "oomkeeper-cgroups",
        }

    node.start()
    eventually(lambda: len(instances()) == 2)
    node.kill()
    assert len(instances()) == 2
    assert oomkeeper("node", "--restore", "--state-dir", node.state, "--etc", node.etc).returncode == 0
    assert instances() == set()
