"""Labels of the namespaces that this node's pods are in, as far as a namespaceSelector asks for them.

Each is got by its name, from the API server's cache (resourceVersion=0), and again when it has become old: a
watch of all namespaces on every node would cost the cluster far more than it tells one node.
"""

import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from oomkeeper.logformat import get_logger

from .kube.client import ApiClient, ApiConfig, ApiError

log = get_logger(__name__)

FRESH_SECONDS = 120.0
"""How long labels are taken for what they are; with jitter, so that nodes do not ask together."""
RETRY_SECONDS = 15.0
"""After an answer that was none."""


class NamespaceCache:
    """`labels` is for one thread, the agent's loop; requests are made in a thread of its own, which is there
    only once something was asked for."""

    def __init__(
        self,
        *,
        config: ApiConfig,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is called, from the other thread, after labels have become known or different."""
        self._config = config
        self._changed = changed
        self._clock = clock
        self._labels: dict[str, Mapping[str, str]] = {}
        self._ask_at: dict[str, float] = {}
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def labels(self, name: str) -> Mapping[str, str] | None:
        """As last known, however long ago; None while they have never been."""
        now = self._clock()
        if now >= self._ask_at.get(name, 0.0):
            self._ask_at[name] = now + FRESH_SECONDS * random.uniform(0.8, 1.2)
            self._queue.put(name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="namespaces", daemon=True)
                self._thread.start()
        return self._labels.get(name)

    def _run(self) -> None:
        client = ApiClient(self._config)
        while True:
            self._look(client, self._queue.get())

    def _look(self, client: ApiClient, name: str) -> None:
        try:
            found = client.get(f"/api/v1/namespaces/{quote(name, safe='')}", resourceVersion="0")
        except ApiError as error:
            if error.status == 404:
                # Its pods are about to go as well.
                self._labels.pop(name, None)
                return
            log.warning("namespace not read", name=name, retry_seconds=RETRY_SECONDS, error=error)
            self._ask_at[name] = self._clock() + RETRY_SECONDS
            return
        labels: dict[str, Any] = (found.get("metadata") or {}).get("labels") or {}
        if labels != self._labels.get(name):
            self._labels[name] = labels
            self._changed()
