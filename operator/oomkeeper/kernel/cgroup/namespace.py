"""Paths of /proc/PID/cgroup as the mounted hierarchy has them.

/proc/PID/cgroup is written relative to the reader's cgroup namespace (cgroup_namespaces(7)): an agent in a
pod sees its neighbour as `/../../pod<uid>/<id>`, while the host's cgroup file system, which it has mounted,
begins at the root.
"""

import os
import posixpath

from ..bounded_read import read_text
from .hierarchy import CgroupHierarchy
from .walk import walk_cgroups


class CgroupNamespace:
    """The cgroup namespace of this process."""

    def __init__(self, hierarchy: CgroupHierarchy) -> None:
        self.hierarchy = hierarchy
        self._root: str | None = None

    def path_of(self, pid: int) -> str | None:
        """Return a process's memory cgroup from the mounted hierarchy's root, see CgroupHierarchy.path_of();
        None for one that this process cannot tell."""
        path = self.hierarchy.path_of(pid)
        if path is None or not path.startswith("/.."):
            return path
        if self._root is None:
            self._root = self._find_root()
        return posixpath.normpath(self._root + path) if self._root else None

    def _find_root(self) -> str:
        """Return where the namespace's root is in the mounted hierarchy: our own cgroup, less what
        /proc/self/cgroup shows of it. Empty where that is not found."""
        own = str(os.getpid())
        inside = (self.hierarchy.path_of(os.getpid()) or "/").rstrip("/")
        for folder in walk_cgroups(self.hierarchy.mount):
            try:
                if own in read_text(folder / "cgroup.procs").split():
                    path = f"/{folder.relative_to(self.hierarchy.mount)}"
                    return path.removesuffix(inside) if path.endswith(inside) else ""
            except OSError:
                continue
        return ""
