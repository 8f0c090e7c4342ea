"""The node's loop: the kernel log, messages of other threads, and the clock, handled in one thread that owns
the store.

`oomkeeper node` runs it alone; `oomkeeper agent` (service.py) posts the node's pods and OOMNode into it and
takes what it found to the API server. Nothing here talks to the API server."""

import select
import time
from collections.abc import Callable

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.facts import read_node_facts
from oomkeeper.kernel.live_log import open_live_log

from .adoption import adopt_incidents
from .before_install import KillsBeforeInstall
from .clock_steps import ClockSteps, seconds_since_boot
from .container_ends import ContainerEnds, TraceState
from .database import StateUnwritableError
from .desired import Desired
from .end_signals import EndSignals
from .enforcement import Enforcement
from .event_reader import AskEvents, no_events
from .first_processes import FirstProcesses
from .health import Health
from .host_paths import HostPaths
from .inbox import Inbox
from .kill_accounting import Account, open_boot
from .kill_claims import KillClaims
from .kill_history import kill_history
from .kill_recorder import KillRecorder
from .kill_senders import KillSenders
from .late_attribution import LateAttribution
from .listener import LoopListener
from .log_follower import LogFollower, OpenLog
from .messages import (
    DesiredChanged,
    EventsRead,
    IncidentsListed,
    KillsPlaced,
    Message,
    NamespacesChanged,
    NodeObjectMissing,
    NodeRead,
    PlanAsked,
    PodChanged,
    PodsListed,
    PublishingChanged,
    SignalsFound,
    Stop,
    WorkloadFound,
)
from .node_pods import NodePods
from .nodestatus import NodeView
from .oomscoreadj.targets import NamespaceLabels
from .panics import PanicWatch, panics_of
from .plan.answers import PlanAnswers
from .plan.planner import Planner
from .pods import PodTable
from .shared_kernel import SharedKernel
from .store import Store
from .traced_kills import UnloggedKills
from .tracing import KernelTracing
from .unlogged_kills import UnloggedKillsStore
from .upkeep import Upkeep
from .visibility import Visibility


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
        events: AskEvents = no_events,
        inbox: Inbox | None = None,
        health: Health | None = None,
        open_log: OpenLog | None = None,
        keeps_traces: bool = True,
        unlogged: UnloggedKills | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = seconds_since_boot,
    ) -> None:
        """`pods` None: a bare host. `open_log` opens the kernel log after a sequence number; given one, the
        loop starts no thread that reads the real log. `keeps_traces` False: the kernel stops tracing for
        oomkeeper when the loop is stopped, as it must after an uninstall. `unlogged` has what was read from
        the trace, for the loop that is built after this one.

        Raises OSError where /proc is not there, StateUnwritableError where the disk does not take the state.
        """
        self.facts = read_node_facts(proc=host.proc, sys=host.sys, cgroup_root=host.cgroup)
        self._store = store
        self._listener = listener
        self._clock = clock
        self._inbox = inbox or Inbox()
        self._health = health or Health(clock=clock)
        self._kubelet_version: str | None = None
        self._stopping = False
        self._poller = select.poll()
        self._poller.register(self._inbox.fileno(), select.POLLIN)
        hierarchy = CgroupHierarchy.find(root=host.cgroup, proc=host.proc)
        read_log: OpenLog = open_log or (
            lambda seq: open_live_log(path=host.kmsg, after_seq=seq, proc=host.proc)
        )
        boot = open_boot(
            store,
            boot_id=self.facts.boot_id,
            hierarchy=hierarchy,
            proc=host.proc,
            open_log=read_log,
            wall=wall,
        )
        self._shared = SharedKernel.detect(proc=host.proc, in_cluster=pods is not None)
        self._pods: NodePods | None = None
        self._late: LateAttribution | None = None
        self._visibility: Visibility | None = None
        if pods is not None:
            self._pods = NodePods(table=pods, store=store)
            self._late = LateAttribution(
                store=store,
                facts=self.facts,
                node=node,
                pods=pods,
                operator_namespace=operator_namespace,
                node_container=self._shared.container_id,
                clock=clock,
                wall=wall,
            )
            self._visibility = Visibility(
                store=store,
                node=node,
                pods=pods,
                operator_namespace=operator_namespace,
                since=boot.since,
                clock=clock,
                wall=wall,
            )
        self._clock_steps = ClockSteps(
            store=store, boot_id=self.facts.boot_id, wall=wall, since_boot=since_boot
        )
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
            late=self._late,
            clock=clock,
            wall=self._clock_steps.now,
        )
        self._before_install = KillsBeforeInstall(
            store=store,
            facts=self.facts,
            node=node,
            pods=pods,
            operator_namespace=operator_namespace,
            shared=self._shared,
            late=self._late,
            listener=listener,
            open_log=read_log,
            clock=clock,
            wall=self._clock_steps.now,
        )
        self._first: FirstProcesses | None = None
        senders: KillSenders | None = None
        if pods is not None:
            self._first = FirstProcesses(
                hierarchy=hierarchy,
                pods=pods,
                store=store,
                boot_id=self.facts.boot_id,
                kernel_pids=self._shared.kernel_pids,
                clock=clock,
            )
            senders = KillSenders(
                hierarchy=hierarchy, shared=self._shared, container_of_first=self._first.container_of
            )
        self._tracing = KernelTracing(
            tracefs=host.tracefs,
            hierarchy=hierarchy,
            shared=self._shared,
            since_ns=boot.since_ns,
            senders=senders,
            signals_found=lambda: self.post(SignalsFound()),
            unlogged=unlogged,
            state_folder=store.folder,
            boot_id=self.facts.boot_id,
        )
        self._signals: EndSignals | None = None
        self._ends: ContainerEnds | None = None
        self._claims: KillClaims | None = None
        if pods is not None and self._first is not None:
            self._first.look()
            self._signals = EndSignals(store=store, pods=pods, first=self._first, clock=clock, wall=wall)
            self._claims = KillClaims(store=store, boot_id=self.facts.boot_id, clock=clock, wall=wall)
            self._ends = ContainerEnds(
                store=store,
                node=node,
                boot_id=self.facts.boot_id,
                pods=pods,
                signals=self._signals,
                claims=self._claims,
                trace=self._trace_state,
                events=events,
                since_boot=since_boot,
                clock=clock,
                wall=wall,
            )
        self._keeps_traces = keeps_traces
        self._log = LogFollower(
            recorder=self._recorder,
            tracing=self._tracing,
            open_log=read_log,
            cursor=boot.cursor,
            observe=None if open_log is not None else lambda: self.post(KillsPlaced()),
            claims=self._claims,
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
        self._unlogged = UnloggedKillsStore(
            store=store,
            boot_id=self.facts.boot_id,
            tracing=self._tracing,
            lost=boot.lost,
            clock=clock,
            wall=self._clock_steps.now,
        )
        self._account = Account(
            store=store,
            boot=boot,
            proc=host.proc,
            clock=clock,
            recover=self._record_unlogged,
            settled=self._settled,
        )
        self._upkeep = Upkeep(store=store, clock=clock, wall=wall)
        self._wall = wall
        self._enforcement = Enforcement(
            store=store,
            boot_id=self.facts.boot_id,
            host=host,
            hierarchy=hierarchy,
            pods=pods,
            shared=self._shared,
            namespaces=namespaces,
            clock=clock,
            wall=wall,
        )
        self._plans = PlanAnswers(
            Planner(
                store=store,
                facts=self.facts,
                host=host,
                hierarchy=hierarchy,
                pods=pods,
                shared=self._shared,
                kubelet=self._enforcement.kubelets.recent,
                namespaces=namespaces,
                clock=clock,
                wall=wall,
            ),
            clock=clock,
            wall=wall,
        )
        self._log.reopen(self._poller)  # a loop that is built watches

    def post(self, message: Message) -> None:
        """Have a message handled in the loop's thread. Safe from any thread and from a signal handler."""
        self._inbox.post(message)

    def stop(self) -> None:
        """End `run` after what has been read is stored."""
        self.post(Stop())

    def run(self) -> None:
        """Run until `stop`. Raises StateUnwritableError, and StateReloadedError (runner.py)."""
        while not self._stopping:
            self.step(wait_seconds=self.wait_seconds())
        self.finish()

    def step(self, *, wait_seconds: float = 0.0) -> None:
        """Wait for the kernel log or a message, handle what is there, and do what is due."""
        self._log.reopen(self._poller)
        changes = self._store.changes
        self._poller.poll(max(0, int(wait_seconds * 1000) + 1) if wait_seconds else 0)
        self._upkeep.tick()
        self._clock_steps.check()
        self._handle_messages()
        self._log.read()
        self._unlogged.tick(lost=self._recorder.lost)
        if self._signals is not None:
            self._signals.take(self._tracing.signals)
        self._recorder.tick()
        self._before_install.tick(busy=self._recorder.deadline() is not None)
        self._panics.tick()
        self._account.settle()
        if self._visibility is not None:
            self._visibility.tick()
        if self._late is not None:
            self._late.retry()
        if self._claims is not None:
            self._claims.tick()
        if self._ends is not None:
            self._ends.tick()
        if self._first is not None and self._first.waiting:
            self._first.look()
        enforced = self._enforcement.tick()
        if enforced and self._pods is not None:
            self._pods.sweep(now=self._clock())
        changed = self._store.changes != changes
        if changed:
            self._listener.incidents_changed()
        planned = self._plans.tick()
        if enforced or changed or planned:
            self._report()
        self._health.beat(
            log_problem=self._log.problem,
            state_problem=self._store.problem,
            trace_problem=self._tracing.problem,
            lost_trace_records=self._tracing.lost,
        )

    def finish(self) -> None:
        """Store what has been read."""
        self.step()
        self._recorder.finish()
        self._listener.incidents_changed()
        self._report()

    def close(self) -> None:
        """Release the kernel log and its traces."""
        self._before_install.close()
        self._log.close()
        if self._stopping and not self._keeps_traces:
            self._tracing.remove()
        else:
            self._tracing.close()

    def _trace_state(self) -> TraceState:
        tracing = self._tracing
        since_ns = tracing.complete_since_ns
        return TraceState(
            open=tracing.kills is not None,
            problem=tracing.problem,
            complete_since=None if since_ns is None else since_ns / 1e9,
        )

    def _settled(self) -> None:
        self._tracing.settled()
        self._unlogged.settled()

    def _record_unlogged(self, missing: int) -> None:
        for victim, path in self._tracing.take_unlogged(missing, recorded=self._unlogged.recorded):
            self._recorder.record_traced(victim, path=path)

    def wait_seconds(self) -> float:
        """Return the time until something is due without a message or a log record."""
        waits = [self._enforcement.wait_seconds(), self._panics.deadline(), self._plans.deadline()]
        waits += [
            deadline
            for deadline in (self._recorder.deadline(), self._before_install.deadline())
            if deadline is not None
        ]
        if self._account.open or (self._visibility is not None and self._visibility.waiting()):
            waits.append(0.5)
        if self._late is not None and self._late.waiting:
            waits.append(1.0)
        if self._ends is not None and self._ends.waiting:
            waits.append(0.5)
        if self._first is not None and self._first.waiting:
            waits.append(1.0)
        return max(0.0, min(waits))

    def _handle_messages(self) -> None:
        for message in self._inbox.drain():
            try:
                self._handle(message)
            except StateUnwritableError:
                self._inbox.post(message)  # for the loop that is built after this one
                raise

    def _handle(self, message: Message) -> None:
        match message:
            case DesiredChanged(desired, stored_as):
                self._enforcement.set_desired(desired, stored_as=stored_as)
            case NodeObjectMissing():
                self._enforcement.note_absence()
            case NodeRead(version, k3s_arguments):
                self._kubelet_version = version
                self._enforcement.kubelets.k3s_arguments = k3s_arguments
                self._report()
            case PodsListed(pods):
                assert self._pods is not None
                self._pods.replace(pods, now=self._clock())
                for pod in pods:
                    self._pod_changed(pod.facts.uid)
            case PodChanged(pod, deleted):
                assert self._pods is not None
                self._pods.put(pod, deleted=deleted, now=self._clock())
                self._pod_changed(pod.facts.uid)
            case NamespacesChanged():
                self._enforcement.adjust_soon()
            case IncidentsListed(incidents, adopted, container_kills):
                adopt_incidents(self._store, incidents, container_kills)
                adopted.set()
            case PlanAsked(request):
                self._plans.ask(request)
            case KillsPlaced() | WorkloadFound() | SignalsFound() | EventsRead():
                pass  # They wake the loop, which looks at what waits in every step.
            case PublishingChanged():
                self._report()
            case Stop():
                self._stopping = True

    def _pod_changed(self, uid: str) -> None:
        """Look at the pod's statuses and processes again; kills that wait are looked at in every step."""
        assert self._pods is not None
        pod = self._pods.table.find(uid)
        if self._visibility is not None and pod is not None:
            self._visibility.pod_changed(pod)
        if self._first is not None:
            self._first.look()
        if self._ends is not None and pod is not None:
            self._ends.pod_changed(pod)
        self._enforcement.adjust_soon()

    def _report(self) -> None:
        enforcement = self._enforcement
        self._listener.node_changed(
            NodeView(
                facts=self.facts,
                kubelet=enforcement.kubelet,
                kubelet_version=self._kubelet_version,
                desired=enforcement.desired or Desired(),
                sysctls=enforcement.sysctls,
                adjustments=enforcement.adjustments,
                adjustments_problem=enforcement.adjustments_problem,
                account=self._store.account(),
                log_problem=self._log.problem,
                log_numbered=self._log.numbered,
                trace_problem=self._tracing.problem,
                lost_trace_records=self._tracing.lost,
                panics=panics_of(self._store),
                history=kill_history(self._store, now=self._wall()),
                plan=self._plans.answer,
                state_problem=self._store.problem,
                state_dropped=self._store.dropped,
            )
        )
