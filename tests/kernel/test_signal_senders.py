"""Who sent SIGKILL, on this kernel: from inside a container's cgroup, from another one, from the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from oomkeeper.agent.kill_senders import KillSenders, SentSignal
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.signal_origin import Origin
from oomkeeper.agent.signal_thread import SignalThread
from oomkeeper.agent.traced_cgroups import TracedCgroups
from oomkeeper.agent.traced_kills import TracedKills
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.instance import remove_instance
from oomkeeper.kernel.tracefs.location import Tracefs
from tests.kernel.harness import MIB, Cgroup
from tests.waiting import eventually

IDS = {"app": "ab" * 32, "other": "cd" * 32}
POD = "0a1b2c3d-1111-2222-3333-444455556666"


class Watch:
    """A reader of instances of the test's own, as the agent has them."""

    def __init__(self, tracefs: Tracefs, folder: Path) -> None:
        self._tracefs = tracefs
        self._spool = folder / "cgroup-trace"
        self._names = [f"oomkeeper-test-{uuid.uuid4().hex[:8]}" for _ in range(2)]
        self.start()

    def start(self) -> None:
        root, hierarchy = self._tracefs.root, CgroupHierarchy.find()
        shared = SharedKernel()
        self._kills = TracedKills(root, instance=self._names[0])
        self._cgroups = TracedCgroups(
            root,
            namespace=CgroupNamespace(hierarchy),
            shared=shared,
            instance=self._names[1],
            spool=self._spool,
            boot_id="this",
        )
        self._thread = SignalThread(
            kills=self._kills,
            cgroups=lambda: self._cgroups,
            senders=KillSenders(hierarchy=hierarchy, shared=shared),
            tracefs=root,
            found=lambda: None,
        )

    def of(self, pid: int) -> SentSignal:
        """The signal to a process, once the thread has found it."""
        seen: list[SentSignal] = []

        def look() -> SentSignal | None:
            seen.extend(self._thread.take())
            return next((one for one in seen if one.pid == pid), None)

        found = eventually(look, seconds=10, interval_seconds=0.02)
        assert found is not None
        assert [one.pid for one in seen].count(pid) == 1
        return found

    def pids(self) -> list[int]:
        return [one.pid for one in self._thread.take()]

    def stop(self) -> None:
        self._thread.stop()
        self._kills.close()
        self._cgroups.close()

    def remove(self) -> None:
        self.stop()
        for name in self._names:
            remove_instance(self._tracefs.root, name)


@pytest.fixture
def watch(tracefs: Tracefs, tmp_path: Path) -> Iterator[Watch]:
    made = Watch(tracefs, tmp_path)
    yield made
    made.remove()


@pytest.fixture
def containers(top: Cgroup) -> dict[str, Cgroup]:
    """Cgroups named as those of a pod's containers."""
    pod = top.child("kubepods").child(f"pod{POD}")
    return {name: pod.child(one, limit_bytes=16 * MIB) for name, one in IDS.items()}


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Runs a command in a cgroup, as its first program."""
    made: list[subprocess.Popen[bytes]] = []

    def start(cgroup: Cgroup | None, *command: str) -> subprocess.Popen[bytes]:
        into = f"echo $$ > {cgroup.procs} && " if cgroup is not None else ""
        made.append(subprocess.Popen(["sh", "-c", f'{into}exec "$@"', "sh", *command]))
        return made[-1]

    yield start
    for one in made:
        one.kill()
        one.wait()


Run = Callable[..., "subprocess.Popen[bytes]"]
SLEEP = ("sleep", "1000")


def in_cgroup(cgroup: Cgroup, pid: int) -> bool:
    return str(pid) in Path(cgroup.procs).read_text().split()


def victim(run: Run, cgroup: Cgroup, command: Sequence[str] = SLEEP) -> subprocess.Popen[bytes]:
    process = run(cgroup, *command)
    eventually(lambda: in_cgroup(cgroup, process.pid))
    return process


def test_sender_inside_the_container(watch: Watch, containers: dict[str, Cgroup], run: Run) -> None:
    hit = victim(run, containers["app"])
    run(containers["app"], "bash", "-c", f"kill -9 {hit.pid}; exit").wait()
    found = watch.of(hit.pid)
    assert (found.container_id, found.origin) == (IDS["app"], Origin.PROCESS)
    assert (found.path, found.by_path) == (containers["app"].path, containers["app"].path)
    assert found.by_comm == "bash"


def test_sender_in_another_container(watch: Watch, containers: dict[str, Cgroup], run: Run) -> None:
    hit = victim(run, containers["app"])
    run(containers["other"], "/bin/kill", "-9", str(hit.pid)).wait()
    found = watch.of(hit.pid)
    assert (found.container_id, found.by_path) == (IDS["app"], containers["other"].path)


def test_sender_on_the_host_that_lives_on_has_a_program(
    watch: Watch, containers: dict[str, Cgroup], run: Run
) -> None:
    hit = victim(run, containers["app"])
    os.kill(hit.pid, signal.SIGKILL)
    found = watch.of(hit.pid)
    assert (found.by_pid, found.by_gone) == (os.getpid(), False)
    assert found.by_exe == str(Path(sys.executable).resolve())
    assert found.by_path == CgroupHierarchy.find().path_of(os.getpid())
    assert found.container_id == IDS["app"]


def test_thread_that_sends_stands_for_its_process(
    watch: Watch, containers: dict[str, Cgroup], run: Run
) -> None:
    hit = victim(run, containers["app"])
    looked_at = threading.Event()

    def send() -> None:
        os.kill(hit.pid, signal.SIGKILL)
        looked_at.wait(20)

    thread = threading.Thread(target=send)
    thread.start()
    found = watch.of(hit.pid)
    looked_at.set()
    thread.join()
    assert (found.by_gone, found.by_pid) == (False, os.getpid())


def test_sender_that_is_gone_has_the_cgroup_that_it_was_made_in(
    watch: Watch, containers: dict[str, Cgroup], run: Run
) -> None:
    hit = victim(run, containers["app"])
    watch.stop()
    killer = run(containers["other"], "/bin/kill", "-9", str(hit.pid))
    killer.wait()
    watch.start()
    found = watch.of(hit.pid)
    assert (found.by_pid, found.by_gone, found.by_exe) == (killer.pid, True, None)
    assert (found.container_id, found.by_path) == (IDS["app"], containers["other"].path)
    assert found.by_comm in ("kill", None)  # the kernel notes names for a while


def test_thread_of_runc_that_is_gone_has_its_cgroup(
    watch: Watch, containers: dict[str, Cgroup], run: Run
) -> None:
    hit = victim(run, containers["app"])
    script = (
        "import os, threading\n"
        "open('/proc/self/comm', 'w').write('runc')\n"
        f"one = threading.Thread(target=os.kill, args=({hit.pid}, 9)); one.start(); one.join()"
    )
    watch.stop()
    run(containers["other"], sys.executable, "-c", script).wait()
    watch.start()
    found = watch.of(hit.pid)
    assert (found.by_gone, found.by_path) == (True, containers["other"].path)


def test_oom_kill_is_told_apart(watch: Watch, containers: dict[str, Cgroup], run: Run) -> None:
    hit = run(containers["app"], "tail", "/dev/zero")
    hit.wait()
    found = watch.of(hit.pid)
    assert (found.origin, found.container_id) == (Origin.OOM_KILLER, IDS["app"])
    assert (found.by_path, found.by_gone) == (None, False)


def test_end_of_a_pid_namespace_is_one_signal(watch: Watch, containers: dict[str, Cgroup], run: Run) -> None:
    """The kernel ends the rest; a signal from inside to the first process is ignored."""
    inside = "sleep 1000 & sleep 1000 & kill -9 1; wait"
    run(containers["app"], "unshare", "--pid", "--fork", "--kill-child", "sh", "-c", inside)
    members = eventually(lambda: len(now := Path(containers["app"].procs).read_text().split()) == 4 and now)
    watch.pids()
    first = next(
        int(pid)
        for pid in members
        if (Path("/proc") / pid / "status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
        and "unshare" not in (Path("/proc") / pid / "comm").read_text()
    )
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not Path(containers["app"].procs).read_text().split())
    assert [pid for pid in watch.pids() if str(pid) in members] == [first]
