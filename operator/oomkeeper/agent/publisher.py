"""Bring what the store holds to the API server: incidents, and the node's status when it changed.

The first write of an object is immediate. The next one follows after the object's interval at the earliest,
with the newest content, so a storm of kills costs a bounded number of requests and its end still arrives.

Each object has a back-off of its own: a namespace over its quota, or a webhook that fails, does not hold up
the others. Only an API server that does not answer, or asks for a pause, stops everything for a while."""

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from oomkeeper.connection.retry import Backoff, KeyedBackoff
from oomkeeper.logformat import get_logger
from oomkeeper.metrics.counts import Histogram
from oomkeeper.model.names import AGENT_MANAGER
from oomkeeper.model.times import parse_time
from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNode, OOMNodeStatus
from oomkeeper.resources.record import to_document

from .bounded_table import drop_oldest
from .container_kills import kill_within_size
from .database import StateUnwritableError
from .incident_queries import UnpublishedIncident
from .incident_size import within_size
from .kube.client import resource_path
from .kube.errors import ApiError
from .store import Store

log = get_logger(__name__)

INCIDENT_INTERVAL_SECONDS = 10.0
"""At most one write of the same OOMIncident in this time: a storm of kills changes it with each."""
STATUS_INTERVAL_SECONDS = 5.0
"""At most one write of OOMNode.status in this time: a storm of kills changes its counters with each."""
LONGEST_RETRY_SECONDS = 300.0
"""Longest delay of one object that the API server does not take."""
REJECTED = (400, 413, 422)
"""Answers that the same document gets again until the server, its webhooks or this program change."""
PAUSE = (429, 503)
"""Answers that are about the server, not about the object."""
_STATUS_KEY = "OOMNode status"
LATENCY_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)
"""Bounds of the histogram of the time from a kill to its written incident."""


_TIMED_INCIDENTS = 1000


class Applier(Protocol):
    """What the publisher needs of an API client."""

    def apply(self, path: str, body: dict[str, object], *, manager: str) -> object:
        """Apply an object on the server. Raises ApiError."""


class Rejections(NamedTuple):
    """Documents that the API server does not take."""

    number: int = 0
    example: str = ""
    """`NAMESPACE/NAME: PROBLEM` of one of them."""


NO_REJECTIONS = Rejections()


class Publisher:
    """Used from one thread; `offer_status`, `forget_status` and `rejections` from any."""

    def __init__(
        self,
        *,
        client: Applier,
        store: Store,
        node: str,
        rejections_changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.latency = Histogram(LATENCY_SECONDS)
        """From the last kill of an incident to its write, where the write was the first one with that
        kill."""
        self.writes = 0
        """Versions of incidents and ContainerKills that the API server has taken."""
        self._wall = wall
        self._timed: dict[str, str] = {}
        """Incident -> its last kill whose latency is known."""
        self._client = client
        self._store = store
        self._node = node
        self._rejections_changed = rejections_changed
        self._clock = clock
        self._lock = threading.Lock()
        self._status: OOMNodeStatus | None = None
        self._published: OOMNodeStatus | None = None
        self._forgotten = False
        self._status_at = -math.inf
        """Start of the last request for the status that was successful, or that found no OOMNode."""
        self._node_missing = False
        self._written: dict[str, float] = {}
        """Incident -> start of its last request that was successful or rejected, within the last interval."""
        self._objects = KeyedBackoff(longest_seconds=LONGEST_RETRY_SECONDS)
        self._server = Backoff()
        self._server_at = -math.inf
        """The API server is left alone until then."""
        self._rejected: dict[str, tuple[int, str]] = {}
        """Incident -> the version that was rejected, and why."""
        self._created: set[tuple[str, str, str]] = set()

    def offer_status(self, status: OOMNodeStatus) -> None:
        """Take the node's status as it is now; it is written when it differs from the one written last."""
        with self._lock:
            self._status = status

    def forget_status(self) -> None:
        """Write the status in full: the OOMNode may be another object now (deleted and created again)."""
        with self._lock:
            self._published = None
            self._forgotten = True
            if self._node_missing:
                self._status_at = -math.inf

    @property
    def rejections(self) -> Rejections:
        """The documents that the API server rejects. They are tried again by the next run of the agent."""
        with self._lock:
            if not self._rejected:
                return NO_REJECTIONS
            return Rejections(len(self._rejected), next(iter(self._rejected.values()))[1])

    def publish(self) -> float:
        """Publish what may be published now; return the seconds until more may be, infinite where nothing
        waits."""
        now = self._clock()
        if now < self._server_at:
            return self._server_at - now
        try:
            due = [self._publish_status()]
            due += [self._publish_incident(one) for one in self._unpublished()]
        except _ServerUnavailableError as error:
            delay = self._server.failed(retry_after_seconds=error.cause.retry_after_seconds)
            self._server_at = self._clock() + delay
            log.warning("publishing failed", retry_seconds=delay, error=error.cause)
            return delay
        return max(0.0, min(due) - self._clock())

    def publish_rest(self, *, within_seconds: float) -> None:
        """Publish what waits for its interval or its back-off, for the process ends. What the time is not
        enough for, and what fails, stays in the store for the next run."""
        deadline = self._clock() + within_seconds
        try:
            self._publish_status(hurry=True)
            for one in self._unpublished():
                if self._clock() >= deadline:
                    log.warning("incidents left for the next start")
                    return
                self._publish_incident(one, hurry=True)
        except _ServerUnavailableError as error:
            log.warning("publishing failed", error=error.cause)

    def _unpublished(self) -> list[UnpublishedIncident]:
        now = self._clock()
        self._written = {key: at for key, at in self._written.items() if now < at + INCIDENT_INTERVAL_SECONDS}
        try:
            return self._store.unpublished()
        except StateUnwritableError as error:
            # The loop moves the state to memory, and notifies of incidents again.
            log.warning("state not read", error=error)
            return []

    def _publish_incident(self, unpublished: UnpublishedIncident, *, hurry: bool = False) -> float:
        """Publish the newest version of one incident; return when it may be tried again, infinite where that
        is not needed."""
        key = unpublished.key
        if key in self._rejected and self._rejected[key][0] == unpublished.version:
            return math.inf
        written = self._written.get(key, -math.inf)
        due = max(written + INCIDENT_INTERVAL_SECONDS, self._objects.when(key))
        if due > self._clock() and not hurry:
            return due
        newest = self._newest(key)
        if newest is None:
            return math.inf  # it was dropped before it was published: its kills belong to another one
        version, incident = newest
        meta = incident.metadata
        fields = {"kind": incident.kind, "namespace": meta.namespace, "name": meta.name}
        started = self._clock()
        try:
            self._apply_incident(incident)
        except ApiError as error:
            _raise_if_of_server(error)
            if error.status in REJECTED:
                log.error("incident rejected", **fields, error=error)
                self._written[key] = started
                self._note_rejection(key, version, f"{meta.namespace}/{meta.name}: {error}")
                return math.inf
            if not _namespace_gone(error):
                self._objects.failed(key, now=self._clock(), retry_after_seconds=error.retry_after_seconds)
                when = self._objects.when(key)
                log.warning(
                    "incident not published", **fields, retry_seconds=when - self._clock(), error=error
                )
                return when
            # For good, not only until the next start; one more kill would be another version.
            log.warning("incident dropped: namespace not found", **fields, error=error)
        else:
            self.writes += 1
            if isinstance(incident, OOMIncident):
                self._note_latency(key, incident)
        self._objects.succeeded(key)
        self._written[key] = started
        self._note_rejection(key, version, None)
        try:
            self._store.mark_published(key, version)
        except StateUnwritableError as error:
            # It is applied again later, with the same result.
            log.debug("publication not noted", **fields, error=error)
        return math.inf

    def _note_latency(self, key: str, incident: OOMIncident) -> None:
        """Note how long the last kill took to get here. A kill before the first start was never on its
        way."""
        last = incident.status.kills[0] if incident.status is not None and incident.status.kills else None
        if last is None or last.before_install or self._timed.get(key) == last.id:
            return
        killed_at = parse_time(last.time)
        if killed_at is not None:
            self.latency.observe(self._wall() - killed_at)
            self._timed[key] = last.id
            drop_oldest(self._timed, most=_TIMED_INCIDENTS)

    def _newest(self, key: str) -> tuple[int, OOMIncident | ContainerKill] | None:
        try:
            return self._store.newest_version(key)
        except StateUnwritableError as error:
            log.warning("state not read", error=error)
            return None

    def _note_rejection(self, key: str, version: int, problem: str | None) -> None:
        with self._lock:
            before = len(self._rejected)
            if problem is None:
                self._rejected.pop(key, None)
            else:
                self._rejected[key] = (version, problem)
            changed = before != len(self._rejected)
        if changed:
            self._rejections_changed()

    def _apply_incident(self, incident: OOMIncident | ContainerKill) -> None:
        meta = incident.metadata
        namespace, name = meta.namespace or "", meta.name or ""
        if isinstance(incident, ContainerKill):
            plural, document = "containerkills", to_document(kill_within_size(incident))
        else:
            plural, document = "oomincidents", to_document(within_size(incident))
        status = {key: value for key, value in document.items() if key != "spec"}
        status_path = resource_path(plural, namespace=namespace, name=name, status=True)
        if (plural, namespace, name) in self._created:
            try:
                self._apply(status_path, status)
                return
            except ApiError as error:
                if error.status != 404:
                    raise
        subject = {key: value for key, value in document.items() if key != "status"}
        self._apply(resource_path(plural, namespace=namespace, name=name), subject)
        self._apply(status_path, status)
        self._created.add((plural, namespace, name))

    def _publish_status(self, *, hurry: bool = False) -> float:
        """Publish the status; return when it may be tried, infinite where that is not needed."""
        with self._lock:
            status, published = self._status, self._published
            self._forgotten = False
            due = max(self._status_at + STATUS_INTERVAL_SECONDS, self._objects.when(_STATUS_KEY))
        if status is None or status == published:
            return math.inf
        if due > self._clock() and not hurry:
            return due
        body = to_document(OOMNode(metadata=ObjectMeta(name=self._node), status=status))
        body.pop("spec", None)  # the controller's
        started = self._clock()
        try:
            self._apply(resource_path("oomnodes", name=self._node, status=True), body)
        except ApiError as error:
            _raise_if_of_server(error)
            if error.status == 404:
                return self._note_missing_node(started)
            self._objects.failed(
                _STATUS_KEY, now=self._clock(), retry_after_seconds=error.retry_after_seconds
            )
            due = self._objects.when(_STATUS_KEY)
            log.warning("status not published", retry_seconds=due - self._clock(), error=error)
            return due
        self._objects.succeeded(_STATUS_KEY)
        with self._lock:
            self._status_at, self._node_missing = started, False
            if self._forgotten:  # while the request was under way
                return started + STATUS_INTERVAL_SECONDS
            self._published = status
        return math.inf

    def _note_missing_node(self, started: float) -> float:
        """Note that the controller has not made the OOMNode yet. Its ADDED event brings the status again, and
        then immediately; until then a changed status asks for it once per interval."""
        with self._lock:
            if self._forgotten:  # made while the request was under way
                return started
            self._status_at, self._node_missing = started, True
        return math.inf

    def _apply(self, path: str, body: dict[str, object]) -> None:
        self._client.apply(path, body, manager=AGENT_MANAGER)
        self._server.succeeded()


class _ServerUnavailableError(Exception):
    """The API server does not answer, or asks for a pause."""

    def __init__(self, cause: ApiError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _raise_if_of_server(error: ApiError) -> None:
    if error.status is None or error.status in PAUSE:
        raise _ServerUnavailableError(error)


def _namespace_gone(error: ApiError) -> bool:
    """Return whether the namespace is deleted: then there is no place for the incident, and never will be."""
    text = str(error)
    return (error.status == 404 and "namespaces" in text) or (
        error.status == 403 and "being terminated" in text
    )


class PublisherThread:
    """Runs a publisher whenever there may be something to publish."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stop_by = math.inf
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Publish soon. Safe from any thread."""
        self._wake.set()

    def stop(self, *, within_seconds: float) -> None:
        """Publish what is left, as far as that works within the time, and end."""
        self._stop_by = time.monotonic() + within_seconds
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(within_seconds)

    def _run(self) -> None:
        wait = 0.0  # what an earlier run has left in the store
        while not self._stopping.is_set():
            self._wake.wait(None if wait == math.inf else wait)
            self._wake.clear()
            if not self._stopping.is_set():
                wait = self._publisher.publish()
        self._publisher.publish_rest(within_seconds=self._stop_by - time.monotonic())
