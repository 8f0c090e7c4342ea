"""The cgroups of the OOM killer's victims, from an instance of the kernel's tracing."""

import threading
import time
from collections import defaultdict, deque
from pathlib import Path

from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.events import CLONE_THREAD, SIGKILL
from oomkeeper.kernel.tracefs.instance import TraceInstance
from oomkeeper.logformat import get_logger

from .process_cgroups import ChosenVictim, PlacedSignal, ProcessCgroups
from .shared_kernel import SharedKernel

log = get_logger(__name__)

INSTANCE = "oomkeeper-cgroups"
SPOOL_NAME = "cgroup-trace"
BUFFER_KIB = 128
"""For all CPUs together: some 2,700 processes made or moved. It is read when a kill needs it."""
EVENTS = {
    "cgroup/cgroup_attach_task": None,
    # runc and crun live for milliseconds, and send their signals from any of their threads.
    "task/task_newtask": f'!(clone_flags & {CLONE_THREAD}) || comm == "runc" || comm == "crun"',
    "signal/signal_generate": f"sig == {SIGKILL}",
    "oom/mark_victim": None,
}
SAME_KILL_NS = 10_000_000
"""The instances date one event separately."""
REMEMBERED = 1024
"""Kills without a line in the log whose cgroup is kept: those of a minute at 1,000 a minute."""
UNCLAIMED_NS = 10_000_000_000
"""A kill whose line is not in the log after so long will never have one."""
SAME_LINE_NS = 10_000_000_000
"""A process number is not given to another process so soon. Both clocks drift apart by that in days."""


class TracedCgroups:
    """Reads the instance. Used from the observer's thread and the loop's."""

    def __init__(
        self,
        tracefs: Path,
        *,
        namespace: CgroupNamespace,
        shared: SharedKernel,
        instance: str = INSTANCE,
        spool: Path | None = None,
        boot_id: str = "",
    ) -> None:
        """`spool`: the file for what was read, so that it outlives kill -9. Raises InstanceBusyError and
        TracefsUnavailableError."""
        self._instance = TraceInstance(
            tracefs,
            instance,
            events=EVENTS,
            buffer_kib=BUFFER_KIB,
            joins_cpus=True,
            spool=spool,
            boot_id=boot_id,
        )
        if self._instance.spool_problem is not None:
            log.warning("trace of cgroups is not kept over kill -9", error=self._instance.spool_problem)
        self._perhaps_claimed_before = time.monotonic_ns() if self._instance.has_spooled else 0
        """An earlier agent may have dealt with the lines of victims until then."""
        self._processes = ProcessCgroups(namespace)
        self._shared = shared
        self._victims: defaultdict[int, deque[ChosenVictim]] = defaultdict(deque)
        self._unclaimed: deque[ChosenVictim] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def of_victim(self, pid: int, *, usec: int | None = None) -> str | None:
        """Return the cgroup of a process that the log says was killed, as this node's cgroup file system has
        it; None where the events do not tell. Each call stands for one kill of this pid, in the log's order;
        `usec` is the line's time. Raises OSError and TraceFormatError."""
        with self._lock:
            if pid not in self._victims:
                self._drain()
            victim = self._claim(pid, usec)
        return self._own_path(victim) if victim is not None else None

    def of_unlogged(self, pid: int, *, time_ns: int) -> str | None:
        """Return the same for a kill at this time that has no line in the log."""
        with self._lock:
            self._drain()
            for victim in (*self._unclaimed, *self._victims.get(pid, ())):
                if victim.pid == pid and abs(victim.time_ns - time_ns) < SAME_KILL_NS:
                    return self._own_path(victim)
        return None

    def of_signals(self) -> list[PlacedSignal]:
        """Return the last SIGKILLs, with paths from the hierarchy's root. Raises OSError and
        TraceFormatError."""
        with self._lock:
            self._drain()
            return [*self._processes.signals]

    def forget_unclaimed(self, *, now_ns: int) -> None:
        """Set kills aside whose line was lost, so that they are not taken for a later kill of the same pid.
        Call it when the log is read to its end; `now_ns` is CLOCK_MONOTONIC."""
        with self._lock:
            for pid, chosen in list(self._victims.items()):
                while chosen and chosen[0].time_ns < now_ns - UNCLAIMED_NS:
                    self._unclaimed.append(chosen.popleft())
                if not chosen:
                    del self._victims[pid]

    def _claim(self, pid: int, usec: int | None) -> ChosenVictim | None:
        chosen = self._victims.get(pid, deque())
        victim = None
        while chosen and victim is None:
            first = chosen.popleft()
            if first.time_ns >= self._perhaps_claimed_before:
                victim = first
                if usec is not None:
                    self._instance.keep_skew(first.time_ns - usec * 1000)
            elif usec is not None and self._is_of_line(first, usec):
                victim = first
            else:
                self._unclaimed.append(first)
        if not chosen:
            self._victims.pop(pid, None)
        return victim

    def _is_of_line(self, victim: ChosenVictim, usec: int) -> bool:
        return abs(victim.time_ns - usec * 1000 - self._instance.skew_ns) < SAME_LINE_NS

    def _drain(self) -> None:
        events, complete_since = self._instance.read()
        for victim in self._processes.take(events, complete_since=complete_since):
            self._victims[victim.pid].append(victim)

    def _own_path(self, victim: ChosenVictim) -> str | None:
        return self._shared.own_path(victim.path) if victim.path is not None else None

    def close(self) -> None:
        """Stop reading; the instance stays and goes on recording."""
        self._instance.close()
