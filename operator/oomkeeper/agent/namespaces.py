"""Labels of the namespaces that this node's pods are in, as far as a namespaceSelector needs them.

Each namespace is read by name, from the API server's cache (resourceVersion=0), and again when the labels
have become old: a watch of all namespaces on every node would cost the cluster far more than it is worth.
"""

import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import KeyedBackoff
from oomkeeper.logformat import get_logger

from .kube.client import ApiClient
from .kube.errors import ApiError

log = get_logger(__name__)

FRESH_SECONDS = 120.0
"""How long labels are used before they are read again; with jitter, so that nodes do not ask together."""


class NamespaceCache:
    """Reads labels in the background. `labels` is for one thread, the agent's loop; requests are made in a
    thread of its own, which starts with the first one."""

    def __init__(
        self,
        *,
        config: ApiConfig,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is called, from the other thread, after labels have become known or have changed."""
        self._config = config
        self._changed = changed
        self._clock = clock
        self._labels: dict[str, Mapping[str, str]] = {}
        self._ask_at: dict[str, float] = {}
        self._backoff = KeyedBackoff()
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def labels(self, name: str) -> Mapping[str, str] | None:
        """Return the labels as last read, however long ago; None if they have never been read."""
        known, now = self._labels.get(name), self._clock()
        if now >= self._ask_at.get(name, 0.0):
            self._ask_at[name] = now + FRESH_SECONDS * random.uniform(0.8, 1.2)
            self._queue.put(name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="namespaces", daemon=True)
                self._thread.start()
        return known

    def _run(self) -> None:
        client = ApiClient(self._config)
        while True:
            self._read(client, self._queue.get())

    def _read(self, client: ApiClient, name: str) -> None:
        try:
            found = client.get(f"/api/v1/namespaces/{quote(name, safe='')}", resourceVersion="0")
        except ApiError as error:
            if error.status == 404:
                # Its pods are about to be deleted as well.
                self._labels.pop(name, None)
                return
            self._backoff.failed(name, now=self._clock(), retry_after_seconds=error.retry_after_seconds)
            self._ask_at[name] = self._backoff.when(name)
            log.warning("namespace not read", name=name, error=error)
            return
        self._backoff.succeeded(name)
        labels: dict[str, Any] = (found.get("metadata") or {}).get("labels") or {}
        if labels != self._labels.get(name):
            self._labels[name] = labels
            self._changed()
