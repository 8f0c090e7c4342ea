"""The node's loop: the kernel log, messages of other threads, and the clock, handled in one thread that owns
the store.

`oomkeeper node` runs it alone; `oomkeeper agent` (service.py) posts the node's pods and OOMNode into it and
takes what it found to the API server. Nothing here talks to the API server."""

import math
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.facts import read_node_facts
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError
from oomkeeper.kernel.meminfo import read_node_memory
from oomkeeper.kernel.sysctl import Sysctls
from oomkeeper.logformat import get_logger
from oomkeeper.resources.oomnode import ObservedAdjustment, ObservedSysctl

from .adoption import adopt_incidents
from .desired import Desired
from .inbox import Inbox
from .kill_accounting import Account, open_boot
from .kill_history import kill_history
from .kill_observer_thread import KillObserverThread
from .kill_recorder import KillRecorder
from .kubelet import KubeletFacts, KubeletFinder
from .listener import LoopListener
from .messages import (
    DesiredChanged,
    IncidentsListed,
    KillsPlaced,
    Message,
    NamespacesChanged,
    NodeObjectMissing,
    NodeRead,
    PodChanged,
    PodsListed,
    Stop,
    WorkloadFound,
)
from .nodestatus import NodeView
from .oomscoreadj.enforcer import OomScoreAdjEnforcer
from .oomscoreadj.targets import NamespaceLabels, Targets
from .panics import PanicWatch, panics_of
from .pods import Pod, PodTable
from .shared_kernel import SharedKernel
from .store import Store
from .sysctl_enforcer import SysctlEnforcer, SysctlPass
from .tracing import KernelTracing, remove_trace_instances
from .visibility import Visibility

log = get_logger(__name__)

ENFORCE_SECONDS = 5.0
"""Between two looks at the sysctls: /proc/sys notifies no one when it is written."""
REOPEN_SECONDS = 10.0
"""Between two attempts to open an unreadable kernel log."""
ADJUST_SPACING_SECONDS = 0.5
"""Least time between two looks at the processes, however fast the node's pods change."""
ABSENT_SECONDS = 30.0
"""After this time without an OOMNode, no policy sets anything on this node."""

BATCH_RECORDS = 2000
SYSCTLS_NOTE = "observed sysctls"
"""Name in the store of the last pass's ObservedSysctls, for `oomkeeper status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """Where the host's files are, seen from this process."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    cgroup: Path = Path("/sys/fs/cgroup")
    etc: Path = Path("/etc")
    kmsg: Path = Path("/dev/kmsg")
    tracefs: Path = Path("/sys/kernel/tracing")
    pstore: Path = Path("/sys/fs/pstore")
    pstore_archive: Path = Path("/var/lib/systemd/pstore")


class NodeLoop:
    """Built and run in one thread; other threads only `post`."""

    def __init__(
        self,
        *,
        store: Store,
        node: str,
        host: HostPaths,
        pods: PodTable | None,
        operator_namespace: str,
        listener: LoopListener,
        namespaces: NamespaceLabels = lambda _name: None,
        inbox: Inbox | None = None,
        open_log: Callable[[int], KmsgReader] | None = None,
        keeps_traces: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`pods` None: a bare host. `open_log` opens the kernel log after a sequence number; given one, the
        loop starts no thread that reads the real log. `keeps_traces` False: the kernel stops tracing for
        oomkeeper when the loop ends, as it must after an uninstall.

        Raises OSError where /proc is not there.
        """
        self.facts = read_node_facts(proc=host.proc, sys=host.sys, cgroup_root=host.cgroup)
        self._store = store
        self._listener = listener
        self._pods = pods
        self._clock = clock
        self._inbox = inbox or Inbox()
        self._open_log = open_log or (lambda seq: KmsgReader(path=host.kmsg, after_seq=seq))
        hierarchy = CgroupHierarchy.find(root=host.cgroup, proc=host.proc)
        boot = open_boot(
            store, boot_id=self.facts.boot_id, hierarchy=hierarchy, proc=host.proc, kmsg=host.kmsg
        )
        self._cursor = boot.cursor
        self._shared = SharedKernel.detect(proc=host.proc, in_cluster=pods is not None)
        self._recorder = KillRecorder(
            store=store,
            facts=self.facts,
            node=node,
            boot=boot,
            hierarchy=hierarchy,
            pods=pods,
            operator_namespace=operator_namespace,
            listener=listener,
            shared=self._shared,
            clock=clock,
        )
        self._panics = PanicWatch(
            store=store,
            facts=self.facts,
            node=node,
            pods=pods,
            operator_namespace=operator_namespace,
            listener=listener,
            shared=self._shared,
            pstore=host.pstore,
            archive=host.pstore_archive,
            clock=clock,
            wall=wall,
        )
        self._tracing = KernelTracing(tracefs=host.tracefs, hierarchy=hierarchy, shared=self._shared)
        self._account = Account(
            store=store,
            boot=boot,
            proc=host.proc,
            clock=clock,
            recover=self._record_unlogged,
            settled=self._tracing.settled,
        )
        self._sysctl_enforcer = SysctlEnforcer(
            store=store,
            sysctls=Sysctls(root=host.proc / "sys"),
            boot_id=self.facts.boot_id,
            memory=lambda: read_node_memory(proc=host.proc),
            etc=host.etc,
            clock=clock,
            wall=wall,
        )
        self._adjustment_enforcer = OomScoreAdjEnforcer(
            store=store,
            targets=Targets(
                hierarchy=hierarchy,
                cgroup_root=host.cgroup,
                pods=pods,
                proc=host.proc,
                namespaces=namespaces,
                clock=clock,
            ),
            boot_id=self.facts.boot_id,
            proc=host.proc,
            clock=clock,
        )
        self._kubelets = KubeletFinder(proc=host.proc, clock=clock)
        self._visibility = (
            Visibility(
                store=store,
                node=node,
                pods=pods,
                operator_namespace=operator_namespace,
                since=boot.since,
                clock=clock,
                wall=wall,
            )
            if pods is not None
            else None
        )
        self._reader: KmsgReader | None = None
        self._observes = open_log is None
        self._keeps_traces = keeps_traces
        self._trace_at = math.inf
        self._observer: KillObserverThread | None = None
        self._log_problem: str | None = None
        self._kubelet: KubeletFacts | None = None
        self._kubelet_version: str | None = None
        self._desired: Desired | None = None
        """None until it is known: nothing is applied, and nothing released, before."""
        self._absent_since: float | None = None
        self._sysctl_pass = SysctlPass()
        self._adjusted: tuple[ObservedAdjustment, ...] = ()
        self._reopen_at = self._enforce_at = -math.inf
        self._adjust_at, self._adjusted_at = math.inf, -math.inf
        self._stopping = False
        self._poller = select.poll()
        self._poller.register(self._inbox.fileno(), select.POLLIN)

    def post(self, message: Message) -> None:
        """Have a message handled in the loop's thread. Safe from any thread and from a signal handler."""
        self._inbox.post(message)

    def stop(self) -> None:
        """End `run` after what has been read is stored."""
        self.post(Stop())

    def run(self) -> None:
        """Run until `stop`."""
        while not self._stopping:
            self.step(wait_seconds=self.wait_seconds())
        self.finish()

    def step(self, *, wait_seconds: float = 0.0) -> None:
        """Wait for the kernel log or a message, handle what is there, and do what is due."""
        self._reopen_log()
        changes = self._store.changes
        self._poller.poll(max(0, int(wait_seconds * 1000) + 1) if wait_seconds else 0)
        self._handle_messages()
        self._read_log()
        self._do_what_is_due()
        if self._store.changes != changes:
            self._report(incidents=True)

    def finish(self) -> None:
        """Store what has been read and release the log."""
        self.step()
        self._recorder.finish()
        self._report(incidents=True)
        if self._observer is not None:
            self._observer.stop()
        if self._keeps_traces:
            self._tracing.close()
        else:
            self._tracing.remove()
        if self._reader is not None:
            self._reader.close()

    def wait_seconds(self) -> float:
        """Return the time until something is due without a message or a log record."""
        now = self._clock()
        waits = [ENFORCE_SECONDS, self._panics.deadline()]
        if self._desired is not None:
            waits.append(min(self._enforce_at, self._adjust_at) - now)
        if self._absent_since is not None:
            waits.append(self._absent_since + ABSENT_SECONDS - now)
        deadline = self._recorder.deadline()
        if deadline is not None:
            waits.append(deadline)
        if self._account.open or (self._visibility is not None and self._visibility.waiting()):
            waits.append(0.5)
        return max(0.0, min(waits))

    # -- messages

    def _handle_messages(self) -> None:
        for message in self._inbox.drain():
            self._handle(message)

    def _handle(self, message: Message) -> None:
        match message:
            case DesiredChanged(desired):
                self._absent_since = None
                self._set_desired(desired)
            case NodeObjectMissing():
                self._absent_since = self._clock() if self._absent_since is None else self._absent_since
            case NodeRead(version, k3s_arguments):
                self._kubelet_version = version
                self._kubelets.k3s_arguments = k3s_arguments
                self._report()
            case PodsListed(pods):
                self._replace_pods(pods)
            case PodChanged(pod, deleted):
                self._put_pod(pod, deleted=deleted)
            case NamespacesChanged():
                self._adjust_soon()
            case WorkloadFound():
                self._recorder.retry_waiting()
            case IncidentsListed(incidents, adopted):
                adopt_incidents(self._store, incidents)
                adopted.set()
            case KillsPlaced():
                self._recorder.retry_waiting()
            case Stop():
                self._stopping = True

    def _set_desired(self, desired: Desired) -> None:
        if desired == self._desired:
            return  # such as after our own write of the status
        self._desired = desired
        self._shared.publishes_host_kills = desired.host_kills
        self._enforce_at = -math.inf

    def _replace_pods(self, pods: Sequence[Pod]) -> None:
        assert self._pods is not None
        self._pods.replace([*pods], now=self._clock())
        for pod in pods:
            self._check_visibility(pod)
        self._pods_changed()

    def _put_pod(self, pod: Pod, *, deleted: bool) -> None:
        assert self._pods is not None
        self._pods.put(pod)
        if deleted:
            self._pods.remove(pod.facts.uid, now=self._clock())
        self._pods_changed()
        self._check_visibility(pod)

    def _check_visibility(self, pod: Pod) -> None:
        if self._visibility is not None:
            self._visibility.pod_changed(pod)

    def _pods_changed(self) -> None:
        """Kills may find their pods now, and new containers need adjusting."""
        self._recorder.retry_waiting()
        self._adjust_soon()

    def _adjust_soon(self) -> None:
        if self._desired is not None and self._desired.adjustments:
            self._adjust_at = min(self._adjust_at, self._adjusted_at + ADJUST_SPACING_SECONDS)

    # -- the kernel log

    def _reopen_log(self) -> None:
        now = self._clock()
        if self._reader is not None or now < self._reopen_at:
            return
        try:
            self._reader = self._open_log(self._cursor)
        except KmsgUnreadableError as error:
            if self._log_problem is None:
                log.warning("kernel log unreadable", error=error)
            self._log_problem = str(error)
            self._reopen_at = now + REOPEN_SECONDS
            return
        self._log_problem = None
        if self._observes:
            self._observe()
        self._poller.register(self._reader.fileno(), select.POLLIN)

    def _observe(self) -> None:
        observer = self._recorder.observer
        self._open_traces()
        observer.changed = lambda: self.post(KillsPlaced())
        self._recorder.observed = True
        self._observer = KillObserverThread(observer, reader=self._open_log(self._cursor))

    def _open_traces(self) -> None:
        self._tracing.open()
        self._recorder.observer.traced = self._tracing.cgroups
        self._trace_at = self._clock() + REOPEN_SECONDS

    def _record_unlogged(self, missing: int) -> None:
        for victim, path in self._tracing.take_unlogged(missing):
            self._recorder.record_traced(victim, path=path)

    def _read_log(self) -> None:
        reader = self._reader
        if reader is not None:
            # In parts: a flood of the log must not keep the loop from everything else.
            batch = islice(reader.read_available(), BATCH_RECORDS)
            self._recorder.feed(batch, lost=lambda: reader.lost)
        self._tracing.read(self._recorder.observer.logged)

    # -- what the clock brings

    def _do_what_is_due(self) -> None:
        self._recorder.tick()
        self._panics.tick()
        self._account.settle()
        if self._tracing.problem is not None and self._clock() >= self._trace_at:
            self._open_traces()
        if self._visibility is not None:
            self._visibility.tick()
        now = self._clock()
        if self._absent_since is not None and now - self._absent_since >= ABSENT_SECONDS:
            self._absent_since = None
            self._set_desired(Desired())
        if self._desired is None:
            return
        if now >= self._enforce_at:
            self._enforce_at = now + ENFORCE_SECONDS
            self._enforce(self._desired)
            if self._pods is not None:
                self._pods.sweep(now=now)
        elif now >= self._adjust_at:
            self._adjust(self._desired)

    def _enforce(self, desired: Desired) -> None:
        self._kubelet = self._kubelets.look()
        self._sysctl_pass = self._sysctl_enforcer.reconcile(
            desired, kubelet=self._kubelets.recent(), kubelet_expected=self._pods is not None
        )
        self._store.put_note(SYSCTLS_NOTE, self._sysctl_pass.statuses)
        self._adjust(desired)

    def _adjust(self, desired: Desired) -> None:
        self._adjusted = self._adjustment_enforcer.reconcile(
            desired.adjustments, host=self._shared.owns_host_processes
        )
        self._adjusted_at, self._adjust_at = self._clock(), math.inf
        self._report()

    def _report(self, *, incidents: bool = False) -> None:
        if incidents:
            self._listener.incidents_changed()
        self._listener.node_changed(
            NodeView(
                facts=self.facts,
                kubelet=self._kubelet,
                kubelet_version=self._kubelet_version,
                desired=self._desired or Desired(),
                sysctls=self._sysctl_pass,
                adjustments=self._adjusted,
                adjustments_problem=self._adjustment_enforcer.problem,
                account=self._store.account(),
                log_problem=self._log_problem,
                trace_problem=self._tracing.problem,
                lost_trace_records=self._tracing.lost,
                panics=panics_of(self._store),
                history=kill_history(self._store),
            )
        )


def restore_node(*, store: Store, host: HostPaths) -> dict[str, int]:
    """Restore every sysctl and oom_score_adj that an earlier run changed; return sysctl -> value now in
    force."""
    hierarchy = CgroupHierarchy.find(root=host.cgroup, proc=host.proc)
    facts = read_node_facts(proc=host.proc, sys=host.sys, cgroup_root=host.cgroup)
    targets = Targets(hierarchy=hierarchy, cgroup_root=host.cgroup, pods=None, proc=host.proc)
    OomScoreAdjEnforcer(store=store, targets=targets, boot_id=facts.boot_id, proc=host.proc).restore()
    enforcer = SysctlEnforcer(
        store=store,
        sysctls=Sysctls(root=host.proc / "sys"),
        boot_id=facts.boot_id,
        memory=lambda: read_node_memory(proc=host.proc),
        etc=host.etc,
    )
    restored = enforcer.restore()
    remove_trace_instances(tracefs=host.tracefs)
    # What is restored is no longer desired either; what could not be restored stays visible.
    held = store.sysctls()
    observed = store.note(SYSCTLS_NOTE, tuple[ObservedSysctl, ...]) or ()
    store.put_note(SYSCTLS_NOTE, [one for one in observed if one.name in held])
    return restored
