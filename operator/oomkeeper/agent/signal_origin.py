"""What sent each SIGKILL that the kernel traced: a process, the OOM killer, or the kernel itself. Pure."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from oomkeeper.kernel.tracefs.events import SI_KERNEL, SignalSent, TraceEvent, VictimMarked

from .bounded_table import drop_oldest

GROUP_NS = 1_000_000_000
"""With memory.oom.group the first victim is killed, and counted, once more with the others, all in one go."""
DELIVERED = 0
"""`result` of a signal that was queued (include/trace/events/signal.h, TRACE_SIGNAL_DELIVERED)."""


class Origin(StrEnum):
    """What sent a signal."""

    PROCESS = "Process"
    OOM_KILLER = "OOMKiller"
    KERNEL = "Kernel"


class TracedSignal(NamedTuple):
    """One SIGKILL that was delivered."""

    time_ns: int
    pid: int
    comm: bytes
    by_pid: int
    origin: Origin


class SignalOrigins:
    """Tells what sent each SIGKILL: a process, the OOM killer, or the kernel for another reason.

    Left out is what the kernel sends to the rest of a pid namespace whose first process ends
    (kernel/pid_namespace.c, zap_pid_ns_processes()), what is ignored (a signal from inside to the first
    process of a pid namespace), and what follows a SIGKILL that is pending already.
    """

    def __init__(self) -> None:
        self._open: list[SignalSent] = []
        """Signals of the kernel to the running task, whose mark as a victim may follow."""
        self._invokers: dict[int, int] = {}
        """Task that ran the OOM killer -> when it did last."""

    def take(self, events: Iterable[TraceEvent], kills: Iterable[VictimMarked]) -> list[TracedSignal]:
        """Return the signals among the events, in order; `kills` are the OOM kills among them."""
        victims = {kill.pid for kill in kills}
        found = [
            TracedSignal(kill.time_ns, kill.pid, kill.comm or b"", kill.by_pid, Origin.OOM_KILLER)
            for kill in kills
        ]
        for kill in kills:
            _keep_number(self._invokers, kill.by_pid, kill.time_ns)
        waiting, self._open = self._open, []
        found += [_traced(sent, Origin.KERNEL) for sent in waiting if sent.pid not in victims]
        for event in events:
            if not isinstance(event, SignalSent) or event.result != DELIVERED:
                continue
            if event.code != SI_KERNEL:
                found.append(_traced(event, Origin.PROCESS))
            elif event.pid in victims:
                continue
            elif self._shares_memory(event):
                found.append(_traced(event, Origin.OOM_KILLER))
            elif event.by_pid == event.pid:
                self._open.append(event)
        return sorted(found)

    def _shares_memory(self, sent: SignalSent) -> bool:
        """Return whether the OOM killer sent it to a process that has its victim's memory, which it neither
        counts nor marks."""
        ran = self._invokers.get(sent.by_pid)
        return ran is not None and abs(sent.time_ns - ran) < GROUP_NS and sent.by_pid != sent.pid


def _traced(sent: SignalSent, origin: Origin) -> TracedSignal:
    return TracedSignal(sent.time_ns, sent.pid, sent.comm, sent.by_pid, origin)


def _keep_number(table: dict[int, int], pid: int, number: int) -> None:
    table.pop(pid, None)
    table[pid] = number
    drop_oldest(table, most=64)
