"""Live processes as the kernel would rank them when the whole node is out of memory.

oom_badness() (mm/oom_kill.c) adds resident memory, swap and page tables, and oom_score_adj thousandths of RAM
and swap. /proc/PID/oom_score shows the same on a scale of its own (fs/proc/base.c, proc_oom_score()): since
5.9 (9066e5cfb73c) from 0 to 1,333 and a little more.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .bounded_read import read_bytes
from .meminfo import read_meminfo

_SCORE_SINCE = (5, 9)


class RankedProcess(NamedTuple):
    """One process that has memory of its own."""

    pid: int
    memory_bytes: int
    """Resident, swapped and page tables."""
    adj: int
    """oom_score_adj."""


def total_bytes(*, proc: Path) -> int:
    """Return the memory that oom_score_adj is relative to: RAM and swap. Raises OSError."""
    values = read_meminfo(proc=proc)
    return values.get("MemTotal", 0) + values.get("SwapTotal", 0)


def ranked_processes(*, proc: Path) -> Iterator[RankedProcess]:
    """Yield every process except init and kernel threads. One that ends while it is read is left out."""
    for folder in proc.iterdir():
        if not folder.name.isdigit() or folder.name == "1":
            continue
        try:
            memory = _memory_bytes(read_bytes(folder / "status"))
            adj = int(read_bytes(folder / "oom_score_adj"))
        except (OSError, ValueError):
            continue
        if memory is not None:
            yield RankedProcess(int(folder.name), memory, adj)


def _memory_bytes(status: bytes) -> int | None:
    """Return what a process's memory counts; None for a kernel thread and for a process that is exiting."""
    kib, found = 0, False
    for line in status.splitlines():
        name, _, rest = line.partition(b":")
        if name in (b"VmRSS", b"VmSwap", b"VmPTE"):
            found = found or name == b"VmRSS"
            kib += int(rest.split()[0])
    return kib * 1024 if found else None


def badness_bytes(memory_bytes: int, adj: int, *, total: int) -> int | None:
    """Return the points, in bytes; None for a process that is never killed."""
    return None if adj <= -1000 else memory_bytes + adj * (total // 1000)


def oom_score(badness: int | None, *, total: int, release: tuple[int, int]) -> int:
    """Return /proc/PID/oom_score of a process with this badness. `release`: of the kernel."""
    if badness is None or total <= 0:
        return 0
    thousandths = int(badness * 1000 / total)
    if release < _SCORE_SINCE:
        return max(0, thousandths)
    return (1000 + thousandths) * 2 // 3
