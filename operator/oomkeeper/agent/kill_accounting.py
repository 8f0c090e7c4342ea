"""The account: kills that /proc/vmstat counted against kills recorded; what stays open is published as
unattributed."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.kmsg import KmsgUnreadableError
from oomkeeper.kernel.live_log import open_live_log
from oomkeeper.kernel.vmstat import read_oom_kills

from .cgroup_kill_counters import first_counters
from .clock import rfc3339
from .log_follower import OpenLog
from .records import BEFORE_INSTALL_NOTE, BeforeInstallNote, KernelCount
from .store import BootRow, Store

KERNEL_COUNT_NOTE = "kernel count"
"""Name in the store of the KernelCount."""
SETTLE_SECONDS = 2.0
"""The kernel counts a kill a moment before it prints it: a difference must last this long to be one."""
QUIET_SECONDS = 0.02
"""How long no kill may be counted where an account begins, for the line of the last one to be printed."""
STORM_QUIET_SECONDS = 0.001
"""The same where kills never leave the longer time: between count and line the kernel does not sleep."""
ATTEMPTS = 50
"""With the longer time first, then with the shorter one."""


class Account:
    """Keeps one boot's `unattributed` in the store."""

    def __init__(
        self,
        *,
        store: Store,
        boot: BootRow,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        recover: Callable[[int], None] = lambda _missing: None,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        """`recover` is called while so many kills are without a record, and may record some; `settled` when
        every kill until now is recorded or unattributed."""
        self._recover = recover
        self._settled = settled
        self._store = store
        self._boot_id = boot.boot_id
        self._proc = proc
        self._clock = clock
        self._difference: tuple[int, float] | None = None
        self._count = self._kernel_count(boot)

    def settle(self) -> None:
        """Compare. Call when the kernel log has been read to its end."""
        boot = self._store.boot(self._boot_id)
        counted = read_oom_kills(proc=self._proc)
        if boot is None or counted is None:
            return
        self._add_counted(counted)
        difference = max(0, counted - boot.vmstat_base - boot.recorded)
        if difference == boot.unattributed:
            self._difference = None
            self._settled()
            return
        if difference > boot.unattributed:
            # What the trace has is recorded without a wait: while kills go on, no difference lasts.
            self._recover(difference - boot.unattributed)
            boot = self._store.boot(self._boot_id) or boot
            difference = max(0, counted - boot.vmstat_base - boot.recorded)
        if difference > boot.unattributed:
            if self._difference is None or self._difference[0] != difference:
                self._difference = (difference, self._clock())
            if self._clock() - self._difference[1] < SETTLE_SECONDS:
                return
        self._difference = None
        more = max(0, difference - boot.unattributed)
        with self._store.transaction():
            self._store.set_unattributed(self._boot_id, difference)
            self._put_count(structs.replace(self._count, unattributed=self._count.unattributed + more))

    def _kernel_count(self, boot: BootRow) -> KernelCount:
        noted = self._store.note(KERNEL_COUNT_NOTE, KernelCount)
        if noted is None:
            return KernelCount(boot=boot.boot_id, counted=boot.vmstat_base)
        if noted.boot != boot.boot_id:
            return structs.replace(noted, boot=boot.boot_id, counted=boot.vmstat_base)
        return noted

    def _add_counted(self, counted: int) -> None:
        more = counted - self._count.counted
        if more > 0:
            self._put_count(structs.replace(self._count, counted=counted, kills=self._count.kills + more))

    def _put_count(self, count: KernelCount) -> None:
        self._store.put_note(KERNEL_COUNT_NOTE, count)
        self._count = count

    @property
    def open(self) -> bool:
        """True while a difference is being waited for."""
        return self._difference is not None


def open_boot(
    store: Store,
    *,
    boot_id: str,
    hierarchy: CgroupHierarchy,
    proc: Path = Path("/proc"),
    open_log: OpenLog = lambda seq: open_live_log(after_seq=seq),
    wall: Callable[[], float] = time.time,
) -> BootRow:
    """Return this boot's row in the store.

    Where an earlier run of this boot left it; on a node that an earlier boot is known of, from the beginning
    of the boot, so that kills before the agent's start are recorded or, where the log has lost them,
    unattributed; with a new state, from now on. What the log holds of the time before is noted to be read
    apart (before_install.py).

    For the latter the log's end, the kernel's count and the cgroups' counts are taken so that no kill lies
    between them. Where kills never stop, the last attempt counts: the few kills of its moment are taken from
    the trace, or are unattributed, and what is read apart ends before that moment. An unreadable log starts
    at -1, so that all it holds is read once it can be; nothing of it is read apart."""
    known = store.boot(boot_id)
    if known is not None:
        return known
    if store.knows_a_boot:
        return store.start_boot(boot_id=boot_id, since=rfc3339(wall()), cursor=-1, vmstat_base=0, counters={})
    newest = None
    for attempt in range(2 * ATTEMPTS):
        until = newest  # these were printed before they could be counted below
        since_ns = time.monotonic_ns()
        before = read_oom_kills(proc=proc) or 0
        time.sleep(QUIET_SECONDS if attempt < ATTEMPTS else STORM_QUIET_SECONDS)
        try:
            newest, readable = newest_seq(open_log), True
        except KmsgUnreadableError:
            newest, readable = None, False
        counters = first_counters(hierarchy)
        if (read_oom_kills(proc=proc) or 0) == before:
            until = newest
            break
    cursor = -1 if newest is None else newest
    if readable:
        # Before the boot: a crash in between begins anew.
        note = BeforeInstallNote(boot=boot_id, until=-1 if until is None else until, done=until is None)
        store.put_note(BEFORE_INSTALL_NOTE, note)
    row = store.start_boot(
        boot_id=boot_id,
        since=rfc3339(wall()),
        cursor=cursor,
        vmstat_base=before,
        counters=counters,
    )
    return replace(row, since_ns=since_ns)


def newest_seq(open_log: OpenLog) -> int | None:
    """Return the sequence number of the newest record; None if the log is empty. Raises
    KmsgUnreadableError."""
    reader = open_log(-1)
    try:
        seq = None
        for record in reader.read_available():
            seq = record.seq
        return seq
    finally:
        reader.close()
