"""Kills placed by counters, log and /proc, on a model of a kernel that kills: never wrongly."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.kill_observer import GRACE_SECONDS, STORM_SECONDS, KillObserver
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.model.log import LogRecord
from tests.unit.kernel.test_oom_counters import Tree


class Kernel:
    """A machine with cgroups and a log. What it did is known to the test alone."""

    def __init__(self, folder: Path, *, version: int = 2) -> None:
        self.tree = Tree(folder, version=version)
        self.proc = folder
        self.kills = 0
        self.truth: dict[int, str] = {}
        """Sequence number of the kill line -> cgroup."""
        self._log: list[LogRecord] = []
        self._seq = 0
        self.now = 0.0
        self._count()

    def kill(self, path: str, *, pid: int = 0, reported: bool = False, printed: bool = True) -> None:
        self.tree.kill(path)
        self.kills += 1
        self._count()
        if printed:
            self.print(path, pid=pid, reported=reported)

    def print(self, path: str, *, pid: int = 0, reported: bool = False) -> None:
        if reported:
            self._add(
                "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
                f"oom_memcg={path},task_memcg={path},task=tail,pid={pid},uid=0"
            )
        self._add(f"Memory cgroup out of memory: Killed process {pid} (tail) total-vm:6kB, anon-rss:4kB")
        self.truth[self._seq] = path

    def say(self, text: str) -> None:
        self._add(text)

    def lose_log(self) -> None:
        self._log.clear()

    def log(self) -> list[LogRecord]:
        """What was not read before."""
        read, self._log = self._log, []
        return read

    def process(self, pid: int, path: str, *, dying: bool) -> None:
        (self.proc / str(pid)).mkdir(exist_ok=True)
        line = f"0::{path}\n" if self.tree.version == 2 else f"4:memory:{path}\n"
        (self.proc / str(pid) / "cgroup").write_text(line)
        fields = ["R", *["0"] * 5, "4" if dying else "0", *["0"] * 30]
        (self.proc / str(pid) / "stat").write_text(f"{pid} (tail) {' '.join(fields)}")

    def observer(self, **arguments: object) -> KillObserver:
        return KillObserver(  # type: ignore[arg-type]
            **{
                "hierarchy": self.tree.hierarchy,
                "counted": {},
                "accounted_kills": self.kills,
                "shared": SharedKernel(),
                "clock": lambda: self.now,
                **arguments,
            }
        )

    def _add(self, text: str) -> None:
        self._seq += 1
        self._log.append(LogRecord(text.encode(), usec=int(self.now * 1e6), seq=self._seq))

    def _count(self) -> None:
        (self.proc / "vmstat").write_text(f"nr_free_pages 1\noom_kill {self.kills}\n")


@pytest.fixture(params=[1, 2])
def kernel(tmp_path: Path, request: pytest.FixtureRequest) -> Kernel:
    made = Kernel(tmp_path, version=request.param)
    for path in ("/a", "/b", "/c"):
        made.tree.add(path)
    return made


def places(kernel: Kernel, observer: KillObserver) -> list[str | None]:
    """Of every kill in the log; fails where one is still open."""
    found = [observer.place(seq) for seq in kernel.truth]
    assert None not in found
    return [one.path for one in found if one is not None]


def test_single_kill_is_placed_by_the_counter_that_moved(kernel: Kernel) -> None:
    observer = kernel.observer()
    for path in ("/a", "/b", "/a"):
        kernel.kill(path)
        observer.step(kernel.log())
    assert places(kernel, observer) == ["/a", "/b", "/a"]


def test_kills_of_two_cgroups_in_one_interval_stay_open(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.kill("/a")
    kernel.kill("/b")
    observer.step(kernel.log())
    assert places(kernel, observer) == [None, None]


def test_undecided_kills_do_not_mislead_the_next_one(kernel: Kernel) -> None:
    """Their counters stay ahead of what is explained."""
    observer = kernel.observer()
    kernel.kill("/a")
    kernel.kill("/b")
    observer.step(kernel.log())
    kernel.kill("/c")
    observer.step(kernel.log())
    assert places(kernel, observer) == [None, None, "/c"]


def test_report_decides_for_the_others_of_its_interval(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.kill("/a", pid=7, reported=True)
    kernel.kill("/b", pid=8)
    observer.step(kernel.log())
    assert places(kernel, observer) == ["/a", "/b"]


def test_dying_process_is_looked_up(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.process(7, "/a", dying=True)
    kernel.kill("/a", pid=7)
    kernel.kill("/b", pid=8)
    observer.step(kernel.log())
    assert places(kernel, observer) == ["/a", "/b"]


def test_process_that_reuses_the_pid_is_not_believed(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.process(7, "/b", dying=False)
    kernel.kill("/a", pid=7)
    observer.step(kernel.log())
    assert places(kernel, observer) == ["/a"]


def test_kill_in_a_removed_cgroup_stays_open_and_takes_no_other(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.kill("/a")
    kernel.tree.remove("/a")
    observer.step(kernel.log())
    kernel.kill("/b")
    observer.step(kernel.log())
    kernel.now += 1  # the next full look may come
    kernel.kill("/c")
    kernel.tree.remove("/c")
    kernel.kill("/b")
    observer.step(kernel.log())
    assert places(kernel, observer) == [None, "/b", None, None]


def test_line_still_to_come_is_waited_for(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.kill("/a", printed=False)
    observer.step(kernel.log())
    assert observer.open
    kernel.print("/a")
    observer.step(kernel.log())
    assert places(kernel, observer) == ["/a"]
    assert not observer.open


def test_lost_line_does_not_shift_the_others(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.kill("/a", printed=False)
    kernel.kill("/b")
    observer.step(kernel.log())
    assert observer.open
    kernel.now += GRACE_SECONDS + 0.01
    observer.step(kernel.log())
    assert places(kernel, observer) == [None]
    kernel.kill("/c")
    observer.step(kernel.log())
    assert places(kernel, observer) == [None, "/c"]


def test_lost_lines_of_one_cgroup_leave_no_doubt(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.kill("/a", printed=False)
    kernel.kill("/a")
    observer.step(kernel.log())
    kernel.now += GRACE_SECONDS + 0.01
    observer.step(())
    assert places(kernel, observer) == ["/a"]


def test_observer_that_waits_for_a_cpu_takes_no_line_for_the_next_kill(kernel: Kernel) -> None:
    """Each of its last kills comes after the log is read and before the counters are, and each look at the
    clock is a second after the one before."""
    wait_seconds = 0

    def starved() -> float:
        kernel.now += wait_seconds
        return kernel.now

    def then_kill(path: str) -> Iterator[LogRecord]:
        yield from kernel.log()
        kernel.kill(path)

    observer = kernel.observer(clock=starved)
    for path in ("/a", "/b"):
        kernel.kill(path)
        observer.step(kernel.log())
    wait_seconds = 1
    observer.step(then_kill("/a"))
    observer.step(then_kill("/b"))
    observer.step(kernel.log())
    assert places(kernel, observer) == ["/a", "/b", None, None]


def test_cgroup_with_the_name_of_a_pod_elsewhere_is_not_taken_for_it(kernel: Kernel) -> None:
    real, posed = "/kubepods/pod1/app", "/user.slice/kubepods/pod1/app"
    for path in (real, posed):
        kernel.tree.add(path)
    observer = kernel.observer()
    for path in (real, posed, posed, real):
        kernel.kill(path)
        kernel.now += 1  # the next full look may come
        observer.step(kernel.log())
    assert places(kernel, observer) == [real, posed, posed, real]


def test_text_of_a_process_is_no_kill_line(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.say("Kill process 12 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0")
    kernel.kill("/a")
    observer.step(kernel.log())
    assert places(kernel, observer) == ["/a"]


def test_kills_while_no_agent_ran_are_placed_by_what_was_explained_before(kernel: Kernel) -> None:
    kernel.kill("/a")
    kernel.kill("/b")
    kernel.log()
    kernel.truth.clear()
    counted = {path: kernel.observer()._counters.read(path) for path in ("/a", "/b")}
    accounted = kernel.kills
    for _ in range(5):
        kernel.kill("/a")
    observer = kernel.observer(accounted_kills=accounted, counted=counted)
    observer.step(kernel.log())
    assert places(kernel, observer) == ["/a"] * 5


def test_lines_dealt_with_before_are_not_taken_again(kernel: Kernel) -> None:
    kernel.kill("/a")
    observer = kernel.observer(placed_seqs=frozenset(kernel.truth), counted=dict(kernel_counts(kernel)))
    kernel.kill("/b")
    observer.step(kernel.log())
    assert [one and one.path for one in map(observer.place, kernel.truth)] == [None, "/b"]


def kernel_counts(kernel: Kernel) -> dict[str, object]:
    return {"/a": kernel.observer()._counters.read("/a")}


def test_counters_are_handed_over_once_all_kills_are_dealt_with(kernel: Kernel) -> None:
    observer = kernel.observer()
    kernel.kill("/a")
    kernel.kill("/b")
    observer.step(kernel.log())
    assert observer.take_moved(kernel.kills - 1) == {}
    moved = observer.take_moved(kernel.kills)
    assert {path: counted.kills for path, counted in moved.items()} == {"/a": 1, "/b": 1}
    assert not observer.moved


def test_storm_is_watched_for_a_while(kernel: Kernel) -> None:
    observer = kernel.observer()
    for _ in range(5):
        assert not observer.storm
        kernel.kill("/a")
        observer.step(kernel.log())
    assert observer.storm
    kernel.now += STORM_SECONDS
    assert not observer.storm


def limit(kernel: Kernel, path: str, *, limit: int, failures: int) -> None:
    folder = kernel.tree.folder(path)
    if kernel.tree.version == 1:
        (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
        (folder / "memory.failcnt").write_text(f"{failures}\n")
    else:
        (folder / "memory.max").write_text(f"{limit}\n")
        events = folder / "memory.events.local"
        lines = [line for line in events.read_text().splitlines() if not line.startswith("oom ")]
        events.write_text("\n".join(["low 0", f"oom {failures}", *lines[1:]]) + "\n")


def limits_found(kernel: Kernel, observer: KillObserver) -> list[str | None]:
    found = [observer.place(seq) for seq in kernel.truth]
    return [one.limit.path if one is not None and one.limit is not None else None for one in found]


def test_container_at_its_limit_in_a_pod_that_was_at_its_own_before(kernel: Kernel) -> None:
    kernel.tree.add("/pod")
    kernel.tree.add("/pod/app")
    observer = kernel.observer()
    for pod_failures, app_failures in ((1, 0), (1, 1), (1, 2), (2, 2), (3, 3)):
        kernel.kill("/pod/app")
        limit(kernel, "/pod", limit=8192, failures=pod_failures)
        limit(kernel, "/pod/app", limit=4096, failures=app_failures)
        observer.step(kernel.log())
    assert limits_found(kernel, observer) == ["/pod", "/pod/app", "/pod/app", "/pod", None]


def test_limit_of_a_removed_cgroup_is_the_only_one_it_had(kernel: Kernel) -> None:
    observer = kernel.observer()
    limit(kernel, "/a", limit=4096, failures=0)
    kernel.kill("/a", pid=7, reported=True)
    observer.step(kernel.log())
    kernel.process(8, "/a", dying=True)
    kernel.kill("/a", pid=8)
    kernel.tree.remove("/a")
    observer.step(kernel.log())
    assert limits_found(kernel, observer) == ["/a", "/a"]


@pytest.mark.parametrize("seed", range(15))
def test_no_kill_is_ever_placed_wrongly(tmp_path: Path, seed: int) -> None:
    """Random storms: late and lost lines, removed and remade cgroups, some reports, some victims in /proc."""
    choose = random.Random(seed)
    kernel = Kernel(tmp_path, version=choose.choice((1, 2)))
    there = [f"/{name}" for name in "abcd"[: choose.randint(1, 4)]]
    for path in there:
        kernel.tree.add(path)
    observer = kernel.observer()
    kept: list[LogRecord] = []
    for pid in range(1, 81):
        path = choose.choice(there)
        if choose.random() < 0.1:
            kernel.process(pid, path, dying=True)
        elif choose.random() < 0.1:
            kernel.process(pid, choose.choice(there), dying=False)
        kernel.kill(path, pid=pid, reported=choose.random() < 0.2, printed=choose.random() < 0.97)
        if choose.random() < 0.05:
            kernel.tree.remove(path)
            kernel.tree.add(path)
        kept += kernel.log()
        if choose.random() < 0.7:
            # The newest line may not be there yet.
            late = kept[-1:] if choose.random() < 0.1 else []
            observer.step(kept[: len(kept) - len(late)])
            kept = late
        kernel.now += choose.choice((0.0001, 0.001, 0.1) if kept else (0.001, 1.0))
    for _ in range(3):
        observer.step(kept)
        kept = []
        kernel.now += GRACE_SECONDS + 0.01
    placed = {seq: place.path for seq in kernel.truth if (place := observer.place(seq)) is not None}
    assert placed.keys() == kernel.truth.keys()
    wrong = {seq: path for seq, path in placed.items() if path not in (None, kernel.truth[seq])}
    assert wrong == {}
    assert sum(path is not None for path in placed.values()) > len(placed) // 10
