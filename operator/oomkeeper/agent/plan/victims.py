"""Which processes the kernel would kill first when the node is out of memory, before and after a change of
oom_score_adj."""

import heapq
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from oomkeeper.diagnosis.whatif.formula import formula_of
from oomkeeper.kernel.bounded_read import read_bytes
from oomkeeper.kernel.oomrank import RankedProcess, badness_bytes, oom_score, ranked_processes, total_bytes
from oomkeeper.kernel.report.text import readable
from oomkeeper.model.escaping import printable
from oomkeeper.resources.oomnode import PlannedProcess

TOP = 10


class _Entry(NamedTuple):
    """Sorts by points, then as the kernel does: of equals the one found last (f168a9a54ec3)."""

    points: int
    pid: int
    process: RankedProcess
    adj_after: int


def victims(
    changes: Mapping[int, int], *, proc: Path, release: str, where: Callable[[int], str | None]
) -> tuple[PlannedProcess, ...]:
    """Return the first TOP processes of either order. `changes`: pid -> oom_score_adj after the change;
    `where`: says in which pod or unit a process is. Raises OSError where memory cannot be read."""
    total, kernel = total_bytes(proc=proc), formula_of(release).release
    now: list[_Entry] = []
    then: list[_Entry] = []
    for process in ranked_processes(proc=proc):
        adj = changes.get(process.pid, process.adj)
        _offer(now, process, process.adj, adj, total)
        _offer(then, process, adj, adj, total)
    ranks_now = {one.pid: rank for rank, one in enumerate(sorted(now, reverse=True), start=1)}
    ranks_then = {one.pid: rank for rank, one in enumerate(sorted(then, reverse=True), start=1)}
    entries = {one.pid: one for one in (*now, *then)}
    found = []
    for pid, entry in entries.items():
        try:
            comm = printable(readable(read_bytes(proc / str(pid) / "comm").removesuffix(b"\n")))
        except OSError:
            comm = "?"  # it has ended since
        process = entry.process
        before = badness_bytes(process.memory_bytes, process.adj, total=total)
        after = badness_bytes(process.memory_bytes, entry.adj_after, total=total)
        found.append(
            PlannedProcess(
                pid=pid,
                comm=comm,
                where=where(pid),
                memory_bytes=process.memory_bytes,
                adj_before=process.adj,
                adj_after=entry.adj_after,
                score_before=oom_score(before, total=total, release=kernel),
                score_after=oom_score(after, total=total, release=kernel),
                rank_before=ranks_now.get(pid),
                rank_after=ranks_then.get(pid),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.rank_after or TOP + 1, one.rank_before or 0)))


def _offer(heap: list[_Entry], process: RankedProcess, adj: int, adj_after: int, total: int) -> None:
    points = badness_bytes(process.memory_bytes, adj, total=total)
    if points is None:
        return
    entry = _Entry(points, process.pid, process, adj_after)
    if len(heap) < TOP:
        heapq.heappush(heap, entry)
    elif entry > heap[0]:
        heapq.heapreplace(heap, entry)
