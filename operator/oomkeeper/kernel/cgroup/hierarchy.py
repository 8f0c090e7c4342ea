"""Find the memory controller's cgroups, the cgroup of a process, and a cgroup's limits and counters.

Files: Documentation/admin-guide/cgroup-v1/memory.rst and Documentation/admin-guide/cgroup-v2.rst. The files
of a dead container vanish within about a second, so every reader here returns None for what is gone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..bounded_read import read_text
from .walk import walk_cgroups

PIDS_BYTES = 64 << 20
"""Limit for a cgroup.procs: 8 bytes for each of at most 4 Mi processes (PID_MAX_LIMIT)."""
UNLIMITED_V1_BYTES = 1 << 60
"""cgroup v1 prints PAGE_COUNTER_MAX pages for "no limit": far above this, whatever the page size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupMemory:
    """One memory cgroup's limit and usage, in bytes; None where unlimited or not printed by this version."""

    limit_bytes: int | None
    usage_bytes: int | None
    peak_bytes: int | None
    swap_limit_bytes: int | None
    """v2: swap alone; v1: memory+swap."""
    oom_kills: int | None
    """Processes of this very cgroup that the OOM killer killed (v1 since 4.13: memory.oom_control; v2:
    memory.events.local, or memory.events with its descendants' before 5.12)."""
    oom_group: bool


@dataclass(frozen=True, slots=True)
class CgroupHierarchy:
    """The hierarchy that carries the memory controller."""

    mount: Path
    version: int
    proc: Path

    @classmethod
    def find(cls, *, root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> Self:
        """Return version 2 where `root` itself is cgroup2 with the memory controller, else version 1 at
        root/memory.

        A host in "hybrid" mode keeps memory in v1. Where neither is mounted the result is v2 with nothing
        in it.
        """
        if (root / "memory" / "memory.limit_in_bytes").exists() or (
            root / "memory" / "memory.usage_in_bytes"
        ).exists():
            return cls(mount=root / "memory", version=1, proc=proc)
        return cls(mount=root, version=2, proc=proc)

    def id(self) -> int:
        """Return the hierarchy's number, the first column of /proc/PID/cgroup: 0 for version 2, also where it
        cannot be read."""
        try:
            lines = read_text(self.proc / "self" / "cgroup").splitlines()
        except OSError:
            return 0
        for line in lines:
            number, controllers, _ = line.split(":", 2)
            if self.version == 1 and "memory" in controllers.split(","):
                return int(number)
        return 0

    def path_of(self, pid: int) -> str | None:
        """Return the memory cgroup of a process, as this process's cgroup namespace has it; None once it is
        gone.

        A task that has left its cgroup while dying reports `/`; on v2 a removed cgroup ends in `
        (deleted)`, which is cut off.
        """
        try:
            text = read_text(self.proc / str(pid) / "cgroup")
        except OSError:
            return None
        for line in text.splitlines():
            _, controllers, path = line.split(":", 2)
            if (self.version == 1 and "memory" in controllers.split(",")) or (
                self.version == 2 and controllers == ""
            ):
                return path.removesuffix(" (deleted)")
        return None

    def folder(self, path: str) -> Path:
        """Return the folder of a cgroup path."""
        return self.mount / path.lstrip("/")

    def inode(self, path: str) -> int | None:
        """Return the inode of the cgroup's folder, which no other cgroup of this boot had or will have; None
        when it is gone."""
        try:
            return self.folder(path).stat().st_ino
        except OSError:
            return None

    def processes(self, path: str) -> tuple[int, ...]:
        """Return the pids in the cgroup itself; () when it is gone."""
        try:
            text = read_text(self.folder(path) / "cgroup.procs", max_bytes=PIDS_BYTES)
        except OSError:
            return ()
        return tuple(map(int, text.split()))

    def memory(self, path: str) -> CgroupMemory | None:
        """Return the cgroup's limits and counters now; None when it is gone."""
        folder = self.folder(path)
        if not folder.is_dir():
            return None
        if self.version == 1:
            return CgroupMemory(
                limit_bytes=limit_v1(single_number(folder / "memory.limit_in_bytes")),
                usage_bytes=single_number(folder / "memory.usage_in_bytes"),
                peak_bytes=single_number(folder / "memory.max_usage_in_bytes"),
                swap_limit_bytes=limit_v1(single_number(folder / "memory.memsw.limit_in_bytes")),
                oom_kills=self.oom_kills(folder),
                oom_group=False,
            )
        return CgroupMemory(
            limit_bytes=single_number(folder / "memory.max"),
            usage_bytes=single_number(folder / "memory.current"),
            peak_bytes=single_number(folder / "memory.peak"),
            swap_limit_bytes=single_number(folder / "memory.swap.max"),
            oom_kills=self.oom_kills(folder),
            oom_group=single_number(folder / "memory.oom.group") == 1,
        )

    def oom_kills(self, folder: Path) -> int | None:
        """Return the cgroup's own count of OOM-killed processes; None where it is gone or this kernel does
        not count."""
        if self.version == 1:
            return keyed_number(folder / "memory.oom_control", "oom_kill")
        local = keyed_number(folder / "memory.events.local", "oom_kill")
        return local if local is not None else keyed_number(folder / "memory.events", "oom_kill")

    def all_oom_kills(self) -> dict[str, int]:
        """Return path -> count for every cgroup whose count is above zero. Costs one file read per cgroup,
        and leaves out what is beyond the bounds of walk.py."""
        counts = {}
        for folder in walk_cgroups(self.mount):
            count = self.oom_kills(folder)
            if count:
                counts["/" + "/".join(folder.relative_to(self.mount).parts)] = count
        return counts


def single_number(path: Path) -> int | None:
    """Return the number in a file; None for `max`, and for a file that is gone or empty."""
    try:
        return int(read_text(path))
    except (OSError, ValueError):
        return None


def limit_v1(value: int | None) -> int | None:
    """Return a limit of version 1, None for its way of writing "no limit"."""
    return None if value is None or value >= UNLIMITED_V1_BYTES else value


def keyed_number(path: Path, key: str) -> int | None:
    """Return the value of one `key value` line; None where the file or the key is not there."""
    try:
        text = read_text(path)
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return None
