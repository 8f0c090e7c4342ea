"""The cgroups of the OOM killer's victims, from an instance of the kernel's tracing."""

from collections import defaultdict, deque
from pathlib import Path

from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.events import CLONE_THREAD, SI_KERNEL, SIGKILL
from oomkeeper.kernel.tracefs.instance import TraceInstance

from .process_cgroups import ChosenVictim, ProcessCgroups
from .shared_kernel import SharedKernel

INSTANCE = "oomkeeper-cgroups"
BUFFER_KIB = 128
"""For all CPUs together: some 2,700 processes made or moved. It is read when a kill needs it."""
EVENTS = {
    "cgroup/cgroup_attach_task": None,
    "task/task_newtask": f"!(clone_flags & {CLONE_THREAD})",
    "signal/signal_generate": f"sig == {SIGKILL} && code == {SI_KERNEL}",
    "oom/mark_victim": None,
}
UNCLAIMED_NS = 10_000_000_000
"""A kill whose line is not in the log after so long will never have one."""


class TracedCgroups:
    """Reads the instance. Used from the observer's thread."""

    def __init__(self, tracefs: Path, *, namespace: CgroupNamespace, shared: SharedKernel) -> None:
        """Raises InstanceBusyError and TracefsUnavailableError."""
        self._instance = TraceInstance(tracefs, INSTANCE, events=EVENTS, buffer_kib=BUFFER_KIB)
        self._processes = ProcessCgroups(namespace)
        self._shared = shared
        self._victims: defaultdict[int, deque[ChosenVictim]] = defaultdict(deque)

    def of_victim(self, pid: int) -> str | None:
        """Return the cgroup of a process that the log says was killed, as this node's cgroup file system has
        it; None where the events do not tell. Each call stands for one kill of this pid, in the log's order.
        Raises OSError and TraceFormatError."""
        events, complete_since = self._instance.read()
        if complete_since is not None:
            self._victims.clear()
        for victim in self._processes.take(events, complete_since=complete_since):
            self._victims[victim.pid].append(victim)
        chosen = self._victims.get(pid)
        if not chosen:
            return None
        victim = chosen.popleft()
        if not chosen:
            del self._victims[pid]
        return self._shared.own_path(victim.path) if victim.path is not None else None

    def forget_unclaimed(self, *, now_ns: int) -> None:
        """Forget kills whose line was lost, so that they are not taken for a later kill of the same pid. Call
        it when the log is read to its end; `now_ns` is CLOCK_MONOTONIC."""
        for pid, chosen in list(self._victims.items()):
            while chosen and chosen[0].time_ns < now_ns - UNCLAIMED_NS:
                chosen.popleft()
            if not chosen:
                del self._victims[pid]

    def close(self) -> None:
        """Stop reading; the instance stays and goes on recording."""
        self._instance.close()
