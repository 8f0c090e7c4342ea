"""Finds the cgroup of each kill while the kernel kills, beside the loop that stores them.

The kernel prints at most 10 OOM reports per 5 s for the whole machine; a kill beyond them has one line,
`Killed process PID (comm)`, without a cgroup. Its cgroup is proved by one of

- the report, for the kills that have one;
- the kernel's events (process_cgroups), where tracing is available;
- /proc/PID/cgroup, as long as the victim is dying and not gone, read as soon as the line is there;
- the kernel's counters (kill_intervals), read every millisecond during a storm, so that few kills share an
  interval.

What none of them proves stays open. A kill is never assigned to a cgroup because that is likely.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.limits import Limited, limits_of, only_possible
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.cgroup.oom_counters import CountedKills, OOMKillCounters, known_kills
from oomkeeper.kernel.dying import is_dying
from oomkeeper.kernel.report.killline import parse_killed
from oomkeeper.kernel.report.kinds import Kind, kind_of
from oomkeeper.kernel.report.oomkill import parse_summary
from oomkeeper.kernel.tracefs.formats import TraceFormatError
from oomkeeper.kernel.vmstat import OOMKillCount
from oomkeeper.logformat import get_logger
from oomkeeper.model.log import LogRecord

from .bounded_table import drop_oldest
from .cgroup_kill_counters import counter_key
from .kill_intervals import Interval, cgroup_of_the_rest
from .shared_kernel import SharedKernel
from .traced_cgroups import TracedCgroups

STORM_KILLS = 5
STORM_USEC = 5_000_000
"""So many kills in so long are a storm. The kernel leaves out reports from the 11th kill in 5 s on
(mm/oom_kill.c, oom_rs)."""
STORM_SECONDS = 5.0
"""Counters are read every SAMPLE_SECONDS until so long after the last kill of a storm."""
SAMPLE_SECONDS = 0.001
GRACE_SECONDS = 0.5
"""The line of a kill is there microseconds after it is counted. One that is missing so long after the last
kill was lost."""
SCAN_SHARE = 0.2
"""Reading all counters takes at most this share of the time."""
MOST_CANDIDATES = 64
"""Cgroups whose counters are read first."""
REMEMBERED = 4096

log = get_logger(__name__)


class Placed(NamedTuple):
    """A kill line whose interval is closed."""

    path: str | None
    """None: nothing proves where it happened."""
    limit: Limited | None
    """The limit that must have been reached, where the counters leave only one."""


class _Line(NamedTuple):
    seq: int
    path: str | None
    known: bool
    """Whether the path is known; None is then a cgroup that is not ours to see."""


class KillObserver:
    """Places the kills of one boot. One thread calls `step`, any thread the rest."""

    def __init__(
        self,
        *,
        hierarchy: CgroupHierarchy,
        counted: Mapping[str, CountedKills],
        accounted_kills: int,
        placed_seqs: frozenset[int] = frozenset(),
        shared: SharedKernel,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`counted` are the counters, and `accounted_kills` the value of vmstat's oom_kill, up to which every
        kill is dealt with; `placed_seqs` are kill lines that are dealt with as well, should `step` be given
        them again. `changed` is called when kills were placed."""
        self._hierarchy = hierarchy
        self._namespace = CgroupNamespace(hierarchy)
        self.traced: TracedCgroups | None = None
        """Set where the kernel's events can be read."""
        self._shared = shared
        self.changed = changed
        self._clock = clock
        self._counters = OOMKillCounters(hierarchy)
        self._vmstat = OOMKillCount(proc=hierarchy.proc)
        self._known = counted
        self._closed: dict[str, CountedKills] = {}
        """Counters up to the last interval that they moved in, by path. Not by counter_key: who may make
        cgroups can make one with the key of another."""
        self._kills = accounted_kills
        self._skipped = placed_seqs
        self._lines: list[_Line] = []
        self._open = False
        self._latest = (accounted_kills, 0.0)
        self._read_to = -1
        self._candidates: dict[str, None] = {}
        self._summary: tuple[int | None, str | None] = (None, None)
        self._scan_from = 0.0
        self._usecs: deque[int] = deque(maxlen=STORM_KILLS)
        self._storm_until = 0.0
        self._limits: dict[str, tuple[Limited, ...]] = {}
        """Limits above a cgroup as they were when the last interval with a kill in it was closed."""
        self._lock = threading.Lock()
        self._placed: dict[int, Placed] = {}
        self._moved: dict[str, CountedKills] = {}

    def place(self, seq: int) -> Placed | None:
        """Return where the kill of this line happened; None while that is not decided."""
        with self._lock:
            return self._placed.get(seq)

    def take_moved(self, kills: int) -> dict[str, CountedKills]:
        """Return the counters that moved since the last call, where they belong to this value of vmstat's
        oom_kill; else nothing, and they are kept."""
        with self._lock:
            if self._lines or self._kills != kills:
                return {}
            moved, self._moved = self._moved, {}
            return moved

    @property
    def moved(self) -> bool:
        """Whether `take_moved` may have something."""
        return bool(self._moved)

    def has_read(self, seq: int) -> bool:
        """Return whether this line was read. On a machine without a CPU to spare that may take long."""
        return seq <= self._read_to

    @property
    def storm(self) -> bool:
        """Whether the counters must be read continuously."""
        return self._clock() < self._storm_until

    @property
    def open(self) -> bool:
        """Whether kills wait for their place."""
        return self._open

    def step(self, records: Iterable[LogRecord]) -> None:
        """Take what is new in the log, and decide what can be decided. Call it until `open` is False, and
        continuously during a `storm`."""
        began = self._clock()
        self._read_log(records)
        if self.traced is not None:
            self.traced.forget_unclaimed(now_ns=time.monotonic_ns())
        kills = self._vmstat.read()
        if kills is None:
            self._close(Interval(0, {}), {})  # before 4.13: nothing but reports and /proc
            return
        if kills != self._latest[0]:
            self._latest = (kills, self._clock())
        self._open = kills != self._kills or bool(self._lines)
        if not self._open:
            return
        counts = {path: now for path in self._candidates if (now := self._counters.read(path)) is not None}
        moved = self._growth(counts)
        expected = kills - self._kills - self._outside()
        complete = sum(moved.values()) == expected
        if not complete and self._may_scan():
            counts = self._scan()
            moved = self._growth(counts)
            complete = True  # what no counter shows now, none will show later
        limits = {path: limits_of(self._hierarchy, path) for path in moved}
        if self._vmstat.read() != kills:
            return  # another kill in between: the next step sees all of it
        grown = kills - self._kills
        # A line on its way to us must not fall into the next interval. The log must have been read so long
        # after the last kill: this thread may have waited for a CPU since.
        settled = grown == len(self._lines) or began - self._latest[1] > GRACE_SECONDS
        if complete and settled:
            self._kills = kills
            self._close(Interval(grown, moved), counts)
            self._limits.update(limits)
            drop_oldest(self._limits, most=REMEMBERED)

    def _read_log(self, records: Iterable[LogRecord]) -> None:
        read_to = self._read_to
        for record in records:
            if record.seq is None:
                continue
            read_to = record.seq
            if not record.kernel:
                continue
            kind = kind_of(record.text)
            if kind is Kind.OOM_KILL:
                summary = parse_summary(record.text)
                self._summary = (summary.pid, summary.task_memcg) if summary else (None, None)
            elif kind is Kind.KILLED:
                self._take(record, record.seq)
        self._read_to = read_to

    def _take(self, record: LogRecord, seq: int) -> None:
        victim = parse_killed(record.text)
        pid = victim.pid if victim is not None else None
        traced = self._traced_path(pid, record.usec) if pid is not None else None
        (reported_pid, reported_path), self._summary = self._summary, (None, None)
        if seq in self._skipped:
            return
        if reported_path is not None and pid == reported_pid:
            path, known = self._shared.own_path(reported_path), True
        else:
            path = traced or (self._dying_path(pid) if pid is not None else None)
            known = path is not None
        self._lines.append(_Line(seq, path, known))
        if path is not None:
            self._place(seq, path)
            self._candidates.pop(path, None)
            self._candidates[path] = None
            drop_oldest(self._candidates, most=MOST_CANDIDATES)
        if record.usec is not None and traced is None:
            self._usecs.append(record.usec)
            if len(self._usecs) == STORM_KILLS and self._usecs[-1] - self._usecs[0] < STORM_USEC:
                self._storm_until = self._clock() + STORM_SECONDS

    def _traced_path(self, pid: int, usec: int | None) -> str | None:
        if self.traced is None:
            return None
        try:
            return self.traced.of_victim(pid, usec=usec)
        except (OSError, TraceFormatError) as error:
            log.warning("tracing of cgroups ended", error=error)
            self.traced.close()
            self.traced = None
            return None

    def _dying_path(self, pid: int) -> str | None:
        """The victim's cgroup, while it is dying. One that has left its cgroup (v1) is in `/`."""
        if not self._shared.kernel_pids:
            return None
        path = self._namespace.path_of(pid)
        # Asked afterwards: a process that got the number since is not dying.
        return path if path not in (None, "/") and is_dying(pid, proc=self._hierarchy.proc) else None

    def _growth(self, counts: Mapping[str, CountedKills]) -> dict[str, int]:
        grown = {}
        for path, now in counts.items():
            if kills := now.kills - self._kills_dealt_with(path, inode=now.inode):
                grown[path] = kills
        return grown

    def _kills_dealt_with(self, path: str, *, inode: int) -> int:
        closed = self._closed.get(path)
        if closed is None:
            return known_kills(self._known, counter_key(path), inode)
        return closed.kills if closed.inode == inode else 0

    def _place(self, seq: int, path: str | None) -> None:
        limit = self._limit(path) if path is not None else None
        with self._lock:
            self._placed[seq] = Placed(path, limit)
            drop_oldest(self._placed, most=REMEMBERED)

    def _limit(self, path: str) -> Limited | None:
        before = self._limits.get(path, ())
        now = limits_of(self._hierarchy, path)
        if not now:  # removed in the meantime
            return before[0] if len(before) == 1 else None
        return only_possible(now, failures_before={one.path: one.failures or 0 for one in before})

    def _outside(self) -> int:
        """How many of the open kills are known to have happened where no counter here shows them."""
        return sum(line.known and (line.path is None or self._is_gone(line.path)) for line in self._lines)

    def _is_gone(self, path: str) -> bool:
        return self._hierarchy.inode(path) is None

    def _may_scan(self) -> bool:
        return self._clock() >= self._scan_from

    def _scan(self) -> dict[str, CountedKills]:
        begun = self._clock()
        counts = self._counters.read_all()
        now = self._clock()
        self._scan_from = now + (now - begun) / SCAN_SHARE
        grown = self._growth(counts)
        self._candidates.update(dict.fromkeys(grown))
        return counts

    def _close(self, interval: Interval, counts: Mapping[str, CountedKills]) -> None:
        # More lines than kills: some belong to an interval that was closed without them.
        place = self._place_of_the_rest(interval) if len(self._lines) <= interval.kills else None
        moved = {path: counts[path] for path in interval.moved}
        with self._lock:
            self._moved.update(moved)
            self._closed.update(moved)
            placed, self._lines, self._open = self._lines, [], False
        for line in placed:
            if not line.known or line.path is None:
                self._place(line.seq, place if not line.known else None)
        if placed:
            self.changed()

    def _place_of_the_rest(self, interval: Interval) -> str | None:
        """Return the cgroup of the lines whose path is not known."""
        by_key: defaultdict[str, list[str]] = defaultdict(list)
        for path in interval.moved:
            by_key[counter_key(path)].append(path)
        known: list[str | None] = []
        for line in self._lines:
            if not line.known:
                continue
            # The log may spell a path with more in front of it than this namespace does.
            same = by_key.get(counter_key(line.path), []) if line.path is not None else []
            if line.path in same:
                same = [line.path]
            if len(same) > 1:
                return None
            known.append(same[0] if same else None)
        return cgroup_of_the_rest(interval, known)
