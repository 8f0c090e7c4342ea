"""The cgroup under which the kubelet puts every pod, in all hierarchies of cgroup v1 or in the one of v2."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

NAME = "kubepods"
"""As on a production node with the cgroupfs driver, so that paths in the kernel's log are the usual ones."""


def roots() -> list[Path]:
    """The pods' cgroup wherever it exists."""
    mounted = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    points = {Path(fields[1]) for fields in mounted if fields[2] in ("cgroup", "cgroup2")}
    return sorted(point / NAME for point in points if (point / NAME).is_dir())


def pids(*, containers: frozenset[str] | None = None) -> set[int]:
    """Processes in the pods' cgroups; only in those of `containers` (ids) when given."""
    found: set[int] = set()
    for root in roots():
        for cgroup in _bottom_up(root):
            if containers is not None and containers.isdisjoint(cgroup.parts):
                continue
            try:
                found.update(int(pid) for pid in (cgroup / "cgroup.procs").read_text().split())
            except OSError:
                continue  # removed while we looked
    return found


def remove(*, seconds: float = 5.0) -> list[str]:
    """Remove the pods' cgroups unless other processes are in them; return the remaining ones."""
    deadline = time.monotonic() + seconds
    while True:
        failures = [f"cgroup {cgroup}: {error}" for root in roots() for cgroup, error in _remove_tree(root)]
        # A killed process leaves its cgroup a little after it is gone from /proc.
        if not failures or time.monotonic() > deadline:
            return failures
        time.sleep(0.1)


def _remove_tree(root: Path) -> Iterator[tuple[Path, OSError]]:
    for cgroup in _bottom_up(root):
        try:
            cgroup.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            yield cgroup, error


def _bottom_up(root: Path) -> list[Path]:
    # os.walk passes over what vanishes while it looks; Path.rglob raises.
    return sorted((Path(folder) for folder, _, _ in os.walk(root)), reverse=True)
