"""One node's loop: the kernel log, what other threads post, and the clock, all handled in one thread that
owns the store.

Nothing here knows of Kubernetes; `oomkeeper node` runs it bare, `oomkeeper agent` posts pods and desired
state into it.
"""

import logging
import math
import os
import queue
import select
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.enclosure import enclosing_container, sees_kernel_pids
from oomkeeper.kernel.facts import read_node_facts
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError
from oomkeeper.kernel.sysctl import Sysctls

from .desired import Desired
from .kill_accounting import Account, open_boot
from .kill_recorder import KillRecorder
from .kubelet import KubeletFacts, KubeletFinder
from .oomscoreadj.enforcer import OomScoreAdjEnforcer
from .oomscoreadj.targets import NamespaceLabels, Targets
from .panics import PanicWatch
from .pods import PodTable
from .store import Store
from .sysctl_enforcer import KeptState, SysctlEnforcer
from .visibility import Visibility

log = logging.getLogger(__name__)

KEEP_SECONDS = 5.0
"""Between two looks at the sysctls: /proc/sys tells nobody when it is written."""
REOPEN_SECONDS = 10.0
"""Between two tries to open an unreadable kernel log."""
ADJUST_SPACING_SECONDS = 0.5
"""Least time between two looks at the processes, however fast the node's pods change."""

BATCH_RECORDS = 2000
VIEWS_NOTE = "sysctls"
"""Name in the store of the last pass's SysctlViews, for `oomkeeper status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """Where the host's files are, seen from this process."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    cgroup: Path = Path("/sys/fs/cgroup")
    etc: Path = Path("/etc")
    kmsg: Path = Path("/dev/kmsg")
    pstore: Path = Path("/sys/fs/pstore")
    pstore_archive: Path = Path("/var/lib/systemd/pstore")


class NodeLoop:
    """Build it in the thread that runs it."""

    def __init__(
        self,
        *,
        store: Store,
        node: str,
        host: HostPaths,
        pods: PodTable | None,
        operator_namespace: str,
        sink: Callable[[dict[str, Any]], None],
        changed: Callable[[], None] = lambda: None,
        kept: Callable[[KeptState, Desired], None] = lambda _kept, _desired: None,
        namespaces: NamespaceLabels = lambda _name: None,
    ) -> None:
        """`sink` gets each kill's record once; `changed` is called after the store changed; `kept` after
        each pass over the sysctls or the processes.

        Raises OSError where /proc is not there.
        """
        self.facts = read_node_facts(proc=host.proc, sys=host.sys, cgroup_root=host.cgroup)
        self._store = store
        self._host = host
        self._changed = changed
        self._kept = kept
        hierarchy = CgroupHierarchy.find(root=host.cgroup, proc=host.proc)
        boot = open_boot(
            store, boot_id=self.facts.boot_id, hierarchy=hierarchy, proc=host.proc, kmsg=host.kmsg
        )
        self._enclosure = enclosing_container(proc=host.proc) if pods is not None else None
        self._witness = KillRecorder(
            store=store,
            facts=self.facts,
            node=node,
            boot=boot,
            hierarchy=hierarchy,
            pods=pods,
            operator_namespace=operator_namespace,
            sink=sink,
            enclosure=self._enclosure,
            kernel_pids=sees_kernel_pids(proc=host.proc),
        )
        self._panics = PanicWatch(
            store=store,
            facts=self.facts,
            node=node,
            pods=pods,
            operator_namespace=operator_namespace,
            sink=sink,
            is_ours=self._witness.is_ours,
            pstore=host.pstore,
            archive=host.pstore_archive,
        )
        self._account = Account(store=store, boot=boot, proc=host.proc)
        self._keeper = SysctlEnforcer(
            store=store, sysctls=Sysctls(root=host.proc / "sys"), boot_id=self.facts.boot_id, etc=host.etc
        )
        self._adjuster = OomScoreAdjEnforcer(
            store=store,
            targets=Targets(
                hierarchy=hierarchy,
                cgroup_root=host.cgroup,
                pods=pods,
                proc=host.proc,
                namespaces=namespaces,
            ),
            boot_id=self.facts.boot_id,
            proc=host.proc,
        )
        self._kept_state = KeptState()
        self._kubelets = KubeletFinder(proc=host.proc)
        self._pods = pods
        self._visibility = (
            Visibility(
                store=store, node=node, pods=pods, operator_namespace=operator_namespace, since=boot.since
            )
            if pods is not None
            else None
        )
        self._cursor = boot.cursor
        self._inbox: queue.SimpleQueue[Callable[[NodeLoop], None]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._reader: KmsgReader | None = None
        self._reopen_at = 0.0
        self._keep_at = 0.0
        self._adjust_at = math.inf
        self._adjusted_at = 0.0
        self.kmsg_problem: str | None = None
        self.kubelet: KubeletFacts | None = None
        self.desired: Desired | None = None
        """None until it is known: nothing is applied, and nothing released, before."""

    @property
    def visibility(self) -> Visibility | None:
        return self._visibility

    @property
    def pods(self) -> PodTable | None:
        return self._pods

    def post(self, message: "Callable[[NodeLoop], None]") -> None:
        """Have something done in the loop's thread. Safe from any thread and from a signal handler."""
        self._inbox.put(message)
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            return  # the pipe is full: the loop is about to wake up anyway

    def stop(self) -> None:
        """End `run` after what has been read is stored."""
        self.post(NodeLoop._stop)

    def _stop(self) -> None:
        self._stopping = True

    def set_desired(self, desired: Desired) -> None:
        """Keep this from now on, beginning at once."""
        self.desired = desired
        self._witness.host_kills = desired.host_kills
        self._keep_at = 0.0

    def pods_changed(self) -> None:
        """The pod table has changed: kills may find their pods now, and new containers want adjusting."""
        self._witness.retry_waiting()
        self.adjust_soon()

    def adjust_soon(self) -> None:
        """Look at the processes again before it is time."""
        if self.desired is not None and self.desired.adjustments:
            self._adjust_at = min(self._adjust_at, self._adjusted_at + ADJUST_SPACING_SECONDS)

    def run(self) -> None:
        """Until `stop`."""
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        while not self._stopping:
            self._open_log(poller)
            changes = self._store.changes
            ready = poller.poll(self._timeout_ms())
            self._step(dict(ready))
            if self._store.changes != changes:
                self._changed()
        self._step({})
        self._witness.finish()
        self._changed()
        if self._reader is not None:
            self._reader.close()

    def _step(self, ready: dict[int, int]) -> None:
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        while not self._inbox.empty():
            self._inbox.get()(self)
        if self._reader is not None:
            reader = self._reader
            # In parts: a flood of the log must not keep the loop from everything else.
            batch = islice(reader.read_available(), BATCH_RECORDS)
            self._witness.feed(batch, lost=lambda: reader.lost)
        self._witness.tick()
        self._panics.tick()
        self._account.settle()
        if self._visibility is not None:
            self._visibility.tick()
        now = time.monotonic()
        if now >= self._keep_at and self.desired is not None:
            self._keep_at = now + KEEP_SECONDS
            self._keep(self.desired)
            if self._pods is not None:
                self._pods.sweep(now=now)
        elif now >= self._adjust_at and self.desired is not None:
            self._adjust(self.desired)

    def _keep(self, desired: Desired) -> None:
        self.kubelet = self._kubelets.look()
        self._kept_state = self._keeper.reconcile(desired, kubelet=self.kubelet)
        self._store.put_note(VIEWS_NOTE, [asdict(view) for view in self._kept_state.views])
        self._adjust(desired)

    def _adjust(self, desired: Desired) -> None:
        # Of nodes that share a kernel, one has the processes that are in no node's own container.
        host = self._enclosure is not None or desired.host_kills
        adjustments = self._adjuster.reconcile(desired.adjustments, host=host)
        self._adjusted_at, self._adjust_at = time.monotonic(), math.inf
        self._kept_state = replace(
            self._kept_state, adjustments=adjustments, stuck_adjustments=self._adjuster.problem
        )
        self._kept(self._kept_state, desired)

    def _open_log(self, poller: select.poll) -> None:
        now = time.monotonic()
        if self._reader is not None or now < self._reopen_at:
            return
        try:
            self._reader = KmsgReader(path=self._host.kmsg, after_seq=self._cursor)
        except KmsgUnreadableError as error:
            if self.kmsg_problem is None:
                log.warning("kernel log unreadable problem=%s", error)
            self.kmsg_problem = str(error)
            self._reopen_at = now + REOPEN_SECONDS
            return
        self.kmsg_problem = None
        poller.register(self._reader.fileno(), select.POLLIN)

    def _timeout_ms(self) -> int:
        waits = [KEEP_SECONDS, self._panics.deadline()]
        if self.desired is not None:
            waits.append(min(self._keep_at, self._adjust_at) - time.monotonic())
        deadline = self._witness.deadline()
        if deadline is not None:
            waits.append(deadline)
        if self._account.open or (self._visibility is not None and self._visibility.waiting()):
            waits.append(0.5)
        return max(0, int(min(waits) * 1000) + 1)


def restore_node(*, store: Store, host: HostPaths) -> dict[str, int]:
    """Give back every sysctl and oom_score_adj that an earlier run changed; sysctl -> value now in force."""
    hierarchy = CgroupHierarchy.find(root=host.cgroup, proc=host.proc)
    facts = read_node_facts(proc=host.proc, sys=host.sys, cgroup_root=host.cgroup)
    targets = Targets(hierarchy=hierarchy, cgroup_root=host.cgroup, pods=None, proc=host.proc)
    OomScoreAdjEnforcer(store=store, targets=targets, boot_id=facts.boot_id, proc=host.proc).restore()
    keeper = SysctlEnforcer(
        store=store, sysctls=Sysctls(root=host.proc / "sys"), boot_id=facts.boot_id, etc=host.etc
    )
    restored = keeper.restore()
    # What is held no more is not wanted any more either; what could not be given back stays visible.
    held = store.sysctls()
    store.put_note(VIEWS_NOTE, [view for view in store.note(VIEWS_NOTE) or [] if view["key"] in held])
    return restored
