"""The cgroups of a kill whose report the kernel's rate limit left out.

Such a kill has one line, `Killed process`, which names neither the victim's cgroup nor the one whose limit
was met (mm/oom_kill.c prints at most 10 headers per 5 s). The cgroup is where the dying process still is, or
whose kill counter moved; the limit is the only one that can have been met, or the one that a report of the
same cgroup named within the same window.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.limits import limits_of, only_possible
from oomkeeper.model.cause import Scope
from oomkeeper.model.kill import Kill
from oomkeeper.model.memory import Counter

from .cgroup_kill_counters import CgroupKillCounters, counter_key

RATE_LIMIT_USEC = 5_000_000
"""The window of the header's rate limit (mm/oom_kill.c: DEFINE_RATELIMIT_STATE oom_rs, 5 s, 10)."""

_KILLED = re.compile(rb"Kill(?:ed)? process (\d+)")
_REMEMBERED = 4096
_K = TypeVar("_K")
_V = TypeVar("_V")
_OTHER_MEANS = "The kernel's rate limit left out this kill's report; its cgroup was found by other means."


class _Found(NamedTuple):
    task: str
    oom: str | None
    limit_bytes: int | None
    said: str


class RateLimitedKills:
    """Finds the cgroups of kills without a report. Used from the witness's thread."""

    def __init__(
        self, hierarchy: CgroupHierarchy, counters: CgroupKillCounters, *, kernel_pids: bool = True
    ) -> None:
        """`kernel_pids` False: /proc is of another pid namespace than the log, and a pid of the log says
        nothing there."""
        self._hierarchy = hierarchy
        self._kernel_pids = kernel_pids
        self._counters = counters
        self._dying: dict[int, str] = {}
        self._reported: dict[str, tuple[str, int]] = {}
        self._found: dict[str, _Found] = {}

    def line(self, text: bytes) -> None:
        """A kernel record, the moment it arrives: where it says that a process is killed, that process's
        cgroup is read before it is gone."""
        if self._kernel_pids and (killed := _KILLED.search(text)):
            pid = int(killed[1])
            path = self._hierarchy.path_of(pid)
            # A task that has left its cgroup already is in `/`.
            if path is not None and path != "/":
                _keep(self._dying, pid, path)

    def reported(self, kill: Kill) -> None:
        """A kill with a report: which limit processes of this cgroup meet these days."""
        if kill.header_seen and kill.task_memcg and kill.oom_memcg and kill.usec is not None:
            _keep(self._reported, counter_key(kill.task_memcg), (kill.oom_memcg, kill.usec))

    def complete(
        self, kill: Kill, *, kill_id: str, stored: Mapping[str, Any] | None
    ) -> tuple[Kill, str | None]:
        """The kill with its cgroups and limit, and a sentence on how they were found; as it was, and None,
        where they are not to be found. `stored` is the record that an earlier look at the kill left."""
        found = self._found.get(kill_id)
        if found is None and not kill.header_seen and kill.task_memcg is None and kill.victims:
            found = self._find(kill, stored)
        if found is None:
            return kill, None
        _keep(self._found, kill_id, found)
        memory = kill.memory
        if memory.memory is None and found.limit_bytes is not None:
            # At its limit is where the usage was.
            at_limit = Counter(usage_bytes=found.limit_bytes, limit_bytes=found.limit_bytes)
            memory = memory._replace(memory=at_limit)
        return kill._replace(task_memcg=found.task, oom_memcg=found.oom, memory=memory), found.said

    def _find(self, kill: Kill, stored: Mapping[str, Any] | None) -> _Found | None:
        if stored is not None and stored.get("taskMemcg"):
            return _Found(stored["taskMemcg"], stored.get("oomMemcg"), stored.get("limitBytes"), _OTHER_MEANS)
        task = self._dying.pop(kill.victims[0].pid, None) or self._counters.find_moved()
        if task is None:
            return None
        if kill.scope is not Scope.MEMCG:
            return _Found(task, None, None, _OTHER_MEANS)
        limit = only_possible(limits_of(self._hierarchy, task))
        if limit is not None:
            said = f" That the limit of {limit.path} was met is inferred from the limits that were in force."
            return _Found(task, limit.path, limit.limit_bytes, _OTHER_MEANS + said)
        path, usec = self._reported.get(counter_key(task), (None, 0))
        if path is None or kill.usec is None or kill.usec - usec > RATE_LIMIT_USEC:
            return _Found(task, None, None, _OTHER_MEANS)
        seconds = (kill.usec - usec) / 1e6
        said = f" That the same limit was hit as {seconds:.1f} s before in the same cgroup is an inference."
        return _Found(task, path, None, _OTHER_MEANS + said)


def _keep(table: dict[_K, _V], key: _K, value: _V) -> None:
    table[key] = value
    while len(table) > _REMEMBERED:
        del table[next(iter(table))]
