"""Kernel log records in, stored kills and incidents out: each kill once, whatever is killed when.

A kill is stored the moment its `Killed process` line is there, and renewed when the event turns out to hold
more (the other victims of memory.oom.group). What makes it countable once is in the store: the log records
already counted, the incident a kill was counted in, and a cursor that never passes an event still open or a
kill that waits for its cgroup. A kill of a pod of which something is not known yet is stored, and counted
later (late_attribution.py).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.oom_counters import CountedKills
from oomkeeper.kernel.report import ReportAssembler
from oomkeeper.kernel.report.killline import parse_killed
from oomkeeper.kernel.report.kinds import Kind, kind_of
from oomkeeper.kernel.tracefs.events import VictimMarked
from oomkeeper.logformat import get_logger
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord
from oomkeeper.model.node import NodeFacts

from .attribution import Subject, attribute
from .bounded_table import drop_oldest
from .cgroup_kill_counters import CgroupKillCounters, Explained, counter_key
from .clock import rfc3339, wall_of_kernel_time
from .incident_counts import store_kill
from .kill_observer import KillObserver
from .kill_of_trace import FROM_TRACE, kill_of_trace, traced_kill_id
from .kill_record import record_of
from .late_attribution import LateAttribution
from .listener import LoopListener
from .pods import PodTable
from .rate_limited_kills import RateLimitedKills, placed_lines
from .shared_kernel import SharedKernel
from .store import BootRow, KillRow, Store, UnidentifiedKill
from .traced_kills import REMEMBERED

log = get_logger(__name__)

SETTLE_SECONDS = 0.25
"""A decided event is closed when the kernel has printed nothing more for this long."""
UNDECIDED_SECONDS = 20.0
"""A report without its kill line gets this long: dumping the tasks of a thrashing machine takes its time."""
CGROUP_SECONDS = 3.0
"""How long a kill without a report waits for the proof of its cgroup, from when the observer has read it."""
OBSERVER_SECONDS = 60.0
"""How long it waits for the observer, which is far behind on a machine without a CPU to spare."""


@dataclass(slots=True)
class _Waiting:
    """A stored kill whose cgroup is not proved."""

    kill: Kill
    since: float
    observed_since: float | None
    """When the observer was first seen to have read it."""
    closed: bool
    """Whether its event is."""


class KillRecorder:
    """Follows one boot's kernel log from where the store left it. Used from one thread."""

    def __init__(
        self,
        *,
        store: Store,
        facts: NodeFacts,
        node: str,
        boot: BootRow,
        hierarchy: CgroupHierarchy,
        pods: PodTable | None,
        operator_namespace: str,
        listener: LoopListener,
        shared: SharedKernel,
        late: LateAttribution | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`pods` and `late` None: a bare host, where no pod is waited for. `listener` is given each kill's
        record once, when its event is closed and its subject settled. `late` takes the kills whose pod,
        container or workload is not known yet."""
        self._store = store
        self._facts = facts
        self._node = node
        self._boot_id = boot.boot_id
        self._pods = pods
        self._namespace = operator_namespace
        self._listener = listener
        self._shared = shared
        self._late = late
        self._clock = clock
        self._wall = wall
        self._assembler = ReportAssembler()
        explained = store.counters(boot.boot_id)
        self._counters = CgroupKillCounters(
            hierarchy, explained={path: Explained(*known) for path, known in explained.items()}
        )
        self._explained: dict[str, int] = {}
        self._unsaved: dict[str, tuple[str, Explained]] = {}
        self._last_seq = boot.cursor
        self._moved_to = boot.cursor
        self._last_record_at = clock()
        self._lost = self._lost_at_start = boot.lost
        self._recorded_pending: tuple[str, int] | None = None
        placed = placed_lines(store, boot.boot_id)
        unplaced = len(store.kill_lines(boot.boot_id)) - len(placed)
        self.observer = KillObserver(
            hierarchy=hierarchy,
            counted={path: CountedKills(kills, inode or 0) for path, (kills, inode) in explained.items()},
            accounted_kills=boot.vmstat_base + boot.recorded + boot.unattributed - unplaced,
            placed_seqs=placed,
            shared=shared,
            clock=clock,
        )
        self.observed = False
        """Whether a thread of its own runs the observer."""
        self._rate_limited = RateLimitedKills(self.observer)
        self._waiting: dict[str, _Waiting] = {}
        self.lost = boot.lost
        """Kernel log records lost since the account began in this boot."""
        self.logged: deque[tuple[int, int | None]] = deque(maxlen=REMEMBERED)
        """Victims of the `Killed process` lines, for the reader to take out."""

    def feed(self, records: Iterable[LogRecord], *, lost: Callable[[], int]) -> None:
        """Take records as they come; `lost` returns how many the reader has lost since its start. Stores
        kills as soon as their line is there."""
        closed: list[Kill] = []
        unobserved: list[LogRecord] = []
        for record in records:
            self._last_record_at = self._clock()
            missing = self._lost_at_start + lost() - self.lost
            if missing:
                self.lost += missing
                self._assembler.lost(missing)
            if record.seq is not None:
                self._last_seq = record.seq
            if not self.observed:
                unobserved.append(record)
            self._note_victim(record)
            closed += self._assembler.feed(record)
        if not self.observed:
            self.observer.step(unobserved)
        pending = self._assembler.pending()
        for kill in (*closed, *((pending,) if pending is not None else ())):
            self._explain(kill)
        for kill in closed:
            self._record(kill, closed=True)
        if pending is not None and pending.kill_seqs:
            state = (self._kill_id(pending), pending.kill_lines)
            if state != self._recorded_pending:
                self._recorded_pending = state
                self._record(pending, closed=False)

    def _note_victim(self, record: LogRecord) -> None:
        if not record.kernel or kind_of(record.text) is not Kind.KILLED:
            return
        victim = parse_killed(record.text)
        if victim is not None and victim.pid is not None:
            self.logged.append((victim.pid, record.usec))

    def tick(self) -> None:
        """Close quiet events, end waits and move the cursor, as far as it is time."""
        if self.observer.open and not self.observed:
            self.observer.step(())
        if self._quiet_in() == 0.0:
            for kill in self._assembler.flush():
                self._record(kill, closed=True)
        self._retry_waiting()
        self._move_cursor()
        self._note_counters()

    def finish(self) -> None:
        """Close a decided event: nothing more of it will be read."""
        if self._assembler.pending() is not None and self._assembler.decided:
            for kill in self._assembler.flush():
                self._record(kill, closed=True)
        self._move_cursor()

    def deadline(self) -> float | None:
        """Return the seconds until `tick` has something to do; None while nothing is open."""
        quiet = self._quiet_in()
        return quiet if quiet is not None else 1.0 if self._waiting else None

    def _quiet_in(self) -> float | None:
        """Return the seconds until the open event counts as finished; None without one."""
        if self._assembler.pending() is None:
            return None
        wait = SETTLE_SECONDS if self._assembler.decided else UNDECIDED_SECONDS
        return max(0.0, wait - (self._clock() - self._last_record_at))

    def _retry_waiting(self) -> None:
        for waiting in list(self._waiting.values()):
            if waiting.observed_since is None and self._rate_limited.is_observed(waiting.kill):
                waiting.observed_since = self._clock()
            if not self._rate_limited.is_open(waiting.kill) or self._overdue(waiting):
                self._record(waiting.kill, closed=waiting.closed)

    def _overdue(self, waiting: _Waiting) -> bool:
        now = self._clock()
        if waiting.observed_since is None:
            return now - waiting.since >= OBSERVER_SECONDS
        return now - waiting.observed_since >= CGROUP_SECONDS

    def _move_cursor(self) -> None:
        open_seqs = [waiting.kill.first_seq for waiting in self._waiting.values()]
        pending = self._assembler.pending()
        if pending is not None:
            open_seqs.append(pending.first_seq)
        cursor = min((seq - 1 for seq in open_seqs if seq is not None), default=self._last_seq)
        if cursor > self._moved_to:
            with self._store.transaction():
                # `lost` belongs to the newest record: behind an open event it is counted again after a
                # restart.
                self._store.move_cursor(self._boot_id, cursor, lost=None if open_seqs else self.lost)
            self._moved_to = cursor

    def _kill_id(self, kill: Kill) -> str:
        return f"{self._boot_id}-{kill.naming_seq}"

    def _record(self, kill: Kill, *, closed: bool) -> None:
        kill_id = self._kill_id(kill)
        stored = self._store.kill(kill_id)
        kill, inferred = self._complete(kill, kill_id=kill_id, stored=stored)
        subject, settled = self._subject(
            kill, kill_id=kill_id, found_here=inferred is not None, closed=closed
        )
        if subject is None:
            with self._store.transaction():
                self._note(kill, kill_id=kill_id)
            return
        when = stored.time if stored else rfc3339(self._time_of(kill))
        record = record_of(
            kill, kill_id=kill_id, when=when, subject=subject, facts=self._facts, inferred=inferred
        )
        with self._store.transaction():
            self._note(kill, kill_id=kill_id)
            store_kill(
                self._store,
                record=record,
                when=when,
                subject=subject,
                counts=settled,
                counted_in=stored.incident if stored else None,
                operator_namespace=self._namespace,
                wall=self._wall(),
            )
            if subject.pod is None or not settled:
                self._keep_for_later(kill, kill_id=kill_id, subject=subject, inferred=inferred)
        if stored is None:
            log.info(
                "kill recorded",
                id=kill_id,
                cause=record.cause,
                namespace=subject.pod.facts.namespace if subject.pod else None,
                pod=subject.pod.facts.name if subject.pod else None,
                container=subject.container,
                victim_pid=kill.victims[0].pid if kill.victims else None,
            )
        if closed and settled:
            self._listener.kill_recorded(record)

    def record_traced(self, victim: VictimMarked, *, path: str | None) -> None:
        """Record a kill that the kernel traced and whose log records were lost. `path` is its cgroup."""
        kill_id = traced_kill_id(self._boot_id, victim.time_ns)
        if self._store.kill(kill_id) is not None:
            return
        kill = kill_of_trace(victim, path=path)
        subject, settled = self._attribute(kill, found_here=path is not None)
        with self._store.transaction():
            self._store.add_traced_kill(self._boot_id)
            if subject is None:
                return
            when = rfc3339(self._wall() - (time.monotonic_ns() - victim.time_ns) / 1e9)
            record = record_of(
                kill, kill_id=kill_id, when=when, subject=subject, facts=self._facts, inferred=FROM_TRACE
            )
            store_kill(
                self._store,
                record=record,
                when=when,
                subject=subject,
                counts=settled,
                operator_namespace=self._namespace,
                wall=self._wall(),
            )
            if not settled:
                self._keep_for_later(kill, kill_id=kill_id, subject=subject, inferred=FROM_TRACE)
        log.info("kill recorded from the trace", id=kill_id, victim_pid=victim.pid)
        self._listener.kill_recorded(record)

    def _subject(
        self, kill: Kill, *, kill_id: str, found_here: bool, closed: bool
    ) -> tuple[Subject | None, bool]:
        """Return whose kill it is, and whether that is settled; a kill that is not settled waits.

        None for a kill that another node of the same kernel publishes, or may publish.
        """
        if self._rate_limited.is_open(kill) and self._wait(kill, kill_id=kill_id, closed=closed):
            if self._shared.container_id is not None:
                return None, False
            return Subject(node=self._node, cgroup=kill.task_memcg or kill.oom_memcg or "/"), False
        self._waiting.pop(kill_id, None)
        return self._attribute(kill, found_here=found_here)

    def _attribute(self, kill: Kill, *, found_here: bool) -> tuple[Subject | None, bool]:
        """Return whose kill it is by its cgroup, and whether that is settled; None as for `_subject`."""
        attribution = attribute(
            kill, node=self._node, pods=self._pods, node_container=self._shared.container_id
        )
        if (
            self._pods is not None
            and attribution.subject.pod is None
            and not self._shared.publishes(kill, found_here=found_here)
        ):
            return None, True
        return attribution.subject, attribution.waiting_for is None

    def _keep_for_later(self, kill: Kill, *, kill_id: str, subject: Subject, inferred: str | None) -> None:
        """Have a kill of a pod attributed when more is known. Call it within the kill's transaction."""
        if self._late is not None and subject.pod_uid is not None:
            self._late.add(kill_id, UnidentifiedKill(pod_uid=subject.pod_uid, kill=kill, inferred=inferred))

    def _wait(self, kill: Kill, *, kill_id: str, closed: bool) -> bool:
        """Put it on the waiting list; False where it has been there for too long."""
        now = self._clock()
        waiting = self._waiting.setdefault(kill_id, _Waiting(kill, now, None, closed))
        waiting.kill, waiting.closed = kill, closed
        return not self._overdue(waiting)

    def _note_counters(self) -> None:
        """Store the cgroups' counts when every kill is accounted for: they belong to no later kill."""
        if not self.observer.moved or self._waiting or self._assembler.pending() is not None:
            return
        boot = self._store.boot(self._boot_id)
        if boot is None:
            return
        moved = self.observer.take_moved(boot.vmstat_base + boot.recorded + boot.unattributed)
        with self._store.transaction():
            for path, counted in moved.items():
                now = self._counters.replace(path, counted)
                self._store.put_counter(self._boot_id, counter_key(path), kills=now.kills, inode=now.inode)

    def _explain(self, kill: Kill, *, found_here: bool = False) -> None:
        """Account for the kills that this event adds to the counter of its victim's cgroup, once.

        `found_here`: the path is this node's own spelling, not the log's.
        """
        task = kill.task_memcg
        if task is not None and not found_here:
            task = self._shared.own_path(task)
        if task is None or not kill.kill_lines:
            return
        kill_id = self._kill_id(kill)
        known = self._explained.get(kill_id)
        if known is None:
            stored = self._store.kill(kill_id)
            known = stored.record.kill_lines if stored and stored.record.task_memcg else 0
        if kill.kill_lines > known:
            explained = self._counters.explain(task, kills=kill.kill_lines - known)
            self._unsaved[kill_id] = (counter_key(task), explained)
        self._explained[kill_id] = kill.kill_lines
        drop_oldest(self._explained, most=4096)

    def _note(self, kill: Kill, *, kill_id: str) -> None:
        """Within the transaction that stores the kill: its log records, and what it explains."""
        self._store.add_kill_lines(self._boot_id, kill.kill_seqs)
        unsaved = self._unsaved.pop(kill_id, None)
        if unsaved is not None:
            cgroup, explained = unsaved
            self._store.put_counter(self._boot_id, cgroup, kills=explained.kills, inode=explained.inode)
        if (left := self._counters.prune()) is not None:
            self._store.keep_counters(self._boot_id, left)

    def _time_of(self, kill: Kill) -> float:
        """Return when the kernel printed the kill, in seconds since the epoch."""
        if kill.usec is None:
            return self._wall()
        return wall_of_kernel_time(kill.usec, now=self._wall(), uptime=self._clock())

    def _complete(self, kill: Kill, *, kill_id: str, stored: KillRow | None) -> tuple[Kill, str | None]:
        """Return the kill with the cgroups that its own records do not name, and a sentence on how they were
        found."""
        self._rate_limited.reported(kill)
        kill, said = self._rate_limited.complete(
            kill, kill_id=kill_id, stored=stored.record if stored else None
        )
        if said is not None:
            self._explain(kill, found_here=True)
        return kill, said
