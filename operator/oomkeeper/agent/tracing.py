"""oomkeeper's part of the kernel's tracing: which instances there are, and whether they can be read.

Without tracefs (not mounted and not mountable, locked down, another agent of this kernel has it) all works as
on a kernel without it; `problem` says why.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.events import VictimMarked
from oomkeeper.kernel.tracefs.formats import TraceFormatError
from oomkeeper.kernel.tracefs.instance import remove_instance
from oomkeeper.kernel.tracefs.location import Tracefs, TracefsUnavailableError
from oomkeeper.logformat import get_logger

from . import traced_cgroups, traced_kills
from .kill_senders import KillSenders, SentSignal
from .shared_kernel import SharedKernel
from .signal_thread import SignalThread
from .traced_cgroups import TracedCgroups
from .traced_kills import TracedKills, UnloggedKills

log = get_logger(__name__)


PRINTED_SECONDS = 1.0
"""The kernel traces a kill a moment before it prints it. Shorter than what the account waits for."""


Recorded = Callable[[Sequence[VictimMarked], int], set[VictimMarked]]
"""Given kills, and how much the trace's clock is ahead of the log's in nanoseconds."""


class KernelTracing:
    """Opens the instances of this agent."""

    def __init__(
        self,
        *,
        tracefs: Path,
        hierarchy: CgroupHierarchy,
        shared: SharedKernel,
        since_ns: int = 0,
        senders: KillSenders | None = None,
        signals_found: Callable[[], None] = lambda: None,
        unlogged: UnloggedKills | None = None,
        state_folder: Path | None = None,
        boot_id: str = "",
    ) -> None:
        """`tracefs` is where the host mounts it. Kills before `since_ns` (CLOCK_MONOTONIC) are left out: the
        instance has recorded them for an agent with another account. `senders` None: who sent SIGKILLs is not
        asked for; `signals_found` is called from another thread. `unlogged` outlives this object. In
        `state_folder` what was read is kept for the agent that comes after kill -9."""
        self._senders = senders
        self._signals_found = signals_found
        self._signals: SignalThread | None = None
        self._where = tracefs
        self._state_folder = state_folder
        self._boot_id = boot_id
        self._hierarchy = hierarchy
        self._shared = shared
        self._since_ns = since_ns
        self._tracefs: Tracefs | None = None
        self.problem: str | None = None
        self.cgroups: TracedCgroups | None = None
        self.kills: TracedKills | None = None
        self.signals: deque[SentSignal] = deque(maxlen=traced_kills.REMEMBERED)
        """SIGKILLs with their senders; the reader takes them out."""
        self._unlogged = unlogged or UnloggedKills()
        self.log_read_until = 0.0
        """Up to when the kernel's log is read, in seconds of CLOCK_MONOTONIC."""

    def open(self) -> None:
        """Open what is not open; sets `cgroups` and `kills`, or `problem`."""
        try:
            if self._tracefs is None:
                self._tracefs = Tracefs.find(self._where)
            kills, cgroups = instance_names(in_container=self._shared.container_id is not None)
            if self.kills is None:
                self.kills = TracedKills(
                    self._tracefs.root,
                    instance=kills,
                    spool=self._spool(traced_kills.SPOOL_NAME),
                    boot_id=self._boot_id,
                )
                self._unlogged.skew_ns = self.kills.skew_ns
                if self._unlogged.read_until_ns:  # by this process, before its loop was built anew
                    self.kills.drop_until(self._unlogged.read_until_ns)
                else:
                    self._unlogged.replayed_until_ns = self.kills.replayed_until_ns
            self.cgroups = self.cgroups or TracedCgroups(
                self._tracefs.root,
                namespace=CgroupNamespace(self._hierarchy),
                shared=self._shared,
                instance=cgroups,
                spool=self._spool(traced_cgroups.SPOOL_NAME),
                boot_id=self._boot_id,
            )
        except TracefsUnavailableError as error:
            if self.problem is None:
                log.warning("kernel tracing unavailable", error=error)
            self.problem = str(error)
            return
        self.problem = None
        if self._senders is not None and self._signals is None:
            self._signals = SignalThread(
                kills=self.kills,
                cgroups=lambda: self.cgroups,
                senders=self._senders,
                tracefs=self._tracefs.root,
                found=self._signals_found,
            )

    def _spool(self, name: str) -> Path | None:
        return self._state_folder / name if self._state_folder is not None else None

    @property
    def complete_since_ns(self) -> int | None:
        """Since when (CLOCK_MONOTONIC) no record is missing, where it began or was interrupted under this
        agent; None where the instance is older and has lost nothing since."""
        return self.kills.complete_since_ns if self.kills is not None else None

    @property
    def lost(self) -> int:
        """Records of kills that were overwritten before they were read."""
        return self.kills.lost if self.kills is not None else 0

    def read(self, logged: deque[tuple[int, int | None]]) -> None:
        """Take the kills that were traced, and those that the log has: pid and time of the line in
        microseconds."""
        while logged:
            pid, usec = logged.popleft()
            self._unlogged.logged(pid, usec=usec)
        if self.kills is None:
            return
        self.kills.keep_skew(self._unlogged.skew_ns)
        try:
            if self._signals is not None:
                self.signals += [one for one in self._signals.take() if one.time_ns >= self._since_ns]
            kills = [kill for kill in self.kills.read() if kill.time_ns >= self._since_ns]
            self._unlogged.traced(kills)
            for kill in kills:
                self._unlogged.read_until_ns = max(self._unlogged.read_until_ns, kill.time_ns)
            self._unlogged.trace_read()
        except (OSError, TraceFormatError) as error:
            log.warning("tracing of kills ended", error=error)
            self.problem = str(error)
            self._stop_signals()
            self.kills.close()
            self.kills = None

    def take_unlogged(self, missing: int, *, recorded: Recorded) -> Iterator[tuple[VictimMarked, str | None]]:
        """Yield kills without a line in the log, which was read further than to them, with their cgroups; at
        most `missing`. Each is forgotten once the next one is asked for: recording it may fail. `recorded`
        returns those whose line an earlier agent has read."""
        before = self.log_read_until - PRINTED_SECONDS
        for kill in recorded(self._unlogged.kills, self._unlogged.skew_ns):
            self._unlogged.drop(kill)
        for kill in self._unlogged.find(missing, before_ns=int(before * 1e9)):
            yield kill, self._cgroup_of(kill)
            self._unlogged.drop(kill)

    @property
    def unlogged(self) -> tuple[VictimMarked, ...]:
        """Kills whose line in the log has not been read, in order."""
        return self._unlogged.kills

    def restore_unlogged(self, kills: Iterable[VictimMarked]) -> None:
        """Take over what an earlier run had read from the trace."""
        self._unlogged.traced(kills)

    def settled(self) -> None:
        """Note that every kill until now is recorded or known to be missing."""
        self._unlogged.settled()

    def _cgroup_of(self, kill: VictimMarked) -> str | None:
        if self.cgroups is None:
            return None
        try:
            return self.cgroups.of_unlogged(kill.pid, time_ns=kill.time_ns)
        except (OSError, TraceFormatError):
            return None

    def _stop_signals(self) -> None:
        if self._signals is not None:
            self._signals.stop()
            self._signals = None

    def remove(self) -> None:
        """Stop reading, and remove the instances from the kernel."""
        tracing = self.kills is not None or self.cgroups is not None
        self.close()
        if tracing:
            remove_trace_instances(tracefs=self._where, in_container=self._shared.container_id is not None)
        for name in (traced_kills.SPOOL_NAME, traced_cgroups.SPOOL_NAME):
            if (spool := self._spool(name)) is not None:
                with suppress(OSError):
                    spool.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop reading; the instances stay and go on recording."""
        self._stop_signals()
        for one in (self.kills, self.cgroups):
            if one is not None:
                one.close()
        if self._tracefs is not None:
            self._tracefs.close()


def instance_names(*, in_container: bool) -> tuple[str, str]:
    """Return the names of the instances of kills and of cgroups.

    The agents of nodes that are containers (kind) share a pair, which one of them reads, so that the
    machine's own agent never has to do without.
    """
    names = traced_kills.INSTANCE, traced_cgroups.INSTANCE
    return (f"{names[0]}-node", f"{names[1]}-node") if in_container else names


def remove_trace_instances(*, tracefs: Path, in_container: bool = False) -> None:
    """Remove the instances from the kernel. One that a running agent reads stays."""
    try:
        found = Tracefs.find(tracefs)
    except TracefsUnavailableError:
        return  # then there are none
    try:
        for name in instance_names(in_container=in_container):
            remove_instance(found.root, name)
    except TracefsUnavailableError as error:
        log.warning("trace instance not removed", error=error)
    finally:
        found.close()
