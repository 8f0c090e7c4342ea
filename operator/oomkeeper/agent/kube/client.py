"""GET, LIST, WATCH and server-side APPLY."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import urllib3
from urllib3.exceptions import ReadTimeoutError

from oomkeeper.connection.config import ApiConfig

from .errors import ApiError, error_of_event
from .list_splitter import ListSplitter
from .transport import Transport, check_object_size, chunks, lines, whole

WATCH_SILENCE_SECONDS = 65.0
"""Longest silence of a watch. The API server sends a bookmark about every 60 s (defaultBookmarkFrequency in
k8s.io/apiserver/pkg/storage/cacher, with up to 1.25 s of timer jitter). A longer silence may mean that an
intermediary has lost the connection to it and still acknowledges ours. It may also mean nothing: a cache that
has seen no event since the API server started sends no bookmarks."""
_ITEM = TypeVar("_ITEM")


decode_object: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode
"""Decode an item of a list, or the object of a watch event, into plain Python objects."""


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""


class _List(msgspec.Struct):
    metadata: _ListMeta | None = None


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class WatchSilentError(Exception):
    """An open watch delivered nothing for so long that it may be dead. The next one shows."""


class ApiClient:
    """A pool of connections with one credential. Each thread has its own: a watch holds its connection."""

    def __init__(self, config: ApiConfig) -> None:
        self._transport = Transport(config)
        self._watching: urllib3.BaseHTTPResponse | None = None
        self._aborted = False

    @property
    def clock_skew_seconds(self) -> float | None:
        """The server's clock minus this process's, by the Date of the last answer; None before the first."""
        return self._transport.clock_skew_seconds

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return one object. Raises ApiError."""
        return self._object("GET", path, query=query)

    def list_items(
        self, path: str, *, decode: Callable[[bytes], _ITEM], resource_version: str, **query: str
    ) -> tuple[list[_ITEM], str]:
        """Return all items of a list, each decoded as it arrives, and the list's resourceVersion.

        resource_version "0" takes what the API server has in its cache, any other value a state at least as
        new, and "" the newest, which older API servers read from etcd as a whole. Raises ApiError.
        """
        if resource_version:
            query["resourceVersion"] = resource_version
        splitter, items = ListSplitter(), []
        with self._transport.answer("GET", path, query=query) as response:
            for data in chunks(response, what=f"GET {path}"):
                items += [decode(item) for item in splitter.feed(data)]
                check_object_size(splitter.held_bytes, what=f"GET {path}")
        try:
            found = msgspec.json.decode(splitter.rest(), type=_List)
        except msgspec.MsgspecError as error:
            raise ApiError(f"GET {path}: the answer is not a list in JSON: {error}") from error
        return items, found.metadata.resourceVersion if found.metadata else ""

    def apply(self, path: str, body: dict[str, Any], *, manager: str) -> dict[str, Any]:
        """Apply an object server-side, taking over fields of others; unknown fields are errors.

        Raises ApiError.
        """
        return self._object(
            "PATCH",
            path,
            query={"fieldManager": manager, "force": "true", "fieldValidation": "Strict"},
            body=body,
            content_type="application/apply-patch+yaml",
        )

    def watch(
        self, path: str, *, resource_version: str, timeout_seconds: int, **query: str
    ) -> Iterator[WatchEvent]:
        """Yield watch events until the server ends the watch, after `timeout_seconds` at the latest.

        Raises ApiError; an ERROR event is raised with the status that it carries (410: the version is too
        old). Raises WatchSilentError when an open watch delivers nothing for WATCH_SILENCE_SECONDS.
        """
        query |= {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_seconds),
        }
        with self._transport.answer("GET", path, query=query, read_seconds=WATCH_SILENCE_SECONDS) as response:
            self._watching = response
            try:
                if self._aborted:
                    return
                for line in lines(response):
                    event = msgspec.json.decode(line, type=WatchEvent)
                    if event.type == "ERROR":
                        raise error_of_event(event.object, what=f"watch {path}")
                    yield event
            except msgspec.MsgspecError as error:
                raise ApiError(f"watch {path}: not a watch event: {error}") from error
            except ReadTimeoutError as error:
                raise WatchSilentError(f"watch {path}: silent for {WATCH_SILENCE_SECONDS:.0f} s") from error
            finally:
                self._watching = None

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def abort(self) -> None:
        """From another thread: end the watch that this client is blocked in, and every later one."""
        self._aborted = True
        response = self._watching
        if response is not None:
            with suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
                response.shutdown()

    def _object(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: Any = None,
        content_type: str | None = None,
    ) -> dict[str, Any]:
        what = f"{method} {path}"
        with self._transport.answer(
            method, path, query=query, body=body, content_type=content_type
        ) as response:
            data = whole(response, what=what)
        try:
            answer = msgspec.json.decode(data)
        except msgspec.MsgspecError as error:
            raise ApiError(f"{what}: the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ApiError(f"{what}: the answer is not a JSON object")
        return answer


def resource_path(
    plural: str, *, namespace: str | None = None, name: str | None = None, status: bool = False
) -> str:
    """Return the path of one of oomkeeper's own resources."""
    path = "/apis/oomkeeper.dev/v1alpha1"
    if namespace is not None:
        path += f"/namespaces/{quote(namespace, safe='')}"
    path += f"/{plural}"
    if name is not None:
        path += f"/{quote(name, safe='')}"
    return path + ("/status" if status else "")


__all__ = ["ApiClient", "ApiConfig", "ApiError", "WatchEvent", "decode_object", "resource_path"]
