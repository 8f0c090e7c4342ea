"""Who sent a SIGKILL, and to which container: read from /proc while sender and victim are there, and from the
cgroups that the kernel's events tell for those that are gone.

A process that was found gone has no executable and, unless the events tell it, no cgroup; the kernel may have
noted its name. A name proves nothing: any process may take any."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oomkeeper.kernel.bounded_read import read_bytes
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.kubepods import parse_own_cgroup
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.report.text import readable
from oomkeeper.kernel.tracefs.formats import TraceFormatError
from oomkeeper.kernel.tracefs.process_names import noted_comms
from oomkeeper.model.escaping import printable

from .process_cgroups import PlacedSignal, lives_on, process_of, started_ns_of
from .shared_kernel import SharedKernel
from .signal_origin import Origin, TracedSignal
from .traced_cgroups import SAME_KILL_NS, TracedCgroups

MOST_READ = 64
"""Senders that are looked for in /proc in one reading; those of earlier signals are taken as gone."""
_LONGEST_EXE = 256


class SentSignal(NamedTuple):
    """A SIGKILL with what is known of its sender and of the process that it hit."""

    time_ns: int
    """CLOCK_MONOTONIC."""
    pid: int
    comm: str
    by_pid: int
    """The sender's process; the thread that sent it where it was gone."""
    origin: Origin
    path: str | None
    """Cgroup of the process that was hit, as this node's cgroup file system has it; None if unknown."""
    container_id: str | None
    """The container that was hit; None for a process outside of the node's containers, or if unknown."""
    elsewhere: bool = False
    """The process that was hit is outside of this node, which is a container."""
    by_path: str | None = None
    """Cgroup of the sender; None if unknown."""
    by_elsewhere: bool = False
    """The sender is outside of this node, which is a container."""
    by_comm: str | None = None
    by_exe: str | None = None
    by_gone: bool = False


class _Process(NamedTuple):
    pid: int
    path: str | None
    comm: str | None
    exe: str | None


class KillSenders:
    """Used from any thread."""

    def __init__(
        self,
        *,
        hierarchy: CgroupHierarchy,
        shared: SharedKernel,
        container_of_first: Callable[[int], str | None] = lambda _pid: None,
        suspended_ns: int | None = None,
    ) -> None:
        """`container_of_first` returns the container whose first process has a number."""
        self._hierarchy = hierarchy
        self._namespace = CgroupNamespace(hierarchy)
        self._shared = shared
        self._container_of_first = container_of_first
        if suspended_ns is None:
            suspended_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
        self._suspended_ns = suspended_ns

    def find(
        self, signals: Sequence[TracedSignal], *, tracefs: Path, cgroups: TracedCgroups | None
    ) -> list[SentSignal]:
        """Return the signals with their senders. Call it as soon as they were sent."""
        read = [self._read(signal) for signal in signals[-MOST_READ:]]
        hit = [self._path_of_hit(signal) for signal in signals[-MOST_READ:]]
        earlier = len(signals) - len(read)
        placed = _placed(cgroups)
        comms: Mapping[int, bytes] | None = None
        found = []
        for number, signal in enumerate(signals):
            sender = read[number - earlier] if number >= earlier else None
            path_now = hit[number - earlier] if number >= earlier else None
            if sender is None and signal.origin is Origin.PROCESS and comms is None:
                comms = noted_comms(tracefs)
            found.append(self._joined(signal, sender, path_now, placed, comms or {}))
        return found

    def _joined(
        self,
        signal: TracedSignal,
        sender: _Process | None,
        path_now: str | None,
        placed: Iterable[PlacedSignal],
        comms: Mapping[int, bytes],
    ) -> SentSignal:
        traced = next(
            (
                one
                for one in placed
                if one.pid == signal.pid
                and one.by_pid == signal.by_pid
                and abs(one.time_ns - signal.time_ns) < SAME_KILL_NS
            ),
            None,
        )
        path, hit_elsewhere = path_now, False
        if traced is not None and traced.path is not None:
            path = self._own(traced.path)
            hit_elsewhere = path is None
        kube = parse_own_cgroup(path) if path is not None else None
        container_id = kube.container_id if kube is not None else None
        if path is None and not hit_elsewhere:
            container_id = self._container_of_first(signal.pid)
        made = SentSignal(
            time_ns=signal.time_ns,
            pid=signal.pid,
            comm=printable(readable(signal.comm)),
            by_pid=signal.by_pid,
            origin=signal.origin,
            path=path,
            container_id=container_id,
            elsewhere=hit_elsewhere,
        )
        if signal.origin is not Origin.PROCESS:
            return made
        by_path, elsewhere = sender.path if sender is not None else None, False
        if traced is not None and traced.by_path is not None:
            by_path = self._own(traced.by_path)
            elsewhere = by_path is None
        comm = sender.comm if sender is not None else None
        if comm is None and (noted := comms.get(signal.by_pid)) is not None:
            comm = readable(noted)
        return made._replace(
            by_pid=sender.pid if sender is not None else signal.by_pid,
            by_path=by_path,
            by_elsewhere=elsewhere,
            by_comm=printable(comm) if comm is not None else None,
            by_exe=printable(sender.exe)[:_LONGEST_EXE] if sender is not None and sender.exe else None,
            by_gone=sender is None,
        )

    def _own(self, path: str) -> str | None:
        return self._shared.own_path(path)

    def _read(self, signal: TracedSignal) -> _Process | None:
        """Return the sender as /proc has it; None for one that is gone, or whose number is another's now."""
        if signal.origin is not Origin.PROCESS or not self._is_there(signal.by_pid, signal.time_ns):
            return None
        pid = process_of(self._hierarchy.proc / str(signal.by_pid)) or signal.by_pid
        folder = self._hierarchy.proc / str(pid)
        try:
            comm = readable(read_bytes(folder / "comm").removesuffix(b"\n"))
        except OSError:
            return None
        try:
            exe = str((folder / "exe").readlink())
        except OSError:
            exe = None  # a kernel thread, or a process that is exiting
        path = self._namespace.path_of(pid)
        if path == "/" and self._hierarchy.version == 1 and not lives_on(pid, proc=self._hierarchy.proc):
            path = None  # on v1 an exiting task reports the root
        return _Process(pid, path, comm, exe)

    def _path_of_hit(self, signal: TracedSignal) -> str | None:
        """Return the cgroup of a process that is dying, as far as /proc still has it."""
        if not self._is_there(signal.pid, signal.time_ns):
            return None
        path = self._namespace.path_of(signal.pid)
        return None if path == "/" and self._hierarchy.version == 1 else path

    def _is_there(self, pid: int, time_ns: int) -> bool:
        if not self._shared.kernel_pids or pid <= 0:
            return False
        started_ns = started_ns_of(self._hierarchy.proc / str(pid))
        return started_ns is not None and started_ns <= time_ns + self._suspended_ns


def _placed(cgroups: TracedCgroups | None) -> list[PlacedSignal]:
    if cgroups is None:
        return []
    try:
        return cgroups.of_signals()[::-1]
    except (OSError, TraceFormatError):
        return []
