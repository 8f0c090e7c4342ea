"""Follow a collection: LIST, then WATCH from the list's resourceVersion, as client-go's reflector does.

The rules are those of k8s.io/client-go/tools/cache/reflector.go. Each keeps many clients from overloading an
API server that is already in trouble:

- The first LIST has resourceVersion=0, which the API server answers from its watch cache. A later one asks
  for a state at least as new as what is known; only when the server cannot serve that either does it read
  the newest state ("").
- A watch that fails with 429, 5xx or a lost connection continues from the last resourceVersion. Only 410
  (that version has been compacted) needs a LIST.
- Bookmarks advance the resourceVersion of a quiet watch, so that 410 is rare.
- Two watches start at least one second apart. A watch that ends immediately without an event is a failure.
- Failures wait with exponential back-off and full jitter, after Retry-After if the server sent it; the delay
  resets only once a watch has delivered something or lasted.
"""

import random
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Generic, TypeVar

import msgspec

from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger

from .client import ApiClient, ApiConfig, WatchEvent, WatchSilentError
from .errors import ApiError

log = get_logger(__name__)

FROM_CACHE = "0"
NEWEST = ""
MIN_WATCH_INTERVAL_SECONDS = 1.0
FIRST_RETRY_SECONDS = 4.0
"""The first retry after a failure is spread over this time. A restart of the API server ends the watches of
all agents at the same moment; spread over one second, a thousand agents send 1500 requests in that second
(bench/README.md)."""
LONGEST_FIRST_LIST_RETRY_SECONDS = 10.0
LASTING_SECONDS = 5.0
"""A watch that was open for so long worked, with or without events."""
WATCH_SECONDS = (240, 480)
"""The server ends a watch after a random time within this range, so that agents that started together do not
reconnect together."""
_TOO_LARGE_VERSION = "Too large resource version"
"""The server's cache has not reached the version asked for: permanently so after etcd was restored from a
backup (k8s.io/apiserver/pkg/storage/errors.go, NewTooLargeResourceVersionError)."""

_ITEM = TypeVar("_ITEM")


class _Meta(msgspec.Struct):
    resourceVersion: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Meta


class Reflector(Generic[_ITEM]):
    """Calls `listed` with all items after each LIST and `changed` with each watch event (ADDED, MODIFIED,
    DELETED).

    Both are called from the reflector's own thread. `decode` makes an item of its JSON as soon as it has
    arrived.
    """

    def __init__(
        self,
        *,
        config: ApiConfig,
        path: str,
        query: dict[str, str],
        decode: Callable[[bytes], _ITEM],
        listed: Callable[[list[_ITEM]], None],
        changed: Callable[[str, _ITEM], None],
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._thread = threading.Thread(target=self._run, name=f"reflector {path}", daemon=True)
        self._client = ApiClient(config)
        self._path = path
        self._query = query
        self._decode = decode
        self._listed = listed
        self._changed = changed
        # Without a first list the agent can do nothing, and agents seldom start all together.
        self._backoff = backoff or Backoff(longest_seconds=LONGEST_FIRST_LIST_RETRY_SECONDS)
        self._watch_backoff = backoff or Backoff(first_seconds=FIRST_RETRY_SECONDS)
        self._clock = clock
        self._stopping = threading.Event()
        self._version = FROM_CACHE
        """The newest resourceVersion seen."""
        self._list_due = True
        self._read_newest = False
        self._problem: str | None = None
        """What failed last, until something works again."""
        self._watch_started = -MIN_WATCH_INTERVAL_SECONDS

    def start(self) -> None:
        """List and watch until `stop`."""
        self._thread.start()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end after `stop`; return whether it has ended."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._list_due:
                    self._list()
                self._wait(self._watch_started + MIN_WATCH_INTERVAL_SECONDS - self._clock())
                if not self._stopping.is_set():
                    self._watch()
            except ApiError as error:
                self._failed(error)
        self._client.close()

    def stop(self) -> None:
        """From another thread: end soon."""
        self._stopping.set()
        self._client.abort()

    def _list(self) -> None:
        version = NEWEST if self._read_newest else self._version
        try:
            items, found = self._client.list_items(
                self._path, decode=self._decode, resource_version=version, **self._query
            )
        except ApiError as error:
            if error.status == HTTPStatus.GONE or _TOO_LARGE_VERSION in str(error):
                self._read_newest = True
            raise
        self._version, self._list_due, self._read_newest = found or FROM_CACHE, False, False
        self._backoff = self._watch_backoff
        self._listed(items)

    def _watch(self) -> None:
        self._watch_started = self._clock()
        delivered = False
        try:
            for event in self._client.watch(
                self._path,
                resource_version=self._version,
                timeout_seconds=random.randint(*WATCH_SECONDS),
                **self._query,
            ):
                self._handle(event)
                delivered = True
                self._works()
        except WatchSilentError:
            self._works()  # the server accepted it; whether it still lives the next one shows
            return
        except ApiError as error:
            if error.status == HTTPStatus.GONE:
                self._list_due = True
            raise
        if not delivered and self._clock() - self._watch_started < LASTING_SECONDS:
            raise ApiError(f"watch {self._path}: the server ended it immediately, without an event")
        self._works()

    def _handle(self, event: WatchEvent) -> None:
        try:
            version = msgspec.json.decode(event.object, type=_Versioned).metadata.resourceVersion
        except msgspec.MsgspecError as error:
            raise ApiError(f"watch {self._path}: not an object: {error}") from error
        if event.type in ("ADDED", "MODIFIED", "DELETED"):
            self._changed(event.type, self._decode(bytes(event.object)))
        # After the event was handled, or a failure in between would lose it.
        self._version = version or self._version

    def _works(self) -> None:
        self._backoff.succeeded()
        if self._problem is not None:
            log.info("watch works again", path=self._path)
            self._problem = None

    def _failed(self, error: ApiError) -> None:
        if self._stopping.is_set():
            return
        wait = self._backoff.failed(retry_after_seconds=error.retry_after_seconds)
        if str(error) != self._problem:
            log.warning("watch failed", path=self._path, retry_seconds=wait, error=error)
            self._problem = str(error)
        self._wait(wait)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._stopping.wait(seconds)
