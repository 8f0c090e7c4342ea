"""What killed each container of this node that ended by SIGKILL: waits for the evidence, decides once, and
counts the end in its ContainerKill.

An end is named by its container id. It is noted in the transaction that counts it, so kill -9 neither
loses nor repeats it: what is not noted is found again in the pods' statuses, which the state keeps."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from oomkeeper.diagnosis.killer import OOM_KILLED, SIGNAL_SECONDS, decide, ended_by_sigkill
from oomkeeper.logformat import get_logger
from oomkeeper.model.cause import Cause
from oomkeeper.model.escaping import printable
from oomkeeper.model.killer import EVICTED_BY_API, EndFacts, Killer, OOMKillFact, Trace, Verdict
from oomkeeper.model.times import parse_time

from .attribution import Subject
from .clock import rfc3339
from .container_end_queries import UNDATED
from .container_kills import ContainerEnd, add_end, container_kill_key, kill_status_of, new_container_kill
from .end_signals import EndSignals
from .ended_runs import names_no_container
from .event_reader import AskEvents, EventsAnswer, EventsOf
from .incidents import incident_key, status_of
from .kill_claims import KillClaims
from .pods import ContainerState, Pod, PodTable
from .records import ADOPTED_ENDS_NOTE, KILLERS_NOTE, TRACED_NOTE, TracedSince
from .runtime_class import is_sandboxed
from .store import Store
from .upkeep import KEEP_SECONDS

log = get_logger(__name__)

EVIDENCE_SECONDS = 4.0
"""How long an end waits for the kernel's record and for what kubelet reports of the pod."""
UNCOUNTED_SECONDS = 75.0
"""How long it waits for an OOM kill of the container that is recorded and not counted yet."""
EVENTS_SECONDS = 300.0
"""How long it waits for an API server that does not answer, or for its turn."""
DETAIL_SECONDS = 15.0
"""The same where Events only add who evicted the pod through the API: a drain ends many containers so."""
MOST_WAITING = 1000
LOOK_SECONDS = 0.5
LOOKS_PER_SECOND = 50
_MARGIN_SECONDS = 3600.0
"""Ends are forgotten after KEEP_SECONDS; older ones are not taken up again."""


@dataclass(frozen=True, slots=True)
class TraceState:
    """What the agent's trace covers."""

    open: bool
    problem: str | None = None
    """Why it is not open."""
    complete_since: float | None = None
    """Since when nothing is missing, in seconds of the monotonic clock, where it began or was interrupted in
    this run; None where it is older."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    pod_uid: str
    since: float
    look_at: float


class ContainerEnds:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        node: str,
        boot_id: str,
        pods: PodTable,
        signals: EndSignals,
        claims: KillClaims,
        trace: Callable[[], TraceState],
        events: AskEvents,
        since_boot: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._node = node
        self._boot_id = boot_id
        self._pods = pods
        self._signals = signals
        self._claims = claims
        self._trace = trace
        self._events = events
        self._since_boot = since_boot
        self._clock = clock
        self._wall = wall
        self._started = wall()
        self._waiting: dict[str, _Waiting] = {}
        self._left_out = False
        """Whether there are ends that found no room among those that wait."""
        self._traced = store.note(TRACED_NOTE, TracedSince)
        for pod in pods.all():  # of an earlier run
            self.pod_changed(pod)

    def pod_changed(self, pod: Pod) -> None:
        """Take up the ends that the pod's statuses show."""
        for container_id, state in pod.states.items():
            if (
                not state.running
                and container_id not in self._waiting
                and ended_by_sigkill(exit_code=state.exit_code, reason=state.reason)
                and self._is_kept(state)
                and not self._store.is_end_counted(container_id)
            ):
                if len(self._waiting) >= MOST_WAITING:
                    self._left_out = True
                    return
                now = self._clock()
                self._waiting[container_id] = _Waiting(pod.facts.uid, now, now + EVIDENCE_SECONDS)

    @property
    def waiting(self) -> bool:
        """Return whether an end waits for its evidence."""
        return bool(self._waiting)

    def tick(self) -> None:
        """Decide what has its evidence, or has waited long enough."""
        self._note_trace()
        now = self._clock()
        for container_id, waiting in list(self._waiting.items()):
            if now >= waiting.look_at and not self._is_decided(container_id, waiting):
                # Of many that wait for Events, few are looked at in one second.
                pause = LOOK_SECONDS + len(self._waiting) / LOOKS_PER_SECOND
                self._waiting[container_id] = replace(waiting, look_at=now + pause)
        if self._left_out and len(self._waiting) < MOST_WAITING // 2:
            self._left_out = False
            for pod in self._pods.all():
                self.pod_changed(pod)

    def _is_kept(self, state: ContainerState) -> bool:
        ended = parse_time(state.finished_at)
        return ended is None or self._wall() - ended < KEEP_SECONDS - _MARGIN_SECONDS

    def _is_decided(self, container_id: str, waiting: _Waiting) -> bool:
        """Decide an end where its evidence is there, or it has waited long enough."""
        pod = self._pods.find(waiting.pod_uid)
        state = pod.states.get(container_id) if pod is not None else None
        if pod is None or state is None or state.running:
            del self._waiting[container_id]
            return True
        waited = self._clock() - waiting.since
        workload = self._pods.workload(pod)
        if workload is None:
            return False
        if waited < UNCOUNTED_SECONDS and self._has_uncounted_kill(pod, container_id, state):
            return False
        facts = self._facts(pod, container_id, state)
        verdict = decide(facts)
        if _needs_events(facts, verdict):
            answer = self._events(EventsOf(pod.facts.namespace, pod.facts.uid, container_id))
            wanted = DETAIL_SECONDS if _is_decided_without_events(facts, verdict) else EVENTS_SECONDS
            if answer is None and waited < wanted:
                return False
            answer = answer or EventsAnswer(None, "The pod's Events were not read in time.")
            facts = replace(facts, events=answer.events, events_problem=answer.problem)
            verdict = decide(facts)
        self._count(
            ContainerEnd(
                namespace=pod.facts.namespace,
                pod=pod.facts.name,
                pod_uid=pod.facts.uid,
                container_id=container_id,
                workload=workload,
                time=rfc3339(_ended_at(facts, verdict) or self._wall()),
                facts=facts,
                verdict=verdict,
            )
        )
        del self._waiting[container_id]
        return True

    def _count(self, end: ContainerEnd) -> None:
        key = container_kill_key(end)
        with self._store.transaction():
            noted = self._store.note_end(
                pod_uid=end.pod_uid,
                container_id=end.container_id,
                key=key,
                time=end.time if end.facts.finished_at is not None else UNDATED,
            )
            if not noted or self._was_adopted(key, end):
                return
            kill = self._store.container_kill(key) or new_container_kill(end, node=self._node)
            self._store.put_container_kill(key, add_end(kill, end))
            self._add_to_killer(str(end.verdict.killer))
        log.info(
            "container killed",
            namespace=end.namespace,
            pod=end.pod,
            container=end.facts.container,
            killer=str(end.verdict.killer),
            certainty=str(end.verdict.certainty),
        )

    def _add_to_killer(self, killer: str) -> None:
        """Count the end for the metrics, within the transaction that counts it in its object."""
        totals = self._store.note(KILLERS_NOTE, dict[str, int]) or {}
        self._store.put_note(KILLERS_NOTE, totals | {killer: totals.get(killer, 0) + 1})

    def _was_adopted(self, key: str, end: ContainerEnd) -> bool:
        """Return whether an earlier state of this node has counted the end, as far as that is known: the
        object names its last ends only."""
        oldest = (self._store.note(ADOPTED_ENDS_NOTE, dict[str, str]) or {}).get(key)
        kill = self._store.container_kill(key)
        if kill is not None and any(
            one.container_id == end.container_id for one in kill_status_of(kill).ends
        ):
            return True
        return oldest is not None and end.time < oldest

    # -- the facts

    def _has_uncounted_kill(self, pod: Pod, container_id: str, state: ContainerState) -> bool:
        if self._store.holds_uncounted(container_id):
            return True
        ended = parse_time(state.finished_at)
        if ended is None:
            return False
        kills = self._store.kills_of_pod(
            (pod.facts.uid, pod.facts.cgroup_uid),
            since=rfc3339(ended - SIGNAL_SECONDS),
            until=rfc3339(ended + SIGNAL_SECONDS),
        )
        return any(kill.incident is None and names_no_container(kill.record, pod) for kill in kills)

    def _facts(self, pod: Pod, container_id: str, state: ContainerState) -> EndFacts:
        stop = pod.stop
        finished = parse_time(state.finished_at)
        signals = self._store.container_signals(container_id)
        trace, problem = self._coverage(finished, proved=any(one.main for one in signals))
        oom_kills = self._oom_kills(container_id)
        return EndFacts(
            container=state.container,
            exit_code=state.exit_code,
            reason=printable(state.reason)[:64] if state.reason else None,
            finished_at=finished,
            started_at=parse_time(state.started_at),
            oom_kills=oom_kills,
            reported_incident=self._reported(pod, container_id, state) if not oom_kills else None,
            signals=signals,
            claims=self._claims.about(
                container_id=container_id,
                pod_uids=(pod.facts.uid, pod.facts.cgroup_uid),
                pids=(one.pid for one in signals),
            ),
            trace=trace,
            trace_problem=problem,
            pod_reason=stop.reason,
            pod_message=stop.message,
            disruption=stop.disruption,
            disruption_message=stop.disruption_message,
            disruption_at=parse_time(stop.disruption_at),
            deletion_at=parse_time(stop.deletion_at),
            grace_seconds=stop.grace_seconds,
            runtime_class=printable(pod.facts.runtime_class) if pod.facts.runtime_class else None,
            sandboxed=is_sandboxed(pod.facts.runtime_class),
            boot_began_at=self._wall() - self._since_boot(),
        )

    def _oom_kills(self, container_id: str) -> tuple[OOMKillFact, ...]:
        facts = []
        for kill in self._store.kills_of_container(container_id):
            at = parse_time(kill.record.time)
            if at is None:
                continue
            victim = kill.record.victims[0] if kill.record.victims else None
            incident = self._store.incident(kill.incident) if kill.incident is not None else None
            facts.append(
                OOMKillFact(
                    at=at,
                    incident=incident.metadata.name if incident is not None else None,
                    pid=victim.pid if victim is not None else None,
                    comm=victim.comm if victim is not None else None,
                )
            )
        return tuple(facts)

    def _reported(self, pod: Pod, container_id: str, state: ContainerState) -> str | None:
        """Return the incident that counts a kill whose only evidence is kubelet's report."""
        if state.reason != OOM_KILLED:
            return None
        subject = Subject(
            node=self._node, pod=pod, workload=self._pods.workload(pod), container=state.container
        )
        incident = self._store.incident(incident_key(subject, cause=Cause.UNKNOWN))
        kill_id = f"status-{container_id}"
        if incident is None or all(kill.id != kill_id for kill in status_of(incident).kills):
            return None
        return incident.metadata.name

    # -- the trace

    def _note_trace(self) -> None:
        """Keep since when the kernel is traced: the instance outlives this process."""
        state = self._trace()
        if not state.open:
            return
        known = self._traced
        if known is not None and known.boot == self._boot_id and state.complete_since is None:
            return
        since = self._since_boot()
        if state.complete_since is not None:
            since -= self._clock() - state.complete_since
        if known is not None and known.boot == self._boot_id and since <= known.since + 1.0:
            return
        self._traced = TracedSince(boot=self._boot_id, since=since)
        self._store.put_note(TRACED_NOTE, self._traced)

    def _coverage(self, finished: float | None, *, proved: bool) -> tuple[Trace, str | None]:
        """Return whether the trace covers an end, and what is missing, as a sentence."""
        state = self._trace()
        known = self._traced
        if proved:
            return Trace.COMPLETE, None
        unknown = "The sender of SIGKILL is not known"
        if not state.open:
            return Trace.ABSENT, f"{unknown}: {state.problem or 'signals are not traced'}."
        if finished is None:
            return Trace.ABSENT, f"{unknown}: the status has no time of the end."
        boot_began = self._wall() - self._since_boot()
        if known is None or known.boot != self._boot_id or finished < boot_began + known.since:
            return Trace.ABSENT, f"{unknown}: the kernel was not traced, or records were lost, at that time."
        if finished < self._started:
            return (
                Trace.PARTIAL,
                f"{unknown}: the agent was started again after that, and what it had just read may be lost.",
            )
        unplaced = self._signals.unplaced_near(finished, seconds=SIGNAL_SECONDS)
        if unplaced:
            return (
                Trace.PARTIAL,
                f"At that time {unplaced} SIGKILLs hit processes whose container is not known.",
            )
        return Trace.COMPLETE, None


def _ended_at(facts: EndFacts, verdict: Verdict) -> float | None:
    """Return when the container ended, by the signal where the status has no time."""
    if facts.finished_at is None and verdict.signal is not None:
        return verdict.signal.at
    return facts.finished_at


def _needs_events(facts: EndFacts, verdict: Verdict) -> bool:
    """Return whether kubelet's Events can tell more: the runtime acted for it, or nothing else is known."""
    by_name = verdict.signal is not None and verdict.signal.sender_gone
    return (
        verdict.killer in (Killer.RUNTIME, Killer.UNKNOWN)
        or (verdict.signal is None and verdict.killer is Killer.CONTAINER)
        or (by_name and verdict.killer is Killer.GRACE_PERIOD)
        or _is_decided_without_events(facts, verdict)
    )


def _is_decided_without_events(facts: EndFacts, verdict: Verdict) -> bool:
    return verdict.killer is Killer.GRACE_PERIOD and facts.disruption == EVICTED_BY_API
