"""Which of the limits above a process can have killed it, where the log does not say.

A charge goes to the victim's cgroup and to every ancestor, and fails at one that has a limit
(try_charge_memcg(), mm/memcontrol.c). So among the victim's cgroup and its parents, the only one with a limit
is the one that was reached. Among several it is the one that has failed charges since a moment before the
kill, if no other has. A limit that the usage never came near cannot be the one.
"""

from collections.abc import Mapping
from typing import NamedTuple

from .hierarchy import CgroupHierarchy, keyed_number, limit_v1, single_number

SLACK_BYTES = 64 * 4096
"""An allocation that the OOM killer is called for is smaller than this (at most 8 pages in a cgroup), so the
usage was nearer than this to the limit that it failed at."""


class Limited(NamedTuple):
    """A cgroup with a memory limit."""

    path: str
    limit_bytes: int
    failures: int | None
    """How often the limit stopped a charge of this cgroup or one below it. v1: memory.failcnt and, with
    swap accounting, memory.memsw.failcnt, reclaim that helped included; v2: `oom` of memory.events.local
    (since 5.2), which counts only what reclaim could not help. None where this kernel does not count."""
    peak_bytes: int | None = None
    """Highest usage so far: memory.max_usage_in_bytes, memory.peak (since 5.19). None where this kernel does
    not say."""


def limits_of(hierarchy: CgroupHierarchy, path: str) -> tuple[Limited, ...]:
    """Return those of the cgroup and its visible parents that have a limit, the cgroup itself first; () when
    it is gone. Limits outside this process's cgroup namespace are not seen."""
    if hierarchy.inode(path) is None:
        return ()
    found = []
    parts = [part for part in path.split("/") if part]
    for length in range(len(parts), 0, -1):
        limited = _limited(hierarchy, "/" + "/".join(parts[:length]))
        if limited is not None:
            found.append(limited)
    return tuple(found)


def only_possible(
    limits: tuple[Limited, ...], *, failures_before: Mapping[str, int] | None = None
) -> Limited | None:
    """Return the limit that must have been reached, None where the counters leave it open.

    `failures_before`: path -> `failures` at some moment before the kill; 0 for one that is missing.
    """
    if len(limits) < 2:
        return limits[0] if limits else None
    before = failures_before or {}
    possible = [limit for limit in limits if _may_be(limit, before.get(limit.path, 0))]
    return possible[0] if len(possible) == 1 else None


def _may_be(limit: Limited, failures_before: int) -> bool:
    if limit.failures is None:
        return limit.peak_bytes is None or limit.peak_bytes > limit.limit_bytes - SLACK_BYTES
    # Fewer than before: another cgroup of this name, which counts from 0.
    before = failures_before if failures_before <= limit.failures else 0
    return limit.failures > before


def _limited(hierarchy: CgroupHierarchy, path: str) -> Limited | None:
    folder = hierarchy.folder(path)
    if hierarchy.version == 2:
        limit = single_number(folder / "memory.max")
        if limit is None:
            return None
        failures = keyed_number(folder / "memory.events.local", "oom")
        return Limited(path, limit, failures, single_number(folder / "memory.peak"))
    limit = limit_v1(single_number(folder / "memory.limit_in_bytes"))
    if limit is None:
        return None
    failures = single_number(folder / "memory.failcnt")
    if failures is not None:
        failures += single_number(folder / "memory.memsw.failcnt") or 0
    return Limited(path, limit, failures, single_number(folder / "memory.max_usage_in_bytes"))
