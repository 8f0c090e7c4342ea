"""Whether kubelet reports what the kernel reports: container statuses matched with recorded kills by
container id; where the victim's cgroup names no container (a sandboxed runtime), by pod and time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from msgspec import structs

from oomkeeper.model.cause import Cause
from oomkeeper.model.cause import Visibility as Reported
from oomkeeper.model.times import parse_time

from .adoption import adopted_until
from .attribution import Subject
from .clock import parse_rfc3339, rfc3339
from .ended_runs import EARLIER_SECONDS, LATER_SECONDS, names_no_container
from .incident_counts import add_to_total
from .incidents import incident_key, new_incident, reported_only, status_of, with_visibility
from .kill_history import count_in_hour
from .late_attribution import PATIENCE_SECONDS
from .pods import OOM_KILLED, ContainerState, Pod, PodTable
from .records import BEFORE_INSTALL_NOTE, BeforeInstallNote
from .store import KillOfPod, Store
from .upkeep import KEEP_SECONDS

STATUS_SECONDS = 15.0
"""How long kubelet has to report OOMKilled before the kill counts as invisible (its relist takes a second, on
a busy node more)."""
STATUS_TOLERANCE_SECONDS = 5.0
"""Between a kill and the end of its container."""
KERNEL_CLOCK_DRIFT = 1e-4
"""By how much printk's clock may differ from the node's since then: 9 s a day."""
EVIDENCE_SECONDS = 3.0
"""How long a status waits for the kernel's record, which is printed before it: reading may lag in a storm."""
UNCOUNTED_SECONDS = PATIENCE_SECONDS["container"] + 10.0
"""How long a status waits for a kill of its pod that is recorded and not counted yet."""


@dataclass(frozen=True, slots=True)
class _Unexplained:
    subject: Subject
    state: ContainerState
    since: float
    look_at: float = 0.0
    """When the kernel's record is looked for again."""
    before_install: bool = False
    """Whether the container ended before the agent's first start."""


class Visibility:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        node: str,
        pods: PodTable,
        operator_namespace: str,
        since: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`since`: statuses of containers that ended before it are of a time without an agent. They are
        looked at where it is the time before the first start."""
        self._store = store
        self._node = node
        self._pods = pods
        self._namespace = operator_namespace
        self._since = parse_rfc3339(since)
        self._clock = clock
        self._wall = wall
        self._unexplained: dict[str, _Unexplained] = {}
        self._same: set[str] = set()
        """Kills without a cgroup that a container's status was taken to report."""

    def pod_changed(self, pod: Pod) -> None:
        """Match one pod's container states."""
        for container_id, state in pod.states.items():
            if state.running:
                continue
            keys = self._store.incident_of_container(container_id)
            if keys:
                self._match(keys, container_id, state=state)
            if state.reason != OOM_KILLED:
                continue
            before_install = self._is_before_install(state, container_id)
            if before_install or (not keys and self._is_recent(state)):
                subject = Subject(
                    node=self._node,
                    pod=pod,
                    workload=self._pods.workload(pod),
                    workload_identity=self._pods.workload_identity(pod),
                    pod_uid=pod.facts.uid,
                    container=state.container,
                    container_id=container_id,
                )
                self._unexplained.setdefault(
                    container_id, _Unexplained(subject, state, self._clock(), before_install=before_install)
                )

    def tick(self) -> None:
        """Decide what has waited long enough."""
        self._decide_unexplained()
        for key, incident in self._store.undecided_incidents():
            for kill in status_of(incident).kills:
                if kill.visibility is not None or kill.before_install:
                    continue
                state = self._state(kill.container_id)
                if state is not None and not state.running:
                    self._match([key], kill.container_id, state=state)
                elif self._wall() - parse_rfc3339(kill.time) >= STATUS_SECONDS:
                    # Pods of an earlier run may show a container as running that has ended since.
                    self._decide(
                        key, [kill.id], Reported.INVISIBLE, state=state if self._pods.synced else None
                    )

    def _decide_unexplained(self) -> None:
        """Look for the kernel's record of each container that ended OOMKilled."""
        note = self._note() if self._unexplained else None
        if note is not None and not note.done:
            return  # Their kills may be among those that are not read yet.
        now = self._clock()
        for container_id, waiting in list(self._unexplained.items()):
            keys = self._store.incident_of_container(container_id)
            if keys:
                self._match(keys, container_id, state=waiting.state)
                self._end_wait(container_id, waiting, reported=waiting.before_install)
            elif (
                now - waiting.since >= EVIDENCE_SECONDS
                and now >= waiting.look_at
                # Its kill is counted when the workload is known.
                and not self._store.holds_uncounted(container_id)
            ):
                self._decide_without_record(container_id, waiting)

    def _decide_without_record(self, container_id: str, waiting: _Unexplained) -> None:
        """Take the container's end for that of a kill that names no container, or report the status alone."""
        now = self._clock()
        kills = self._kills_without_container(waiting)
        if any(kill.incident is None for kill in kills) and now - waiting.since < UNCOUNTED_SECONDS:
            self._unexplained[container_id] = replace(waiting, look_at=now + 1.0)
            return
        counted = [kill for kill in kills if kill.incident is not None]
        if counted:
            self._match_pod(counted, waiting)
            # The record may be dropped before the status is.
            self._end_wait(container_id, waiting, reported=True)
            return
        if waiting.subject.workload is None and waiting.subject.pod is not None:
            workload = self._pods.workload(waiting.subject.pod)
            if workload is None:
                return  # published nothing until its owner is known
            identity = self._pods.workload_identity(waiting.subject.pod)
            subject = replace(waiting.subject, workload=workload, workload_identity=identity)
            waiting = replace(waiting, subject=subject)
        if waiting.before_install and self._is_counted(waiting):
            self._end_wait(container_id, waiting, reported=True)
            return
        self._report_only(waiting, container_id)
        self._end_wait(container_id, waiting, reported=False)

    def _end_wait(self, container_id: str, waiting: _Unexplained, *, reported: bool) -> None:
        """Stop looking for the container's kill; `reported`: note that its status is accounted for."""
        if reported:
            with self._store.transaction():
                self._store.note_reported(
                    container_id, rfc3339(parse_rfc3339(waiting.state.finished_at or ""))
                )
        del self._unexplained[container_id]

    def waiting(self) -> bool:
        """Return whether something is undecided."""
        return bool(self._unexplained) or self._store.any_undecided

    def _state(self, container_id: str | None) -> ContainerState | None:
        for pod in self._pods.all():
            if container_id is not None and container_id in pod.states:
                return pod.states[container_id]
        return None

    def _match(self, keys: list[str], container_id: str | None, *, state: ContainerState) -> None:
        """Decide the recent kills of one container by its status."""
        visibility = Reported.REPORTED if state.reason == OOM_KILLED else Reported.INVISIBLE
        for key in keys:
            incident = self._store.incident(key)
            kills = status_of(incident).kills if incident else ()
            ids = [kill.id for kill in kills if kill.container_id == container_id]
            self._decide(key, ids, visibility, state=state)

    def _kills_without_container(self, waiting: _Unexplained) -> list[KillOfPod]:
        """Return the kills of the pod's cgroup or sandbox at the time of a status: the same event."""
        pod = self._pods.find(waiting.subject.pod_uid or "")
        if pod is None:
            return []
        finished = parse_rfc3339(waiting.state.finished_at or "")
        kills = self._store.kills_of_pod(
            (pod.facts.uid, pod.facts.cgroup_uid),
            since=rfc3339(finished - LATER_SECONDS),
            until=rfc3339(finished + EARLIER_SECONDS),
        )
        return [kill for kill in kills if names_no_container(kill.record, pod)]

    def _match_pod(self, kills: list[KillOfPod], waiting: _Unexplained) -> None:
        """Decide kills of the pod's cgroup or sandbox by the status of a container that ended with it."""
        for kill in kills:
            if kill.incident is not None:
                self._decide(kill.incident, [kill.id], Reported.REPORTED, state=waiting.state)

    def _decide(
        self, key: str, kill_ids: list[str], visibility: str, *, state: ContainerState | None
    ) -> None:
        before = incident = self._store.incident(key)
        if before is None or incident is None:
            return
        for kill_id in kill_ids:
            incident = with_visibility(incident, kill_id, visibility, state=state)
        if incident != before:
            with self._store.transaction():
                self._store.put_incident(key, incident)

    def _is_recent(self, state: ContainerState) -> bool:
        try:
            return state.finished_at is not None and parse_rfc3339(state.finished_at) >= int(self._since)
        except ValueError:
            return False

    def _note(self) -> BeforeInstallNote | None:
        return self._store.note(BEFORE_INSTALL_NOTE, BeforeInstallNote)

    def _is_before_install(self, state: ContainerState, container_id: str) -> bool:
        """Return whether the container ended before the first start, and nothing is decided about it. What is
        decided is forgotten with the incident, after KEEP_SECONDS."""
        first = parse_time(self._store.account().since)
        ended = parse_time(state.finished_at)
        return (
            ended is not None
            and first is not None
            and ended < int(first)
            and self._wall() - ended < KEEP_SECONDS
            and self._note() is not None
            and not self._store.is_reported(container_id)
        )

    def _is_counted(self, waiting: _Unexplained) -> bool:
        """Return whether a kill that is counted already may be the one that ended this container: an earlier
        state has counted it, or the kernel printed it without its cgroup at about that time."""
        ended = parse_time(waiting.state.finished_at) or 0.0
        adopted = parse_time(adopted_until(self._store).last_seen)
        if adopted is not None and ended <= adopted + STATUS_SECONDS:
            return True
        tolerance = STATUS_TOLERANCE_SECONDS + (self._wall() - ended) * KERNEL_CLOCK_DRIFT
        for kill_id, time_text in self._store.placeless_kills_before_install():
            near = abs((parse_time(time_text) or 0.0) - ended) <= tolerance
            if near and kill_id not in self._same:
                self._same.add(kill_id)
                return True
        return False

    def _report_only(self, waiting: _Unexplained, container_id: str) -> None:
        cause = Cause.UNKNOWN
        when = rfc3339(parse_rfc3339(waiting.state.finished_at or rfc3339(self._wall())))
        key = incident_key(waiting.subject, cause=cause)
        with self._store.transaction():
            if not self._store.note_reported(container_id, when):
                return
            note = self._note() if waiting.before_install else None
            if note is not None:
                self._store.put_note(BEFORE_INSTALL_NOTE, structs.replace(note, kills=note.kills + 1))
            incident = self._store.incident(key) or new_incident(
                waiting.subject, cause=cause, operator_namespace=self._namespace
            )
            count_in_hour(self._store, when)
            if not waiting.before_install:
                add_to_total(self._store, cause=cause, subject=waiting.subject, wall=self._wall())
            self._store.put_incident(
                key,
                reported_only(
                    incident,
                    subject=waiting.subject,
                    state=waiting.state,
                    kill_id=f"status-{container_id}",
                    time=when,
                    before_install=waiting.before_install,
                ),
            )
