"""OOM kills and other SIGKILLs that the kernel traced, and which OOM kills the kernel log lacks.

The instance `oomkeeper` records every SIGKILL and every victim of the OOM killer. Its buffer is its own: what
overwrites the kernel log, or the log's rate limit, does not touch it. A kill that vmstat counts and that no
log line reports is recorded from here; who sent any other SIGKILL is known from here alone.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from oomkeeper.kernel.tracefs.events import SI_KERNEL, SIGKILL, SignalSent, TraceEvent, VictimMarked
from oomkeeper.kernel.tracefs.formats import TraceFormatError
from oomkeeper.kernel.tracefs.instance import TraceInstance
from oomkeeper.logformat import get_logger

from .bounded_table import drop_oldest
from .signal_origin import GROUP_NS, SignalOrigins, TracedSignal

log = get_logger(__name__)

INSTANCE = "oomkeeper"
BUFFER_KIB = 256
"""For all CPUs together: some 3,500 signals between two readings, which are at most 5 s apart."""
EVENTS = {"signal/signal_generate": f"sig == {SIGKILL}", "oom/mark_victim": None}
SPOOL_NAME = "kill-trace"
REMEMBERED = 4096


class TracedKills:
    """Reads the instance. Used from any thread, closed when no other uses it."""

    def __init__(
        self, tracefs: Path, *, instance: str = INSTANCE, spool: Path | None = None, boot_id: str = ""
    ) -> None:
        """`spool`: the file for what was read, so that it outlives kill -9. The kills that an agent before
        this one had read come again then, whether it recorded them or not. Raises InstanceBusyError and
        TracefsUnavailableError."""
        self._instance = TraceInstance(
            tracefs, instance, events=EVENTS, buffer_kib=BUFFER_KIB, spool=spool, boot_id=boot_id
        )
        if self._instance.spool_problem is not None:
            log.warning("trace of kills is not kept over kill -9", error=self._instance.spool_problem)
        self._pairs = KillPairs()
        self._others = SignalOrigins()
        earlier = self._earlier()
        self.replayed_until_ns = earlier[-1].time_ns + 1 if earlier else 0
        """Kills before this time come again."""
        self._kills: list[VictimMarked] = self._pairs.take(earlier)
        self._signals: deque[TracedSignal] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self.lost = self._instance.lost()
        """Records that were overwritten before they were read, since the instance was made."""
        self.complete_since_ns: int | None = time.monotonic_ns() if self._instance.made else None
        """Since when no record is missing; None where the instance is older than this object, and nothing was
        missed since."""

    @property
    def skew_ns(self) -> int:
        """How much the trace's clock is ahead of the log's, as far as `keep_skew` was told."""
        return self._instance.skew_ns

    def keep_skew(self, skew_ns: int) -> None:
        """Keep that for the next agent."""
        self._instance.keep_skew(skew_ns)

    def _earlier(self) -> list[TraceEvent]:
        try:
            return self._instance.take_spooled()
        except TraceFormatError as error:
            log.warning("trace of kills before this start not read", error=error)
            return []

    def fileno_of_cpus(self) -> tuple[int, ...]:
        """Return the descriptors to poll."""
        return self._instance.fileno_of_cpus()

    def drain(self) -> None:
        """Take what was recorded. Raises OSError and TraceFormatError."""
        with self._lock:
            events, complete_since = self._instance.read()
            if complete_since is not None:
                self.lost = self._instance.lost()
                self.complete_since_ns = max(complete_since, self.complete_since_ns or 0)
            kills = self._pairs.take(events)
            self._kills += kills
            self._signals += self._others.take(events, kills)

    def read(self) -> list[VictimMarked]:
        """Return the OOM kills since the last call. Raises OSError and TraceFormatError."""
        self.drain()
        with self._lock:
            kills, self._kills = self._kills, []
        return kills

    def drop_until(self, time_ns: int) -> None:
        """Forget the kills up to a time that were not returned yet."""
        with self._lock:
            self._kills = [kill for kill in self._kills if kill.time_ns > time_ns]

    def take_signals(self) -> list[TracedSignal]:
        """Return the SIGKILLs that were taken since the last call, those of the OOM killer included."""
        with self._lock:
            signals = [*self._signals]
            self._signals.clear()
        return signals

    def close(self) -> None:
        """Stop reading; the instance stays and goes on recording."""
        self._instance.close()


class KillPairs:
    """Tells OOM kills from other SIGKILLs, and from victims that were dying anyway.

    The OOM killer counts a kill, sends SIGKILL, and marks the victim (mm/oom_kill.c, __oom_kill_process()). A
    process that is exiting already is marked without a signal, and not counted. A victim that is killed again
    with its group gets the signal again, and is not marked again.
    """

    def __init__(self) -> None:
        self._signalled: dict[int, SignalSent] = {}
        self._marked: dict[int, VictimMarked] = {}

    def take(self, events: Iterable[TraceEvent]) -> list[VictimMarked]:
        """Return a victim for each kill that vmstat counts, in order."""
        kills = []
        for event in events:
            if isinstance(event, SignalSent) and event.code == SI_KERNEL:
                marked = self._marked.get(event.pid)
                if (
                    marked is not None
                    and marked.by_pid == event.by_pid
                    and event.time_ns - marked.time_ns < GROUP_NS
                ):
                    kills.append(marked._replace(time_ns=event.time_ns))
                else:
                    _keep(self._signalled, event.pid, event)
            elif isinstance(event, VictimMarked):
                sent = self._signalled.pop(event.pid, None)
                if sent is not None and sent.by_pid == event.by_pid:
                    # Before 6.8 the mark has no name, but the signal has.
                    victim = event if event.comm is not None else event._replace(comm=sent.comm)
                    kills.append(victim)
                    _keep(self._marked, event.pid, victim)
        return kills


class UnloggedKills:
    """Which traced kills have no line in the log. Both sides may come first."""

    def __init__(self) -> None:
        self._traced: dict[tuple[int, int], VictimMarked] = {}
        """By time and pid: a kill may come twice, from a file and from a note of an earlier agent."""
        self._logged: Counter[int] = Counter()
        self.skew_ns = 0
        """How much the trace's clock was ahead of the log's at the last kill that both have."""
        self.replayed_until_ns = 0
        """Of a kill before this time, an earlier agent may have read the line."""
        self.read_until_ns = 0
        """Time of the last kill that this process has taken from the trace."""

    def traced(self, kills: Iterable[VictimMarked]) -> None:
        """Take kills of the trace."""
        for kill in kills:
            if self._logged[kill.pid]:
                self._logged[kill.pid] -= 1
            else:
                _keep(self._traced, (kill.time_ns, kill.pid), kill)

    def logged(self, pid: int, *, usec: int | None = None) -> None:
        """Take a `Killed process` line, printed at `usec`."""
        keys = [key for key in self._traced if key[1] == pid]
        if not keys:
            self._logged[pid] += 1
            return
        if usec is None:
            del self._traced[keys[0]]
            return
        printed_ns = usec * 1000
        nearest = min(keys, key=lambda key: abs(key[0] - printed_ns - self.skew_ns))
        del self._traced[nearest]
        if nearest[0] >= self.replayed_until_ns:
            self.skew_ns = nearest[0] - printed_ns

    @property
    def kills(self) -> tuple[VictimMarked, ...]:
        """Those without a line so far."""
        return tuple(self._traced.values())

    def find(self, missing: int, *, before_ns: int) -> list[VictimMarked]:
        """Return the kills before `before_ns` without a line where they are at most `missing`, else those of
        them that no earlier agent has read; nothing where these are more, too, for then it is open which of
        them are recorded already."""
        kills = [kill for kill in self._traced.values() if kill.time_ns < before_ns]
        if len(kills) > missing:
            kills = [kill for kill in kills if kill.time_ns >= self.replayed_until_ns]
        return kills if len(kills) <= missing else []

    def drop(self, kill: VictimMarked) -> None:
        """Forget one that is recorded."""
        del self._traced[kill.time_ns, kill.pid]

    def trace_read(self) -> None:
        """Note that the trace was read after the lines that were taken. The kernel traces a kill before it
        prints it, so an earlier agent has read the trace of the lines that are left; a later kill may have
        such a pid."""
        self._logged.clear()

    def settled(self) -> None:
        """Forget everything: each kill until now is recorded, or known to be missing."""
        self._traced.clear()
        self._logged.clear()


_Key = TypeVar("_Key")
_Event = TypeVar("_Event", bound=TraceEvent)


def _keep(table: dict[_Key, _Event], key: _Key, event: _Event) -> None:
    table.pop(key, None)
    table[key] = event
    drop_oldest(table, most=REMEMBERED)
