"""Each memory cgroup's own count of the processes in it that the OOM killer killed.

v1: `oom_kill` of memory.oom_control (since 4.13). v2: `oom_kill` of memory.events.local (since 5.2). The same
line of v2's memory.events counts a cgroup and all below it (cgroup-v2.rst), so a cgroup whose figure there
did not change is not entered; v1 has no such sum, and every cgroup is read.

The kernel raises the counter before it prints `Killed process` (mm/oom_kill.c, __oom_kill_process()), so a
kill in the log is in the counter as well.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..bounded_read import read_bytes, read_text
from .hierarchy import CgroupHierarchy
from .walk import walk_cgroups

REMEMBERED_CGROUPS = 8192
"""Cgroups with kills, most of them removed, before their counts are read anew."""

_KEY = b"oom_kill "


class CountedKills(NamedTuple):
    """One cgroup's own count at one moment."""

    kills: int
    inode: int
    """Of the cgroup's folder. Another inode under the same path is another cgroup, which counted from 0."""


class OOMKillCounters:
    """Reads the counters of one hierarchy. Not for use by several threads at the same time."""

    def __init__(self, hierarchy: CgroupHierarchy) -> None:
        self._hierarchy = hierarchy
        self._own = "memory.events.local" if hierarchy.version == 2 else "memory.oom_control"
        self._has_sums = _has_sums(hierarchy)
        self._sums: dict[Path, CountedKills] = {}
        self._latest: dict[str, CountedKills] = {}

    def read(self, path: str) -> CountedKills | None:
        """Return one cgroup's count; None where the cgroup is gone or this kernel does not count."""
        return _count(self._hierarchy.folder(path), self._own)

    def read_all(self) -> dict[str, CountedKills]:
        """Return the count of every cgroup with kills, by path; of one that was removed, the last known.

        Costs one or two file reads per cgroup; on v2 only below cgroups with kills since the last call.
        Leaves out what is beyond the bounds of walk.py.
        """
        if len(self._latest) > REMEMBERED_CGROUPS or len(self._sums) > REMEMBERED_CGROUPS:
            self._latest.clear()
            self._sums.clear()
        mount = self._hierarchy.mount
        for folder in walk_cgroups(mount, descend=self._may_have_changed_below):
            counted = _count(folder, self._own)
            if counted is not None and counted.kills:
                path = str(folder)[len(str(mount)) :]
                self._latest[path or "/"] = counted
        return dict(self._latest)

    def _may_have_changed_below(self, folder: Path) -> bool:
        if not self._has_sums:
            return True
        now = _count(folder, "memory.events")
        if now is None:  # the root has no such file
            return True
        before = self._sums.get(folder)
        self._sums[folder] = now
        return now != before


def known_kills(known: Mapping[str, CountedKills], path: str, inode: int) -> int:
    """Return what is known of the cgroup that has this path now; 0 for one not known under this inode."""
    before = known.get(path)
    return before.kills if before is not None and before.inode in (inode, 0) else 0


def _has_sums(hierarchy: CgroupHierarchy) -> bool:
    """Return whether memory.events counts what is below a cgroup as well: on v2, unless it is mounted with
    memory_localevents."""
    if hierarchy.version != 2:
        return False
    try:
        mounts = read_text(hierarchy.proc / "mounts").splitlines()
    except OSError:
        return False
    return not any(" cgroup2 " in line and "memory_localevents" in line for line in mounts)


def _count(folder: Path, file: str) -> CountedKills | None:
    try:
        text = read_bytes(folder / file)
        inode = folder.stat().st_ino
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(_KEY) and line[len(_KEY) :].isdigit():
            return CountedKills(int(line[len(_KEY) :]), inode)
    return None
