"""The demo's memory cgroup, in the hierarchy that has the memory controller."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy

_PREFIX = "oomkeeper-demo-"


@dataclass(frozen=True, kw_only=True)
class DemoCgroup:
    """A cgroup with a limit."""

    hierarchy: CgroupHierarchy
    path: str
    """Path in the hierarchy: `/oomkeeper-demo-1234`."""
    limit_file: Path

    @property
    def folder(self) -> Path:
        return self.hierarchy.folder(self.path)

    def add(self, pid: int) -> None:
        """Move a process in."""
        (self.folder / "cgroup.procs").write_text(str(pid))


def why_not(hierarchy: CgroupHierarchy) -> str | None:
    """Return why no cgroup with a memory limit can be created here, None if one can."""
    mount = hierarchy.mount
    if hierarchy.version == 2 and not (mount / "cgroup.controllers").exists():
        return f"no memory cgroup is mounted at {mount}"
    if not os.access(mount, os.W_OK):
        return f"{mount} is not writable (a container without privileges, or not root)"
    if hierarchy.version == 2 and "memory" not in (mount / "cgroup.controllers").read_text().split():
        return f"the memory controller is not among {mount}/cgroup.controllers"
    return None


@contextmanager
def limited_cgroup(hierarchy: CgroupHierarchy, *, limit_bytes: int) -> Iterator[DemoCgroup]:
    """Create a cgroup limited to `limit_bytes` without swap; remove it at the end, with those of older runs.

    Raises OSError where the hierarchy cannot be written after all.
    """
    _sweep(hierarchy)
    control = hierarchy.mount / "cgroup.subtree_control"
    enabled_here = False
    if hierarchy.version == 2 and "memory" not in control.read_text().split():
        control.write_text("+memory")
        enabled_here = True
    folder = folder_of(os.getpid(), hierarchy=hierarchy)
    try:
        folder.mkdir()
        limit_file = folder / ("memory.limit_in_bytes" if hierarchy.version == 1 else "memory.max")
        limit_file.write_text(str(limit_bytes))
        # With swap, the kernel would swap memory out before it kills.
        swap, nothing = ("memory.swappiness", "0") if hierarchy.version == 1 else ("memory.swap.max", "0")
        with suppress(FileNotFoundError):  # a kernel without swap accounting
            (folder / swap).write_text(nothing)
        yield DemoCgroup(hierarchy=hierarchy, path=f"/{folder.name}", limit_file=limit_file)
    finally:
        remove(folder)
        if enabled_here:
            control.write_text("-memory")


def _sweep(hierarchy: CgroupHierarchy) -> None:
    """Remove the empty cgroups of demos that were killed."""
    for folder in hierarchy.mount.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # one that has processes belongs to a demo that runs
            folder.rmdir()


def folder_of(pid: int, *, hierarchy: CgroupHierarchy) -> Path:
    """Return the folder of the cgroup that the demo with this pid creates."""
    return hierarchy.mount / f"{_PREFIX}{pid}"


def remove(folder: Path, *, seconds: float = 5.0) -> None:
    """Remove a cgroup whose processes are ending, if it exists. Raises OSError after `seconds`."""
    deadline = time.monotonic() + seconds
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            # A process leaves its cgroup shortly after it has disappeared from /proc.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
