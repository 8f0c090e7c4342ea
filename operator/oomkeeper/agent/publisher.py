"""Bring what the store holds to the API server, for as long as it takes: the incidents, and the node's
status when it changed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger
from oomkeeper.model.names import AGENT_MANAGER
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNode, OOMNodeStatus
from oomkeeper.resources.record import to_document

from .incident_size import within_size
from .kube.client import ApiClient, resource_path
from .kube.errors import ApiError
from .store import Store

log = get_logger(__name__)

STATUS_INTERVAL_SECONDS = 1.0
"""At most one write of OOMNode.status in this time: a storm of kills changes its counters with each."""
HOPELESS = (400, 413, 422)
"""Answers that the same request will get again."""


class Publisher(threading.Thread):
    """Owns one API connection and one connection to the store."""

    def __init__(
        self, *, config: ApiConfig, state_dir: Path, node: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(name="publisher", daemon=True)
        self._client = ApiClient(config)
        self._state_dir = state_dir
        self._node = node
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._backoff = Backoff()
        self._lock = threading.Lock()
        self._status: OOMNodeStatus | None = None
        self._published: OOMNodeStatus | None = None
        self._forgotten = False
        self._status_at = -STATUS_INTERVAL_SECONDS
        self._refused: dict[str, int] = {}
        self._created: set[tuple[str, str]] = set()

    def incidents_changed(self) -> None:
        """There may be unpublished incidents in the store."""
        self._wake.set()

    def offer_status(self, status: OOMNodeStatus) -> None:
        """The node's status as it is now; written when it differs from the one written last."""
        with self._lock:
            self._status = status
        self._wake.set()

    def forget_status(self) -> None:
        """The OOMNode is another one now (deleted and made again): write the status in full."""
        with self._lock:
            self._published = None
            self._forgotten = True
        self._wake.set()

    def stop(self, *, wait_seconds: float) -> None:
        """Publish what is left if that works at once, and end."""
        self._stopping.set()
        self._wake.set()
        self.join(wait_seconds)
        self._client.close()

    def run(self) -> None:
        store = Store.open(self._state_dir)
        timeout: float | None = None
        while True:
            self._wake.wait(timeout)
            self._wake.clear()
            stopping = self._stopping.is_set()
            try:
                self._publish_incidents(store)
                timeout = self._publish_status(hurry=stopping)
            except ApiError as error:
                delay = self._backoff.failed(retry_after_seconds=error.retry_after_seconds)
                log.warning("publishing failed", retry_seconds=delay, error=error)
                # Not `_wake`: more work must not shorten the pause that the API server needs.
                self._stopping.wait(delay)
                timeout = 0.0
            if stopping:
                store.close()
                return

    def _publish_incidents(self, store: Store) -> None:
        for unpublished in store.unpublished():
            key, version, incident = unpublished.key, unpublished.version, unpublished.incident
            if self._refused.get(key) == version:
                continue
            try:
                self._publish_incident(incident)
            except ApiError as error:
                meta = incident.metadata
                fields = {"namespace": meta.namespace, "name": meta.name, "error": error}
                if error.status in HOPELESS:
                    log.error("incident rejected", **fields)
                    self._refused[key] = version
                    continue
                if not _namespace_gone(error):
                    raise
                # For good, not only until the next start; one more kill would be another version.
                log.warning("incident dropped: namespace not found", **fields)
            store.mark_published(key, version)

    def _publish_incident(self, incident: OOMIncident) -> None:
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

    def _publish_status(self, *, hurry: bool) -> float | None:
        """Seconds until a status that is held back may be written; None where nothing is."""
        with self._lock:
            status, published = self._status, self._published
            self._forgotten = False
        if status is None or status == published:
            return None
        wait = STATUS_INTERVAL_SECONDS - (self._clock() - self._status_at)
        if wait > 0 and not hurry:
            return wait
        body = to_document(OOMNode(metadata=ObjectMeta(name=self._node), status=status))
        body.pop("spec", None)  # the controller's
        self._status_at = self._clock()
        try:
            self._apply(resource_path("oomnodes", name=self._node, status=True), body)
        except ApiError as error:
            if error.status == 404:
                return None  # the controller has not made it yet: its ADDED event brings the status again
            raise
        with self._lock:
            if not self._forgotten:  # while the request was under way
                self._published = status
        return None

    def _apply(self, path: str, body: dict[str, Any]) -> None:
        self._client.apply(path, body, manager=AGENT_MANAGER)
        self._backoff.succeeded()  # not after a round that had nothing to send


def _namespace_gone(error: ApiError) -> bool:
    """A pod's namespace may be deleted with it: there is no place for its incident any more, and never will
    be."""
    text = str(error)
    return (error.status == 404 and "namespaces" in text) or (
        error.status == 403 and "being terminated" in text
    )
