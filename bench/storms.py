"""Storms of OOM kills against a real `oomkeeper node`: how many kills find their cgroup, and what it costs.

Every child joins the next of two cgroups and is killed there. The kernel prints ten reports; the cgroup of
every other kill must be found, and the truth is known here. With and without the kernel's trace, which is
kept from the agent by holding its instances.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from oomkeeper.agent import traced_cgroups, traced_kills
from oomkeeper.kernel.tracefs.instance import TraceInstance, remove_instance
from oomkeeper.kernel.tracefs.location import Tracefs
from tests.kernel.harness import MIB, Cgroup, Eater, Node, await_reports, cgroups, private_mib, why_not

KILLS = 60
INSTANCES = (traced_kills.INSTANCE, traced_cgroups.INSTANCE)


class Outcome(NamedTuple):
    """One storm."""

    seconds: float
    right: int
    open: int
    wrong: int
    cpu_ms_per_kill: float
    private_mib: float


def main(arguments: Sequence[str] = ()) -> None:
    """Print one line per storm."""
    parser = argparse.ArgumentParser(prog="python -m bench.storms", description=__doc__)
    parser.add_argument("--storms", type=int, default=5, help="storms of each kind (5)")
    parser.add_argument("--cgroups", type=int, default=3000, help="other cgroups in the last kind (3000)")
    options = parser.parse_args(arguments)
    if (reason := why_not()) is not None:
        print(f"not run: {reason}")
        return
    with tracefs() as root:
        for number in range(options.storms):
            show(f"with trace, storm {number + 1}", storm())
        for number in range(options.storms):
            with held(root):
                show(f"without trace, storm {number + 1}", storm())
        for traced in (True, False):
            with contextlib.nullcontext() if traced else held(root):
                name = f"{options.cgroups} other cgroups, {'with' if traced else 'without'} trace"
                show(name, storm(others=options.cgroups, removed=False))
                show(f"{name}, cgroups removed at once", storm(others=options.cgroups, removed=True))


def show(name: str, outcome: Outcome) -> None:
    print(
        f"{name}: {KILLS} kills in {outcome.seconds:.1f} s: {outcome.right} with their cgroup, "
        f"{outcome.open} left open, {outcome.wrong} wrong; "
        f"agent: {outcome.cpu_ms_per_kill:.1f} ms CPU a kill, {outcome.private_mib:.1f} MiB",
        flush=True,
    )


def storm(*, others: int = 0, removed: bool = False) -> Outcome:
    """Make one. `removed`: each kill has a cgroup of its own, which is gone right after it."""
    await_reports(10)
    with cgroups() as top, tempfile.TemporaryDirectory() as folder:
        for number in range(others):
            top.child(f"other-{number}")
        pair = [top.child(name, limit_bytes=4 * MIB) for name in ("one", "two")]
        node = Node(Path(folder))
        node.start()
        time.sleep(1)
        maker = Eater(name="maker")
        cpu, began = cpu_seconds(node.pid), time.monotonic()
        truth = one_each(maker, top) if removed else in_turn(maker, pair)
        seconds = time.monotonic() - began
        found = recorded(node, truth)
        used = cpu_seconds(node.pid) - cpu
        outcome = Outcome(
            seconds=seconds,
            right=sum(found.get(pid) == path for pid, path in truth.items()),
            open=sum(found.get(pid) is None for pid in truth),
            wrong=sum(found.get(pid) not in (None, path) for pid, path in truth.items()),
            cpu_ms_per_kill=used * 1000 / len(truth),
            private_mib=private_mib(node.pid),
        )
        maker.end()
        node.stop()
        return outcome


def in_turn(maker: Eater, pair: Sequence[Cgroup]) -> dict[int, str]:
    pids = maker.do("storm", procs=[one.procs for one in pair], count=KILLS, bytes=8 * MIB)
    return {pid: pair[turn % len(pair)].path for turn, pid in enumerate(pids)}


def one_each(maker: Eater, top: Cgroup) -> dict[int, str]:
    truth = {}
    for number in range(KILLS):
        cgroup = top.child(f"short-{number}", limit_bytes=4 * MIB)
        (pid,) = maker.do("storm", procs=[cgroup.procs], count=1, bytes=8 * MIB)
        truth[pid] = cgroup.path
        cgroup.remove()
    return truth


def recorded(node: Node, truth: dict[int, str]) -> dict[int, str | None]:
    """Pid -> cgroup, once all are recorded and what may still be found is."""
    deadline = time.monotonic() + 60
    while True:
        kills = [kill for kill in node.all_kills() if kill["victims"] and kill["victims"][0]["pid"] in truth]
        if len(kills) >= len(truth) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    time.sleep(4)
    return {kill["victims"][0]["pid"]: kill["taskMemcg"] for kill in node.all_kills() if kill["victims"]}


@contextlib.contextmanager
def tracefs() -> Iterator[Path]:
    found = Tracefs.find()
    try:
        yield found.root
    finally:
        for name in INSTANCES:
            remove_instance(found.root, name)
        found.close()


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Keep the agent from the trace."""
    instances = [TraceInstance(root, name, events={}, buffer_kib=16) for name in INSTANCES]
    try:
        yield
    finally:
        for one in instances:
            one.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
