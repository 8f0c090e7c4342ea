"""The cgroups of a kill whose report the kernel's rate limit left out.

Such a kill has one line, `Killed process`, which names neither the victim's cgroup nor the one whose limit
was reached (mm/oom_kill.c prints at most 10 headers per 5 s). The KillObserver proves the victim's cgroup, or
leaves it open. The limit is the only one that can have been reached, or the one that a report of the same
cgroup named within the same window.
"""

from typing import NamedTuple, TypeVar

from oomkeeper.model.cause import Scope
from oomkeeper.model.kill import Kill
from oomkeeper.model.memory import Counter
from oomkeeper.resources.killrecord import RecordedKill

from .bounded_table import drop_oldest
from .cgroup_kill_counters import counter_key
from .kill_observer import KillObserver
from .store import Store

RATE_LIMIT_USEC = 5_000_000
"""The window of the header's rate limit (mm/oom_kill.c: DEFINE_RATELIMIT_STATE oom_rs, 5 s, 10)."""

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
    """Completes kills without a report. Used from the loop's thread."""

    def __init__(self, observer: KillObserver) -> None:
        self._observer = observer
        self._reported: dict[str, tuple[str, int]] = {}
        self._found: dict[str, _Found] = {}

    def reported(self, kill: Kill) -> None:
        """Note a kill with a report: which limit processes of this cgroup reach at present."""
        if kill.header_seen and kill.task_memcg and kill.oom_memcg and kill.usec is not None:
            _keep(self._reported, counter_key(kill.task_memcg), (kill.oom_memcg, kill.usec))

    def is_open(self, kill: Kill) -> bool:
        """Return whether the cgroup of a kill is not known and may still be found."""
        return _lacks_cgroup(kill) and self._observer.place(kill.kill_seqs[0]) is None

    def is_observed(self, kill: Kill) -> bool:
        """Return whether what can be observed of an open kill has been observed."""
        return self._observer.has_read(kill.kill_seqs[0])

    def complete(self, kill: Kill, *, kill_id: str, stored: RecordedKill | None) -> tuple[Kill, str | None]:
        """Return the kill with its cgroups and limit, and a sentence on how they were found; as it was, and
        None, where they are not known. `stored` is the record that an earlier look at the kill left."""
        found = self._found.get(kill_id)
        if found is None and _lacks_cgroup(kill):
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

    def _find(self, kill: Kill, stored: RecordedKill | None) -> _Found | None:
        if stored is not None and stored.task_memcg:
            return _Found(stored.task_memcg, stored.oom_memcg, stored.limit_bytes, _OTHER_MEANS)
        placed = self._observer.place(kill.kill_seqs[0])
        if placed is None or placed.path is None:
            return None
        task = placed.path
        if kill.scope is not Scope.MEMCG:
            return _Found(task, None, None, _OTHER_MEANS)
        limit = placed.limit
        if limit is not None:
            said = f" That the limit of {limit.path} was met is inferred from the limits that were in force."
            return _Found(task, limit.path, limit.limit_bytes, _OTHER_MEANS + said)
        path, usec = self._reported.get(counter_key(task), (None, 0))
        if path is None or kill.usec is None or not 0 <= kill.usec - usec <= RATE_LIMIT_USEC:
            return _Found(task, None, None, _OTHER_MEANS)
        seconds = (kill.usec - usec) / 1e6
        said = f" That the same limit was hit as {seconds:.1f} s before in the same cgroup is an inference."
        return _Found(task, path, None, _OTHER_MEANS + said)


def placed_lines(store: Store, boot_id: str) -> frozenset[int]:
    """Return the log records of killed processes that are counted together with the cgroup they died in, of
    those that will be read again."""
    placed: list[int] = []
    following = 0
    for seq in store.kill_lines(boot_id):
        row = store.kill(f"{boot_id}-{seq}")
        if row is not None:
            # Only its first line's number is the kill's.
            following = row.record.kill_lines if row.record.task_memcg else 0
        if following > 0:
            placed.append(seq)
            following -= 1
    return frozenset(placed)


def _lacks_cgroup(kill: Kill) -> bool:
    return not kill.header_seen and kill.task_memcg is None and bool(kill.victims and kill.kill_seqs)


def _keep(table: dict[_K, _V], key: _K, value: _V) -> None:
    table[key] = value
    drop_oldest(table, most=_REMEMBERED)
