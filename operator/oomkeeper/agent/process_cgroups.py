"""Which cgroup each victim of the OOM killer was in when it was killed, from the kernel's events.

The events are taken in their order: a process made, moved to a cgroup, killed by the OOM killer. A process is
in its parent's cgroup until it is moved. So the answer holds for the moment of the kill, also for a victim
that is gone, and for one whose number belongs to another process since. Where an event is missing, nothing is
answered.
"""

import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oomkeeper.kernel.bounded_read import read_bytes
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.dying import is_dying
from oomkeeper.kernel.tracefs.events import (
    CLONE_INTO_CGROUP,
    SI_KERNEL,
    CgroupJoined,
    ProcessMade,
    SignalSent,
    TraceEvent,
    VictimMarked,
)

from .bounded_table import drop_oldest

LONGEST_PATH_BYTES = 1023
"""The kernel cuts a longer one off (kernel/cgroup/cgroup.c, TRACE_CGROUP_PATH_LEN)."""
REMEMBERED = 8192
REMEMBERED_SIGNALS = 512
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ChosenVictim(NamedTuple):
    """A process that the OOM killer killed."""

    time_ns: int
    pid: int
    path: str | None
    """Its cgroup, from the hierarchy's root; None where the events do not tell."""


class PlacedSignal(NamedTuple):
    """A SIGKILL, with the cgroups of both sides when it was sent, from the hierarchy's root; None where the
    events do not tell."""

    time_ns: int
    pid: int
    by_pid: int
    path: str | None
    by_path: str | None


class ProcessCgroups:
    """Follows the processes that were made or moved as far back as the ring buffer goes."""

    def __init__(self, namespace: CgroupNamespace, *, suspended_ns: int | None = None) -> None:
        """`suspended_ns`: how much CLOCK_BOOTTIME, which dates processes, is ahead of CLOCK_MONOTONIC."""
        self._namespace = namespace
        self._hierarchy = namespace.hierarchy
        self._id = self._hierarchy.id()
        if suspended_ns is None:
            suspended_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
        self._suspended_ns = suspended_ns
        self._paths: dict[int, str | None] = {}
        self._looked_up: set[int] = set()
        """Processes whose path was read from /proc after the last events. Where the next events move one of
        them, it may have moved before it was read."""
        self._born: list[int] = []
        """Processes that the last events made."""
        self._signalled: dict[int, int] = {}
        self.signals: deque[PlacedSignal] = deque(maxlen=REMEMBERED_SIGNALS)
        """The last SIGKILLs, oldest first."""

    def take(self, events: Sequence[TraceEvent], *, complete_since: int | None) -> list[ChosenVictim]:
        """Return the victims among the events. `complete_since`: events before this time were lost, and what
        was known before them is no longer true."""
        if complete_since is not None:
            self._paths.clear()
            events = [event for event in events if event.time_ns >= complete_since]
        changes = {
            event.pid: at for at, event in enumerate(events) if isinstance(event, CgroupJoined | ProcessMade)
        }
        if not self._looked_up.isdisjoint(changes):
            for pid in (*self._looked_up, *self._born):
                self._paths.pop(pid, None)
        self._looked_up, self._born = set(), []
        victims = []
        for at, event in enumerate(events):
            if isinstance(event, CgroupJoined):
                if event.hierarchy == self._id:
                    cut = len(event.path) >= LONGEST_PATH_BYTES
                    self._put(event.pid, None if cut else os.fsdecode(event.path))
            elif isinstance(event, ProcessMade):
                self._put(event.pid, self._birthplace(event, at=at, changes=changes))
                self._born.append(event.pid)
            elif isinstance(event, SignalSent):
                if event.code == SI_KERNEL:
                    self._signalled[event.pid] = event.by_pid
                    drop_oldest(self._signalled, most=64)
                path, by_path = self._paths.get(event.pid), self._paths.get(event.by_pid)
                self.signals.append(PlacedSignal(event.time_ns, event.pid, event.by_pid, path, by_path))
            elif isinstance(event, VictimMarked) and self._signalled.pop(event.pid, None) == event.by_pid:
                # Without the signal it was dying anyway: not counted, and not in the log.
                victims.append(ChosenVictim(event.time_ns, event.pid, self._paths.get(event.pid)))
        return victims

    def _put(self, pid: int, path: str | None) -> None:
        self._paths.pop(pid, None)
        self._paths[pid] = path
        drop_oldest(self._paths, most=REMEMBERED)

    def _birthplace(self, made: ProcessMade, *, at: int, changes: Mapping[int, int]) -> str | None:
        """Return the new process's first cgroup. `at` is the event's place, `changes` the place of each
        process's last event."""
        if made.clone_flags & CLONE_INTO_CGROUP and self._id == 0:
            return None
        if (path := self._paths.get(made.by_pid)) is not None:
            return path
        # The parent is older than the oldest event, or its own parent was gone before it was looked at: its
        # cgroup now is the one then, unless it moved since.
        proc = self._hierarchy.proc / str(made.by_pid)
        process = process_of(proc)
        if process is not None and (path := self._paths.get(process)) is not None:
            return path
        if process is None or max(changes.get(made.by_pid, -1), changes.get(process, -1)) > at:
            return None
        path = self._namespace.path_of(made.by_pid)
        started_ns = started_ns_of(proc)
        if path is None or started_ns is None or started_ns > made.time_ns + self._suspended_ns:
            return None
        if path == "/" and self._hierarchy.version == 1 and not lives_on(made.by_pid, proc=proc.parent):
            path = None  # an exiting task reports the root
        # Kept: to read three files for each fork of a busy shell takes longer than the shell.
        self._put(process, path)
        self._looked_up.add(process)
        return path


def lives_on(pid: int, *, proc: Path) -> bool:
    """Return whether a task exists and is not about to end; what was read of it before is then its own."""
    return not is_dying(pid, proc=proc) and (proc / str(pid)).exists()


def process_of(proc: Path) -> int | None:
    """Return the number of the process that a thread belongs to; None when it is gone."""
    try:
        status = read_bytes(proc / "status")
    except OSError:
        return None
    # The name comes first, with newlines escaped.
    for line in status.splitlines():
        if line.startswith(b"Tgid:"):
            return int(line[5:])
    return None


def started_ns_of(proc: Path) -> int | None:
    """Return when the task began, in nanoseconds of CLOCK_BOOTTIME, rounded down to ticks."""
    try:
        fields = read_bytes(proc / "stat").rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[19]) * 1_000_000_000 // _TICKS_PER_SECOND if len(fields) > 19 else None
