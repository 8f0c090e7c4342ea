"""Whether kubelet reports what the kernel reports: container statuses matched with recorded kills by
container id."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from oomkeeper.model.cause import Cause
from oomkeeper.model.cause import Visibility as Reported

from .attribution import Subject
from .clock import parse_rfc3339, rfc3339
from .incidents import incident_key, new_incident, reported_only, status_of, with_visibility
from .kill_history import count_in_hour
from .pods import ContainerState, Pod, PodTable
from .store import Store

OOM_KILLED = "OOMKilled"
STATUS_SECONDS = 15.0
"""How long kubelet has to report OOMKilled before the kill counts as invisible (its relist takes a second, on
a busy node more)."""
EVIDENCE_SECONDS = 3.0
"""How long a status waits for the kernel's record, which is printed before it: reading may lag in a storm."""


@dataclass(frozen=True, slots=True)
class _Unexplained:
    subject: Subject
    state: ContainerState
    since: float


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
        """`since`: statuses of containers that ended before it are of a time without an agent."""
        self._store = store
        self._node = node
        self._pods = pods
        self._namespace = operator_namespace
        self._since = parse_rfc3339(since)
        self._clock = clock
        self._wall = wall
        self._unexplained: dict[str, _Unexplained] = {}

    def pod_changed(self, pod: Pod) -> None:
        """Match one pod's container states."""
        for container_id, state in pod.states.items():
            if state.running:
                continue
            keys = self._store.incident_of_container(container_id)
            if keys:
                self._match(keys, container_id, state=state)
            elif state.reason == OOM_KILLED and self._is_recent(state):
                subject = Subject(
                    node=self._node,
                    pod=pod,
                    workload=self._pods.workload(pod),
                    pod_uid=pod.facts.uid,
                    container=state.container,
                    container_id=container_id,
                )
                self._unexplained.setdefault(container_id, _Unexplained(subject, state, self._clock()))

    def tick(self) -> None:
        """Decide what has waited long enough."""
        now = self._clock()
        for container_id, waiting in list(self._unexplained.items()):
            keys = self._store.incident_of_container(container_id)
            if keys:
                self._match(keys, container_id, state=waiting.state)
                del self._unexplained[container_id]
            elif now - waiting.since >= EVIDENCE_SECONDS:
                if waiting.subject.workload is None and waiting.subject.pod is not None:
                    workload = self._pods.workload(waiting.subject.pod)
                    if workload is None:
                        continue  # published nothing until its owner is known
                    waiting = replace(waiting, subject=replace(waiting.subject, workload=workload))
                self._report_only(waiting, container_id)
                del self._unexplained[container_id]
        for key, incident in self._store.undecided_incidents():
            for kill in status_of(incident).kills:
                if kill.visibility is not None:
                    continue
                state = self._state(kill.container_id)
                if state is not None and not state.running:
                    self._match([key], kill.container_id, state=state)
                elif self._wall() - parse_rfc3339(kill.time) >= STATUS_SECONDS:
                    self._decide(key, [kill.id], Reported.INVISIBLE, state=None)

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

    def _report_only(self, waiting: _Unexplained, container_id: str) -> None:
        cause = Cause.UNKNOWN
        when = rfc3339(parse_rfc3339(waiting.state.finished_at or rfc3339(self._wall())))
        key = incident_key(waiting.subject, cause=cause)
        with self._store.transaction():
            if not self._store.note_reported(container_id, when):
                return
            incident = self._store.incident(key) or new_incident(
                waiting.subject, cause=cause, operator_namespace=self._namespace
            )
            count_in_hour(self._store, when)
            self._store.put_incident(
                key,
                reported_only(
                    incident,
                    subject=waiting.subject,
                    state=waiting.state,
                    kill_id=f"status-{container_id}",
                    time=when,
                ),
            )
