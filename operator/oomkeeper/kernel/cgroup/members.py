"""Which processes are in a container's or a systemd unit's cgroups, and which belong to no container at all.

Containers and units are found by their folders' names in the hierarchy, not by what /proc/<pid>/cgroup
says: its paths are relative to the reader's cgroup namespace, so that an agent in a pod sees its neighbour as
`/../../pod<uid>/<id>`.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from ..bounded_read import read_text
from .hierarchy import PIDS_BYTES
from .kubepods import parse_kube_cgroup

_CONTAINER = re.compile(r"[0-9a-f]{64}")
_NOT_HOST = re.compile(r"kubepods|[0-9a-f]{64}")


def processes_below(folder: Path, *, containers: bool = True) -> Iterator[int]:
    """Pids in a cgroup and all below it, as far as our pid namespace has them; without `containers`, what
    looks like a container or a pod below it is left out."""
    for where, inner, _ in os.walk(folder):
        if not containers:
            inner[:] = [name for name in inner if not _NOT_HOST.search(name)]
        try:
            text = read_text(Path(where) / "cgroup.procs", max_bytes=PIDS_BYTES)
        except OSError:
            continue
        yield from (pid for pid in map(int, text.split()) if pid)


class ContainerFolders:
    """Where the containers' cgroups are. Whatever the cgroup driver and the runtime, the folder's name holds
    the container's id."""

    def __init__(self, mount: Path) -> None:
        self._mount = mount
        self._known: dict[str, Path] = {}
        self._sought: frozenset[str] = frozenset()

    def find(self, ids: Collection[str]) -> dict[str, Path]:
        """Id -> folder, for those that have one. Walks the hierarchy only for an id that was not sought the
        last time, or whose folder is gone."""
        there = {one: folder for one, folder in self._known.items() if one in ids and folder.is_dir()}
        missing = set(ids) - there.keys()
        if missing - self._sought or self._known.keys() & missing:
            there |= self._walk(missing)
        self._known, self._sought = there, frozenset(ids)
        return dict(there)

    def look_again(self) -> None:
        """Have the next find() walk for whatever it does not know."""
        self._sought = frozenset()

    def _walk(self, ids: set[str]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for where, inner, _ in os.walk(self._mount):
            for name in list(inner):
                if not _CONTAINER.search(name):
                    continue
                path = Path(where, name)
                kube = parse_kube_cgroup(f"/{path.relative_to(self._mount)}")
                if kube is not None and kube.segment == "container" and kube.container_id in ids:
                    found[kube.container_id] = path
                    inner.remove(name)
        return found


def unit_folders(cgroup_root: Path, unit: str) -> list[Path]:
    """Cgroups of a systemd unit: in systemd's own hierarchy on cgroup v1, in the unified one on v2.

    Only slices lead to a unit of the system's manager. A user's manager names its units as it likes, below
    `user@<uid>.service`, and does not make them sshd.service by that.
    """
    root = next(
        (
            cgroup_root / name
            for name in ("systemd", "unified")
            if (cgroup_root / name / "cgroup.procs").exists()
        ),
        cgroup_root,
    )
    found = []
    for where, inner, _ in os.walk(root):
        found += [Path(where, name) for name in inner if name == unit]
        inner[:] = [name for name in inner if name.endswith(".slice") and not _NOT_HOST.search(name)]
    return [folder for folder in found if "kubepods" not in str(folder.relative_to(root))]


class HostProcesses:
    """Tells the host's own processes from those in containers, by /proc/<pid>/cgroup."""

    def __init__(self, *, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        paths = _paths(proc / "1" / "cgroup") or [""]
        parts = paths[-1].split("/")
        inside = [at for at, part in enumerate(parts) if _NOT_HOST.search(part)]
        # Where this host is a container itself and its cgroup namespace does not hide it.
        self._prefix = "/".join(parts[: inside[-1] + 1]) if inside else ""
        # We are in a cgroup namespace of our own: what is not outside of it is in our container.
        self._elsewhere = any(path.startswith("/..") for path in paths)

    def has(self, pid: int) -> bool:
        """Whether the process is in no container; False when it is gone."""
        paths = _paths(self._proc / str(pid) / "cgroup")
        return bool(paths) and all(map(self._outside, paths))

    def _outside(self, path: str) -> bool:
        if self._elsewhere and not path.startswith("/.."):
            return False
        if self._prefix:
            path = path.removeprefix(self._prefix)
        return not _NOT_HOST.search(path)


def _paths(file: Path) -> list[str]:
    try:
        lines = read_text(file).splitlines()
    except OSError:
        return []
    return [line.split(":", 2)[2] for line in lines]
