"""The cgroups of the OOM killer's victims, from an instance of the kernel's tracing."""

import threading
from collections import defaultdict, deque
from pathlib import Path

from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.events import CLONE_THREAD, SIGKILL
from oomkeeper.kernel.tracefs.instance import TraceInstance

from .process_cgroups import ChosenVictim, PlacedSignal, ProcessCgroups
from .shared_kernel import SharedKernel

INSTANCE = "oomkeeper-cgroups"
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


class TracedCgroups:
    """Reads the instance. Used from the observer's thread and the loop's."""

    def __init__(
        self,
        tracefs: Path,
        *,
        namespace: CgroupNamespace,
        shared: SharedKernel,
        instance: str = INSTANCE,
    ) -> None:
        """Raises InstanceBusyError and TracefsUnavailableError."""
        self._instance = TraceInstance(
            tracefs, instance, events=EVENTS, buffer_kib=BUFFER_KIB, joins_cpus=True
        )
        self._processes = ProcessCgroups(namespace)
        self._shared = shared
        self._victims: defaultdict[int, deque[ChosenVictim]] = defaultdict(deque)
        self._unclaimed: deque[ChosenVictim] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def of_victim(self, pid: int) -> str | None:
        """Return the cgroup of a process that the log says was killed, as this node's cgroup file system has
        it; None where the events do not tell. Each call stands for one kill of this pid, in the log's order.
        Raises OSError and TraceFormatError."""
        with self._lock:
            if pid not in self._victims:
                self._drain()
            chosen = self._victims.get(pid)
            if not chosen:
                return None
            victim = chosen.popleft()
            if not chosen:
                del self._victims[pid]
        return self._own_path(victim)

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

    def _drain(self) -> None:
        events, complete_since = self._instance.read()
        for victim in self._processes.take(events, complete_since=complete_since):
            self._victims[victim.pid].append(victim)

    def _own_path(self, victim: ChosenVictim) -> str | None:
        return self._shared.own_path(victim.path) if victim.path is not None else None

    def close(self) -> None:
        """Stop reading; the instance stays and goes on recording."""
        self._instance.close()
