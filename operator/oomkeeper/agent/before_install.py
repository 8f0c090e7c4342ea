"""Kills before the agent's first start on a node, from what the kernel's ring buffer still holds of them.

The account of a new state begins at the end of the log (kill_accounting.py). What is before that place is
read here, once, in a pass of its own: vmstat's and the cgroups' counts at the start include these kills, so
they are no part of the account, and no trace or counter can prove a cgroup any more.

The loop does it in slices, between its other work. A kill, its incident and the place reached are stored in
one transaction, so kill -9 at any instant loses none and counts none twice. In a cluster it begins when the
pods are listed and the node's incidents are adopted: a new state may follow one that was lost, and what that
one has published is counted already."""

import time
from collections import deque
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from oomkeeper.kernel.kmsg import KmsgUnreadableError
from oomkeeper.kernel.report import ReportAssembler
from oomkeeper.kernel.syslog import LogReader
from oomkeeper.logformat import get_logger
from oomkeeper.model.kill import Kill
from oomkeeper.model.node import NodeFacts

from .adoption import ADOPTED_NOTE, adopted_until
from .attribution import Attribution, attribute
from .clock import rfc3339, wall_of_kernel_time
from .incident_counts import store_kill
from .kill_record import record_of
from .late_attribution import LateAttribution
from .listener import LoopListener
from .pods import PodTable
from .records import BEFORE_INSTALL_NOTE, BeforeInstallNote
from .shared_kernel import SharedKernel
from .store import Store, UnidentifiedKill
from .upkeep import KEEP_SECONDS

log = get_logger(__name__)

MAX_KILLS = 1000
"""The newest ones are recorded; how many were left out is noted."""
RECENT_SECONDS = 120.0
"""The pod or container of an older kill is in the API server's list of pods, or never will be."""
SLICE_SECONDS = 0.02
"""Time that one step of the loop spends here."""
PAUSE_SECONDS = 0.02
"""Between two slices, for the threads that observe kills while they happen."""
BUSY_SECONDS = 30.0
"""How long new kills come first: they can be observed only now."""
SLICE_RECORDS = 100
RETRY_SECONDS = 10.0
"""Between two attempts to open an unreadable log."""


class KillsBeforeInstall:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        facts: NodeFacts,
        node: str,
        pods: PodTable | None,
        operator_namespace: str,
        shared: SharedKernel,
        late: LateAttribution | None,
        listener: LoopListener,
        open_log: Callable[[int], LogReader],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`pods` and `late` None: a bare host."""
        self._store = store
        self._facts = facts
        self._node = node
        self._pods = pods
        self._namespace = operator_namespace
        self._shared = shared
        self._late = late
        self._listener = listener
        self._open_log = open_log
        self._clock = clock
        self._wall = wall
        self._note = store.note(BEFORE_INSTALL_NOTE, BeforeInstallNote)
        self._work: Iterator[None] | None = None
        self._next_at = clock()
        self._busy_since: float | None = None
        if self._note is not None and not self._note.done and self._note.boot != facts.boot_id:
            self._put(replace(self._note, done=True))  # The reboot has emptied the log.

    @property
    def open(self) -> bool:
        """Whether kills may be left to be read."""
        return self._note is not None and not self._note.done

    def tick(self, *, busy: bool) -> None:
        """Read and record a slice, where it is time. `busy`: new kills are being recorded."""
        if self.deadline() != 0.0 or self._gives_way(busy):
            return
        until = self._clock() + SLICE_SECONDS
        try:
            self._work = self._work or self._read()
            for _ in self._work:
                if self._clock() > until or not self._ready:
                    self._next_at = self._clock() + PAUSE_SECONDS
                    return
        except KmsgUnreadableError as error:
            log.warning("kills before install not read", error=error)
            self._next_at = self._clock() + RETRY_SECONDS
        self._work = None

    def _gives_way(self, busy: bool) -> bool:
        """Return whether new kills come first. In a storm without end they do so for a while."""
        if not busy:
            self._busy_since = None
            return False
        if self._busy_since is None:
            self._busy_since = self._clock()
        self._next_at = self._clock() + PAUSE_SECONDS
        return self._clock() - self._busy_since < BUSY_SECONDS

    def deadline(self) -> float | None:
        """Return the seconds until `tick` has something to do; None while it waits for something else."""
        if not self.open or not self._ready:
            return None
        return max(0.0, self._next_at - self._clock())

    def close(self) -> None:
        """Close the log."""
        self._work = None

    @property
    def _ready(self) -> bool:
        if self._pods is None:
            return True
        if self._late is not None and self._late.crowded:
            return False
        return self._pods.synced and self._store.note(ADOPTED_NOTE, bool) is True

    def _read(self) -> Iterator[None]:
        """Record everything. Yields after each piece of work. Raises KmsgUnreadableError."""
        note = self._note
        assert note is not None
        done = max(note.through, adopted_until(self._store).seqs.get(note.boot, -1))
        newest: deque[int] = deque(maxlen=MAX_KILLS)
        found = 0
        for kill in self._events(note.until):
            yield
            if kill is not None and (kill.naming_seq or 0) > done and self._is_here(kill):
                found += 1
                if self._pods is None or self._wall() - self._time_of(kill) < KEEP_SECONDS:
                    newest.append(kill.naming_seq or 0)
        if note.left_out is None:
            self._put(replace(note, left_out=found - len(newest)))
        if newest:
            for kill in self._events(note.until):
                yield
                if kill is not None and (kill.naming_seq or 0) >= newest[0] and self._is_here(kill):
                    self._record(kill)
        note = replace(self._note or note, done=True)
        self._put(note)
        log.info("kills before install recorded", count=note.kills, left_out=note.left_out)
        self._listener.kills_before_install(count=note.kills, left_out=note.left_out or 0)

    def _events(self, until: int) -> Iterator[Kill | None]:
        """Yield the events up to a sequence number, and now and then None. An event that is open there is
        left to the kill recorder."""
        reader = self._open_log(-1)
        try:
            assembler = ReportAssembler()
            for number, record in enumerate(reader.read_available(), 1):
                if record.seq is not None and record.seq > until:
                    break
                yield from assembler.feed(record)
                if number % SLICE_RECORDS == 0:
                    yield None
            decided = assembler.decided
            events = assembler.flush()
            yield from events if decided else events[:-1]
        finally:
            reader.close()

    def _attribute(self, kill: Kill) -> Attribution:
        return attribute(kill, node=self._node, pods=self._pods, node_container=self._shared.container_id)

    def _is_here(self, kill: Kill) -> bool:
        """Return whether the kill is this node's. On a kernel that nodes share, what no node's cgroup names
        is left out: another node's agent may have counted it before this one was installed."""
        if self._pods is None or self._attribute(kill).subject.pod is not None:
            return True
        if self._shared.container_id is None:
            return self._shared.publishes_host_kills
        path = kill.task_memcg or kill.oom_memcg
        return path is not None and self._shared.own_path(path) is not None

    def _record(self, kill: Kill) -> None:
        note = self._note
        assert note is not None
        seq = kill.naming_seq or 0
        kill_id = f"{note.boot}-{seq}"
        if self._store.kill(kill_id) is not None:
            return
        attribution = self._attribute(kill)
        subject, missing = attribution.subject, attribution.waiting_for
        happened = self._time_of(kill)
        when = rfc3339(happened)
        recent = self._wall() - happened < RECENT_SECONDS
        waits = missing == "workload" or (missing is not None and recent)
        record = record_of(
            kill, kill_id=kill_id, when=when, subject=subject, facts=self._facts, before_install=True
        )
        note = replace(note, through=max(note.through, seq), kills=note.kills + 1)
        with self._store.transaction():
            store_kill(
                self._store,
                record=record,
                when=when,
                subject=subject,
                counts=not waits,
                operator_namespace=self._namespace,
                wall=self._wall(),
            )
            if waits and self._late is not None and subject.pod_uid is not None:
                self._late.add(
                    kill_id, UnidentifiedKill(pod_uid=subject.pod_uid, kill=kill, before_install=True)
                )
            self._put(note)

    def _time_of(self, kill: Kill) -> float:
        return wall_of_kernel_time(kill.usec or 0, now=self._wall(), uptime=self._clock())

    def _put(self, note: BeforeInstallNote) -> None:
        self._store.put_note(BEFORE_INSTALL_NOTE, note)
        self._note = note
