"""Which cgroup's kill counter moved: the witness for kills whose report the kernel's rate limit left out.

mm/oom_kill.c prints at most 10 headers (with cgroup paths) per 5 s, and one `Killed process` line per kill,
which names no cgroup. The victim's own cgroup counts each of its kills (memory.oom_control on v1,
memory.events.local on v2), so what moved and is not yet explained by a report belongs to the headerless
ones.
"""

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy


class CounterBook:
    """Counts per cgroup as far as they are explained."""

    def __init__(self, hierarchy: CgroupHierarchy) -> None:
        self._hierarchy = hierarchy
        self._explained = {_key(path): count for path, count in hierarchy.all_oom_kills().items()}

    def explain(self, path: str, *, kills: int = 1) -> None:
        """Kills in this cgroup that a report has accounted for."""
        key = _key(path)
        self._explained[key] = self._explained.get(key, 0) + kills

    def take_moved(self) -> str | None:
        """A cgroup whose counter holds a kill that nothing explains yet, and explain one of them; None
        where there is none."""
        for path, count in self._hierarchy.all_oom_kills().items():
            key = _key(path)
            if count > self._explained.get(key, 0):
                self._explained[key] = self._explained.get(key, 0) + 1
                return path
        return None


def _key(path: str) -> str:
    """A path as both the log (host's view) and the cgroup file system (this namespace's view) spell its
    end."""
    at = path.find("kubepods")
    return path[at:] if at >= 0 else path
