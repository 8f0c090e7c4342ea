"""Which cgroup's kill counter moved: the witness for kills whose report the kernel's rate limit left out.

mm/oom_kill.c prints at most 10 headers (with cgroup paths) per 5 s, and one `Killed process` line per kill,
which names no cgroup. The victim's own cgroup counts each of its kills (memory.oom_control on v1,
memory.events.local on v2) just before the line is printed, so what moved and is not yet explained by a
report belongs to the headerless ones. What is explained is kept in the store, so that this holds for kills
made while no agent ran as well.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy

PRUNE_ABOVE = 1000
"""So many cgroups are remembered before those that are gone are forgotten."""


class Explained(NamedTuple):
    """How many kills of one cgroup are accounted for."""

    kills: int
    inode: int | None
    """Of the cgroup's folder: one made again under the same name starts to count at 0. None: not known."""


class CgroupKillCounters:
    """Counts per cgroup as far as they are explained."""

    def __init__(self, hierarchy: CgroupHierarchy, *, explained: Mapping[str, Explained]) -> None:
        """`explained` by `counter_key`, as the store has it."""
        self._hierarchy = hierarchy
        self._explained = dict(explained)
        self._seen: dict[str, int] = {}
        self._prune_above = PRUNE_ABOVE

    def explain(self, path: str, *, kills: int = 1) -> Explained:
        """Kills in this cgroup that a report has accounted for; gives what is to be stored for it."""
        key = counter_key(path)
        inode = self._hierarchy.inode(path)
        known = self._known(key, inode)
        self._explained[key] = Explained(known.kills + kills, inode or known.inode)
        return self._explained[key]

    def find_moved(self) -> str | None:
        """A cgroup whose counter holds a kill that nothing explains yet; None where there is none."""
        # A counter only grows: what was seen unexplained stays so, and one walk serves a whole storm.
        return self._unexplained() or self._look_again()

    def _look_again(self) -> str | None:
        self._seen = self._hierarchy.all_oom_kills()
        return self._unexplained()

    def _unexplained(self) -> str | None:
        for path, count in self._seen.items():
            key, inode = counter_key(path), self._hierarchy.inode(path)
            if inode is not None and count > self._known(key, inode).kills:
                return path
        return None

    def _known(self, key: str, inode: int | None) -> Explained:
        known = self._explained.get(key, Explained(0, None))
        return Explained(0, None) if inode and known.inode and inode != known.inode else known

    def prune(self) -> Iterable[str] | None:
        """Forget the cgroups that are gone, when many have gathered; gives the keys that are left, None where
        nothing was done."""
        if len(self._explained) < self._prune_above:
            return None
        there = {counter_key(path) for path in self._hierarchy.all_oom_kills()}
        self._explained = {key: known for key, known in self._explained.items() if key in there}
        self._prune_above = 2 * len(self._explained) + PRUNE_ABOVE
        return self._explained.keys()


def first_counters(hierarchy: CgroupHierarchy) -> dict[str, Explained]:
    """Everything counted until now, as explained: the account begins here."""
    return {
        counter_key(path): Explained(count, hierarchy.inode(path))
        for path, count in hierarchy.all_oom_kills().items()
    }


def counter_key(path: str) -> str:
    """A path as both the log (the host's view) and this namespace's cgroup file system spell its end."""
    at = path.find("kubepods")
    path = path[at:] if at >= 0 else path
    # A name that is no UTF-8 is spelled as the parser of the log spells it.
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
