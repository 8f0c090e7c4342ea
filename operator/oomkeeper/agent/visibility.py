"""Does kubelet say what the kernel says? Matches container statuses with the kills recorded, by container
id."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from .attribution import Subject
from .clock import parse_rfc3339, rfc3339
from .incidents import Document, incident_key, new_incident, reported_only, with_visibility
from .pods import ContainerState, Pod, PodTable
from .store import Store

REPORTED = "Reported"
INVISIBLE = "Invisible"
OOM_KILLED = "OOMKilled"
STATUS_SECONDS = 15.0
"""How long kubelet has to say OOMKilled before the kill counts as invisible (its relist takes a second, a
busy node more)."""
EVIDENCE_SECONDS = 3.0
"""How long a status waits for the kernel's record, which is printed before it: reading may lag in a storm."""


@dataclass(frozen=True, slots=True)
class _Unexplained:
    subject: Subject
    state: ContainerState
    since: float


class Visibility:
    """Used from the agent's loop."""

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
        """`since`: statuses of containers that ended before it tell of a time that nobody watched."""
        self._store = store
        self._node = node
        self._pods = pods
        self._namespace = operator_namespace
        self._since = parse_rfc3339(since)
        self._clock = clock
        self._wall = wall
        self._unexplained: dict[str, _Unexplained] = {}

    def pod_changed(self, pod: Pod) -> None:
        """Look at one pod's container states."""
        for container_id, state in pod.states.items():
            if state.running:
                continue
            keys = self._store.incident_of_container(container_id)
            if keys:
                self._tell(keys, container_id, state=state)
            elif state.reason == OOM_KILLED and self._is_news(state):
                subject = Subject(
                    node=self._node,
                    pod=pod,
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
                self._tell(keys, container_id, state=waiting.state)
                del self._unexplained[container_id]
            elif now - waiting.since >= EVIDENCE_SECONDS:
                self._report_only(waiting, container_id)
                del self._unexplained[container_id]
        for key, document in self._store.silent_incidents():
            status = document["status"]
            container_id = status.get("evidence", {}).get("containerID")
            state = self._state(container_id)
            if state is not None and not state.running:
                self._tell([key], container_id, state=state)
            elif self._wall() - parse_rfc3339(status["lastSeen"]) >= STATUS_SECONDS:
                self._put(key, document, INVISIBLE, state=None)

    def waiting(self) -> bool:
        """True while something is undecided."""
        return bool(self._unexplained) or next(self._store.silent_incidents(), None) is not None

    def _state(self, container_id: str | None) -> ContainerState | None:
        for pod in self._pods.all():
            if container_id is not None and container_id in pod.states:
                return pod.states[container_id]
        return None

    def _tell(self, keys: list[str], container_id: str | None, *, state: ContainerState) -> None:
        for key in keys:
            document = self._store.incident(key)
            # Only the last kill's container speaks for the incident.
            if document is None or document["status"].get("evidence", {}).get("containerID") != container_id:
                continue
            self._put(key, document, REPORTED if state.reason == OOM_KILLED else INVISIBLE, state=state)

    def _put(self, key: str, document: Document, visibility: str, *, state: ContainerState | None) -> None:
        changed = with_visibility(document, visibility, state=state)
        if changed != document:
            with self._store.transaction():
                self._store.put_incident(key, changed)

    def _is_news(self, state: ContainerState) -> bool:
        try:
            return state.finished_at is not None and parse_rfc3339(state.finished_at) >= int(self._since)
        except ValueError:
            return False

    def _report_only(self, waiting: _Unexplained, container_id: str) -> None:
        cause = "Unknown"
        when = rfc3339(parse_rfc3339(waiting.state.finished_at or rfc3339(self._wall())))
        key = incident_key(waiting.subject, cause=cause)
        with self._store.transaction():
            if not self._store.note_reported(container_id, when):
                return
            document = self._store.incident(key) or new_incident(
                waiting.subject, cause=cause, operator_namespace=self._namespace
            )
            self._store.put_incident(
                key,
                reported_only(
                    waiting.subject,
                    state=waiting.state,
                    document=document,
                    time=when,
                    new_id=f"status-{container_id}",
                ),
            )
