"""How many kills of each cgroup the stored kills account for.

Stored with the kills, so that after a restart the cgroup counters (kernel/cgroup/oom_counters) show what
happened while no agent ran. A count that is too low or too high is never a wrong answer: the counters then
disagree with the log, and the cgroup of the kills between stays open.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.oom_counters import CountedKills

REMEMBERED_CGROUPS = 4096
"""Beyond so many, those are forgotten whose last kill is the longest ago."""


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

    def explain(self, path: str, *, kills: int = 1) -> Explained:
        """Account for kills in this cgroup; returns what must be stored for it."""
        key = counter_key(path)
        inode = self._hierarchy.inode(path)
        known = self._explained.pop(key, Explained(0, None))
        if inode and known.inode and inode != known.inode:
            known = Explained(0, None)
        self._explained[key] = Explained(known.kills + kills, inode or known.inode)
        return self._explained[key]

    def replace(self, path: str, counted: CountedKills) -> Explained:
        """Account for all that the cgroup has counted; returns what must be stored for it."""
        key = counter_key(path)
        self._explained.pop(key, None)
        self._explained[key] = Explained(counted.kills, counted.inode)
        return self._explained[key]

    def prune(self) -> Iterable[str] | None:
        """Forget the cgroups that were killed in the longest ago, when many have gathered; returns the keys
        that are left, None where nothing was forgotten."""
        if len(self._explained) < 2 * REMEMBERED_CGROUPS:
            return None
        self._explained = dict([*self._explained.items()][-REMEMBERED_CGROUPS:])
        return self._explained.keys()


def first_counters(hierarchy: CgroupHierarchy) -> dict[str, Explained]:
    """Return everything counted until now, as explained: the account begins here."""
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
