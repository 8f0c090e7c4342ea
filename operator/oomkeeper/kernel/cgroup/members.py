"""Find the processes in a container's or a systemd unit's cgroups, and those that are in no container.

Containers and units are found by their folders' names in the hierarchy, not by what /proc/<pid>/cgroup
says: its paths are relative to the reader's cgroup namespace, so that to an agent in a pod its neighbour is
`/../../pod<uid>/<id>`.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from ..bounded_read import read_text
from .hierarchy import PIDS_BYTES
from .kubepods import parse_own_cgroup
from .walk import walk_cgroups

_CONTAINER = re.compile(r"[0-9a-f]{64}")
MAX_INNER_CGROUPS = 4096
"""Of one container or unit: its owner may make more."""
_NOT_HOST = re.compile(r"kubepods|[0-9a-f]{64}")


def processes_below(folder: Path, *, containers: bool = True) -> Iterator[int]:
    """Yield the pids in a cgroup and those below it, as far as our pid namespace has them; without
    `containers`, what looks like a container or a pod below it is left out."""
    for where in walk_cgroups(folder, max_cgroups=MAX_INNER_CGROUPS):
        if not containers and _NOT_HOST.search(str(where.relative_to(folder))):
            continue
        try:
            text = read_text(where / "cgroup.procs", max_bytes=PIDS_BYTES)
        except OSError:
            continue
        yield from (pid for pid in map(int, text.split()) if pid)


class ContainerFolders:
    """Finds the containers' cgroups. With every cgroup driver and runtime the folder's name holds the
    container's id."""

    def __init__(self, mount: Path) -> None:
        self._mount = mount
        self._known: dict[str, Path] = {}
        self._sought: frozenset[str] = frozenset()

    def find(self, ids: Collection[str]) -> dict[str, Path]:
        """Return id -> folder, for those that have one. Walks the hierarchy only for an id that was not
        sought the last time, or whose folder is gone."""
        there = {one: folder for one, folder in self._known.items() if one in ids and folder.is_dir()}
        missing = set(ids) - there.keys()
        if missing - self._sought or self._known.keys() & missing:
            there |= self._walk(missing)
        self._known, self._sought = there, frozenset(ids)
        return dict(there)

    def look_again(self) -> None:
        """Make the next find() walk for every id that it does not know."""
        self._sought = frozenset()

    def _walk(self, ids: set[str]) -> dict[str, Path]:
        """Return the folders of these containers. What is below a container is its own affair: it may have
        made cgroups there with whatever names."""
        found: dict[str, Path] = {}
        for folder in walk_cgroups(self._mount, descend=lambda one: _CONTAINER.search(one.name) is None):
            if not _CONTAINER.search(folder.name):
                continue
            kube = parse_own_cgroup(f"/{folder.relative_to(self._mount)}")
            if kube is not None and kube.segment == "container" and kube.container_id in ids:
                found.setdefault(kube.container_id, folder)
        return found


def unit_folders(cgroup_root: Path, unit: str) -> list[Path]:
    """Return the cgroups of a systemd unit: in systemd's own hierarchy on cgroup v1, in the unified one on
    v2.

    Only slices lead to a unit of the system's manager. A user's own manager, below
    `user@<uid>.service`, can give its units any name.
    """
    root = next(
        (
            cgroup_root / name
            for name in ("systemd", "unified")
            if (cgroup_root / name / "cgroup.procs").exists()
        ),
        cgroup_root,
    )
    return [
        folder
        for folder in walk_cgroups(root, descend=lambda one: one == root or _is_host_slice(one.name))
        if folder.name == unit and folder != root and _NOT_HOST.search(unit) is None
    ]


def _is_host_slice(name: str) -> bool:
    return name.endswith(".slice") and _NOT_HOST.search(name) is None


class _InitPlace(NamedTuple):
    """Where the host's first process is in one hierarchy."""

    prefix: str = ""
    """Up to the host's own container, where the host is one and its cgroup namespace does not hide it."""
    outside: bool = False
    """Outside of the cgroup namespace of this process: what is inside of it is in our own container."""


class HostProcesses:
    """Tells the host's own processes from those in containers, by /proc/<pid>/cgroup."""

    def __init__(self, *, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._init = {
            hierarchy: _InitPlace(_container_part(path), path.startswith("/.."))
            for hierarchy, path in _paths(proc / "1" / "cgroup").items()
        }

    def has(self, pid: int) -> bool:
        """Return whether the process is in no container; False when it is gone."""
        paths = _paths(self._proc / str(pid) / "cgroup")
        return bool(paths) and all(self._outside(path, hierarchy) for hierarchy, path in paths.items())

    def _outside(self, path: str, hierarchy: str) -> bool:
        init = self._init.get(hierarchy, _InitPlace())
        if init.outside and not path.startswith("/.."):
            return False
        return not _NOT_HOST.search(path.removeprefix(init.prefix))


def _container_part(path: str) -> str:
    """Return the path up to the innermost part that is a container's or a pod's; empty where none is."""
    parts = path.split("/")
    inside = [at for at, part in enumerate(parts) if _NOT_HOST.search(part)]
    return "/".join(parts[: inside[-1] + 1]) if inside else ""


def _paths(file: Path) -> dict[str, str]:
    """Return the path in each hierarchy; nothing when the process is gone."""
    try:
        lines = read_text(file).splitlines()
    except OSError:
        return {}
    return {hierarchy: path for hierarchy, _, path in (line.split(":", 2) for line in lines)}
