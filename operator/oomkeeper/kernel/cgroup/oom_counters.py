"""Each memory cgroup's own count of the processes in it that the OOM killer killed.

v1: `oom_kill` of memory.oom_control (since 4.13). v2: `oom_kill` of memory.events.local (since 5.2). The same
line of v2's memory.events counts a cgroup and all below it (cgroup-v2.rst), so a cgroup whose figure there
did not change is not entered; v1 has no such sum, and every cgroup is read.

The kernel raises the counter before it prints `Killed process` (mm/oom_kill.c, __oom_kill_process()), so a
kill in the log is in the counter as well.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..bounded_read import read_text
from .hierarchy import CgroupHierarchy

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
        self._mount = os.fsencode(hierarchy.mount) + b"/"
        self._own = b"memory.events.local" if hierarchy.version == 2 else b"memory.oom_control"
        self._sums: dict[bytes, CountedKills] | None = {} if _has_sums(hierarchy) else None
        self._latest: dict[str, CountedKills] = {}

    def read(self, path: str) -> CountedKills | None:
        """Return one cgroup's count; None where the cgroup is gone or this kernel does not count."""
        folder = os.fsencode(path.lstrip("/"))
        try:
            inode = Path(os.fsdecode(self._mount + folder)).stat().st_ino
        except OSError:
            return None
        return _count(self._mount + folder, self._own, inode)

    def read_all(self) -> dict[str, CountedKills]:
        """Return the count of every cgroup with kills, by path; of one that was removed, the last known.

        Costs one or two file reads per cgroup; on v2 only below cgroups with kills since the last call.
        """
        if len(self._latest) > REMEMBERED_CGROUPS:
            self._latest.clear()
            if self._sums is not None:
                self._sums.clear()
        root = self.read("/")
        if root is not None:
            self._latest["/"] = root
        self._read_below(self._mount)
        return dict(self._latest)

    def _read_below(self, folder: bytes) -> None:
        for name, inode in _children(folder):
            child = folder + name
            if self._sums is not None:
                now = _count(child, b"memory.events", inode)
                if now is not None and now == self._sums.get(child):
                    continue
                if now is not None:
                    self._sums[child] = now
            counted = _count(child, self._own, inode)
            if counted is not None and counted.kills:
                self._latest["/" + os.fsdecode(child[len(self._mount) :])] = counted
            self._read_below(child + b"/")


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


def _count(folder: bytes, file: bytes, inode: int) -> CountedKills | None:
    try:
        fd = os.open(folder + b"/" + file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(fd, 4096)
    except OSError:  # removed in between
        return None
    finally:
        os.close(fd)
    for line in text.splitlines():
        if line.startswith(_KEY) and line[len(_KEY) :].isdigit():
            return CountedKills(int(line[len(_KEY) :]), inode)
    return None


def _children(folder: bytes) -> list[tuple[bytes, int]]:
    try:
        with os.scandir(folder) as entries:
            return [(one.name, one.inode()) for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
