"""Follow one list of objects: LIST, then WATCH, and again from a LIST when the server has forgotten where
we were."""

import logging
import random
import threading
from collections.abc import Callable
from typing import Any

from .client import ApiClient, ApiConfig, ApiError

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0


class Backoff:
    """Waits that double, with jitter so that a cluster of agents does not come back as one."""

    def __init__(self) -> None:
        self._wait = FIRST_WAIT_SECONDS

    def reset(self) -> None:
        self._wait = FIRST_WAIT_SECONDS

    def next_seconds(self) -> float:
        wait, self._wait = self._wait, min(self._wait * 2, LONGEST_WAIT_SECONDS)
        return wait * random.uniform(0.7, 1.3)


class Watcher(threading.Thread):
    """Calls `listed` with all items after each LIST and `changed` with each watch event (ADDED, MODIFIED,
    DELETED).

    Both are called from this thread.
    """

    def __init__(
        self,
        *,
        config: ApiConfig,
        path: str,
        query: dict[str, str],
        listed: Callable[[list[dict[str, Any]]], None],
        changed: Callable[[str, dict[str, Any]], None],
    ) -> None:
        super().__init__(name=f"watch {path}", daemon=True)
        self._client = ApiClient(config)
        self._path = path
        self._query = query
        self._listed = listed
        self._changed = changed
        self._stopping = threading.Event()

    def run(self) -> None:
        backoff = Backoff()
        version = ""
        failing = False
        while not self._stopping.is_set():
            try:
                if not version:
                    items, version = self._client.list_items(self._path, **self._query)
                    self._listed(items)
                    del items
                if failing:
                    log.info("watch works again path=%s", self._path)
                    failing = False
                for event in self._client.watch(self._path, resource_version=version, **self._query):
                    backoff.reset()
                    obj = event.get("object") or {}
                    version = (obj.get("metadata") or {}).get("resourceVersion", version)
                    if event.get("type") != "BOOKMARK":
                        self._changed(str(event.get("type")), obj)
            except ApiError as error:
                if self._stopping.is_set():
                    return
                # 410 Gone: the version has been compacted away. Anything but a mere lost connection starts
                # from a LIST as well.
                if error.status is not None:
                    version = ""
                if not failing:
                    log.warning("watch fails path=%s problem=%s", self._path, error)
                    failing = True
                self._stopping.wait(backoff.next_seconds())

    def stop(self) -> None:
        self._stopping.set()
        self._client.abort()
