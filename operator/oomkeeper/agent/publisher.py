"""Bring what the store holds to the API server: incidents, and the node's status when it changed.

Each object has a back-off of its own: a namespace over its quota, or a webhook that fails, does not hold up
the others. Only an API server that does not answer, or asks for a pause, stops everything for a while."""

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from oomkeeper.connection.retry import Backoff, KeyedBackoff
from oomkeeper.logformat import get_logger
from oomkeeper.model.names import AGENT_MANAGER
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNode, OOMNodeStatus
from oomkeeper.resources.record import to_document

from .database import StateUnwritableError
from .incident_size import within_size
from .kube.client import resource_path
from .kube.errors import ApiError
from .store import Store, UnpublishedIncident

log = get_logger(__name__)

STATUS_INTERVAL_SECONDS = 1.0
"""At most one write of OOMNode.status in this time: a storm of kills changes its counters with each."""
LONGEST_RETRY_SECONDS = 300.0
"""Longest delay of one object that the API server does not take."""
REJECTED = (400, 413, 422)
"""Answers that the same document gets again until the server, its webhooks or this program change."""
PAUSE = (429, 503)
"""Answers that are about the server, not about the object."""
_STATUS_KEY = "OOMNode status"


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
    ) -> None:
        self._client = client
        self._store = store
        self._node = node
        self._rejections_changed = rejections_changed
        self._clock = clock
        self._lock = threading.Lock()
        self._status: OOMNodeStatus | None = None
        self._published: OOMNodeStatus | None = None
        self._forgotten = False
        self._status_at = -STATUS_INTERVAL_SECONDS
        self._objects = KeyedBackoff(longest_seconds=LONGEST_RETRY_SECONDS)
        self._server = Backoff()
        self._server_at = -math.inf
        """The API server is left alone until then."""
        self._rejected: dict[str, tuple[int, str]] = {}
        """Incident -> the version that was rejected, and why."""
        self._created: set[tuple[str, str]] = set()

    def offer_status(self, status: OOMNodeStatus) -> None:
        """Take the node's status as it is now; it is written when it differs from the one written last."""
        with self._lock:
            self._status = status

    def forget_status(self) -> None:
        """Write the status in full: the OOMNode may be another object now (deleted and created again)."""
        with self._lock:
            self._published = None
            self._forgotten = True

    @property
    def rejections(self) -> Rejections:
        """The documents that the API server rejects. They are tried again by the next run of the agent."""
        with self._lock:
            if not self._rejected:
                return NO_REJECTIONS
            return Rejections(len(self._rejected), next(iter(self._rejected.values()))[1])

    def publish(self, *, hurry: bool = False) -> float:
        """Publish what may be published now; return the seconds until more may be, infinite where nothing
        waits.

        `hurry`: the process ends, so nothing is held back.
        """
        now = self._clock()
        if now < self._server_at and not hurry:
            return self._server_at - now
        try:
            due = [self._publish_status(hurry=hurry)]
            due += [self._publish_incident(one) for one in self._unpublished()]
        except _ServerUnavailableError as error:
            delay = self._server.failed(retry_after_seconds=error.cause.retry_after_seconds)
            self._server_at = self._clock() + delay
            log.warning("publishing failed", retry_seconds=delay, error=error.cause)
            return delay
        return max(0.0, min(due) - self._clock())

    def _unpublished(self) -> list[UnpublishedIncident]:
        try:
            return self._store.unpublished()
        except StateUnwritableError as error:
            # The loop moves the state to memory, and notifies of incidents again.
            log.warning("state not read", error=error)
            return []

    def _publish_incident(self, unpublished: UnpublishedIncident) -> float:
        """Publish one incident; return when it may be tried again, infinite where that is not needed."""
        key, version, incident = unpublished.key, unpublished.version, unpublished.incident
        if key in self._rejected and self._rejected[key][0] == version:
            return math.inf
        if not self._objects.may(key, now=self._clock()):
            return self._objects.when(key)
        meta = incident.metadata
        fields = {"namespace": meta.namespace, "name": meta.name}
        try:
            self._apply_incident(incident)
        except ApiError as error:
            _raise_if_of_server(error)
            if error.status in REJECTED:
                log.error("incident rejected", **fields, error=error)
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
        self._objects.succeeded(key)
        self._note_rejection(key, version, None)
        try:
            self._store.mark_published(key, version)
        except StateUnwritableError as error:
            # It is applied again later, with the same result.
            log.debug("publication not noted", **fields, error=error)
        return math.inf

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

    def _apply_incident(self, incident: OOMIncident) -> None:
        meta = incident.metadata
        namespace, name = meta.namespace or "", meta.name or ""
        document = to_document(within_size(incident))
        status = {key: value for key, value in document.items() if key != "spec"}
        status_path = resource_path("oomincidents", namespace=namespace, name=name, status=True)
        if (namespace, name) in self._created:
            try:
                self._apply(status_path, status)
                return
            except ApiError as error:
                if error.status != 404:
                    raise
        subject = {key: value for key, value in document.items() if key != "status"}
        self._apply(resource_path("oomincidents", namespace=namespace, name=name), subject)
        self._apply(status_path, status)
        self._created.add((namespace, name))

    def _publish_status(self, *, hurry: bool) -> float:
        """Publish the status; return when it may be tried, infinite where that is not needed."""
        with self._lock:
            status, published = self._status, self._published
            self._forgotten = False
        if status is None or status == published:
            return math.inf
        due = max(self._status_at + STATUS_INTERVAL_SECONDS, self._objects.when(_STATUS_KEY))
        if due > self._clock() and not hurry:
            return due
        body = to_document(OOMNode(metadata=ObjectMeta(name=self._node), status=status))
        body.pop("spec", None)  # the controller's
        self._status_at = self._clock()
        try:
            self._apply(resource_path("oomnodes", name=self._node, status=True), body)
        except ApiError as error:
            _raise_if_of_server(error)
            if error.status == 404:
                return math.inf  # the controller has not made it yet: its ADDED event brings the status again
            self._objects.failed(
                _STATUS_KEY, now=self._clock(), retry_after_seconds=error.retry_after_seconds
            )
            due = self._objects.when(_STATUS_KEY)
            log.warning("status not published", retry_seconds=due - self._clock(), error=error)
            return due
        self._objects.succeeded(_STATUS_KEY)
        with self._lock:
            if self._forgotten:  # while the request was under way
                return self._status_at + STATUS_INTERVAL_SECONDS
            self._published = status
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
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Publish soon. Safe from any thread."""
        self._wake.set()

    def stop(self, *, wait_seconds: float) -> None:
        """Publish what is left if that works immediately, and end."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        wait = math.inf
        while not self._stopping.is_set():
            self._wake.wait(None if wait == math.inf else wait)
            self._wake.clear()
            wait = self._publisher.publish(hurry=self._stopping.is_set())
