"""A child takes its parent's oom_score_adj at fork (kernel/fork.c, copy_signal()): which processes have a
value of ours by birth, and what they would have without us."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oomkeeper.kernel.bounded_read import read_text
from oomkeeper.kernel.oomscore import Process, read_process

_CONTAINER = re.compile(r"[0-9a-f]{64}")


class Held(NamedTuple):
    """What the store knows of a process."""

    original: int
    applied: int
    rule: str


def relatives_of(pids: Sequence[int], held: Mapping[int, tuple[int, Held]]) -> dict[int, Held]:
    """Return what is noted of these processes, by pid, the oldest first. `held`: pid -> start time and
    row."""
    known = sorted((pid for pid in pids if pid in held), key=lambda pid: held[pid][0])
    return {pid: held[pid][1] for pid in known}


def inherited(process: Process, relatives: Mapping[int, Held]) -> int | None:
    """Return the value that a process without a note would have without oomkeeper, if it was born with a
    value of ours: its parent's original value, or where the parent is gone that of the oldest of its
    container."""
    parent = relatives.get(process.parent)
    rows = ([parent] if parent else []) + [*relatives.values()]
    return next((row.original for row in rows if row.applied == process.adj), None)


def heirs_of(parents: Mapping[int, Held], *, proc: Path) -> Iterator[tuple[Process, Held]]:
    """Yield the descendants of these processes that have our value and have stayed in their parent's
    place. A container's first process has its runtime's daemon for parent, and may have the same value by
    chance: it is in another place."""
    children: dict[int, list[Process]] = {}
    for folder in proc.iterdir():
        process = read_process(int(folder.name), proc=proc) if folder.name.isdigit() else None
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    waiting = [*parents.items()]
    seen = set(parents)
    while waiting:
        pid, row = waiting.pop()
        for child in children.get(pid, ()):
            if child.id.pid in seen or child.adj != row.applied:
                continue
            if _same_place(_cgroup(pid, proc=proc), _cgroup(child.id.pid, proc=proc)):
                seen.add(child.id.pid)
                waiting.append((child.id.pid, row))
                yield child, row


def _cgroup(pid: int, *, proc: Path) -> str | None:
    try:
        return read_text(proc / str(pid) / "cgroup")
    except OSError:
        return None


def _same_place(parent: str | None, child: str | None) -> bool:
    """Return whether both are in the same cgroups, or somewhere in the same container."""
    if parent is None or child is None:
        return False
    ids = _CONTAINER.findall(child)
    return parent == child or bool(ids and _CONTAINER.findall(parent)[-1:] == ids[-1:])
