"""Which of the limits above a process can have killed it, where the log does not say.

A charge goes to the victim's cgroup and to every ancestor, and fails at one that has a limit
(try_charge_memcg(), mm/memcontrol.c). So among the victim's cgroup and its parents, the only one with a limit
is the one that was met; among several, the one whose own counter of failed charges has moved.
"""

from typing import NamedTuple

from .hierarchy import CgroupHierarchy, keyed_number, single_number


class Limited(NamedTuple):
    """A cgroup with a memory limit."""

    path: str
    limit_bytes: int
    failures: int | None
    """How often the limit stopped a charge of this cgroup or one below it. v1: memory.failcnt and, with
    swap accounting, memory.memsw.failcnt, reclaim that helped included; v2: `oom` of memory.events.local
    (since 5.2), which counts only what reclaim could not help. None where this kernel does not count."""


def limits_of(hierarchy: CgroupHierarchy, path: str) -> tuple[Limited, ...]:
    """Those of the cgroup and its visible parents that have a limit, the cgroup itself first; () when it is
    gone. Limits outside this process's cgroup namespace are not seen."""
    if hierarchy.memory(path) is None:
        return ()
    found = []
    parts = [part for part in path.split("/") if part]
    for length in range(len(parts), 0, -1):
        level = "/" + "/".join(parts[:length])
        memory = hierarchy.memory(level)
        if memory is not None and memory.limit_bytes is not None:
            found.append(Limited(level, memory.limit_bytes, _failures(hierarchy, level)))
    return tuple(found)


def only_possible(limits: tuple[Limited, ...]) -> Limited | None:
    """The limit that must have been met, None where the counters leave it open."""
    if len(limits) < 2:
        return limits[0] if limits else None
    if any(limit.failures is None for limit in limits):
        return None
    met = [limit for limit in limits if limit.failures]
    return met[0] if len(met) == 1 else None


def _failures(hierarchy: CgroupHierarchy, path: str) -> int | None:
    folder = hierarchy.folder(path)
    if hierarchy.version == 2:
        return keyed_number(folder / "memory.events.local", "oom")
    memory = single_number(folder / "memory.failcnt")
    return None if memory is None else memory + (single_number(folder / "memory.memsw.failcnt") or 0)
