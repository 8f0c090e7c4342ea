"""GET, LIST, WATCH and server-side APPLY on urllib3.

Every request here may be sent twice: reading changes nothing and applying is idempotent.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from oomkeeper import __version__
from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.connection.credentials import CredentialError, Credentials
from oomkeeper.connection.keepalive import SOCKET_OPTIONS
from oomkeeper.connection.retry import bounded_retry_after, retry_after_seconds
from oomkeeper.connection.tls import ApiServerContext

from .errors import ApiError
from .list_splitter import ListSplitter

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
"""Longest silence within an answer."""
ANSWER_SECONDS = 60.0
"""Longest time for a whole answer: a body that trickles must not hold a thread forever."""
WATCH_SILENCE_SECONDS = 65.0
"""Longest silence of a watch. The API server sends a bookmark about every 60 s (defaultBookmarkFrequency in
k8s.io/apiserver/pkg/storage/cacher, with up to 1.25 s of timer jitter): after a longer silence an
intermediary has lost the connection to it and still acknowledges ours."""
_CHUNK_BYTES = 64 * 1024
_MESSAGE_BYTES = 16 * 1024
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


class _StatusDetails(msgspec.Struct):
    retryAfterSeconds: int = 0


class _Status(msgspec.Struct):
    """metav1.Status, as far as it is used."""

    message: str = ""
    reason: str = ""
    code: int | None = None
    details: _StatusDetails | None = None


class ApiClient:
    """A pool of connections with one credential. Each thread has its own: a watch holds its connection."""

    def __init__(self, config: ApiConfig) -> None:
        self._server = config.server.rstrip("/")
        self._credentials = Credentials(config)
        self._manager = _pool_manager(config, credentials=self._credentials)
        self._pool = self._manager.connection_from_url(config.server)
        self._watching: urllib3.BaseHTTPResponse | None = None
        self._aborted = False

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
        with self._answer("GET", path, query=query) as response:
            for data in _chunks(response, what=f"GET {path}"):
                items += [decode(item) for item in splitter.feed(data)]
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
        old).
        """
        query |= {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_seconds),
        }
        with self._answer("GET", path, query=query, read_seconds=WATCH_SILENCE_SECONDS) as response:
            self._watching = response
            try:
                if self._aborted:
                    return
                for line in _lines(response):
                    event = msgspec.json.decode(line, type=WatchEvent)
                    if event.type == "ERROR":
                        raise _error_of_status(event.object, what=f"watch {path}")
                    yield event
            except msgspec.MsgspecError as error:
                raise ApiError(f"watch {path}: not a watch event: {error}") from error
            finally:
                self._watching = None

    def close(self) -> None:
        """Close all connections."""
        self._manager.clear()

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
        with self._answer(method, path, query=query, body=body, content_type=content_type) as response:
            data = b"".join(_chunks(response, what=what))
        try:
            answer = msgspec.json.decode(data)
        except msgspec.MsgspecError as error:
            raise ApiError(f"{what}: the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ApiError(f"{what}: the answer is not a JSON object")
        return answer

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: Any = None,
        content_type: str | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Give the answer to a request; its connection is kept only if the body was read to its end."""
        what = f"{method} {path}"
        response = None
        try:
            response = self._send(
                method, path, query=query, body=body, content_type=content_type, read_seconds=read_seconds
            )
            if response.status >= 300:
                raise _refused(response, what=what)
            yield response
            response.release_conn()
            response = None
        except (HTTPError, OSError, CredentialError, ApiConfigError) as error:
            raise ApiError(f"{what}: {_reason(error)}") from error
        finally:
            if response is not None:
                response.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: Any,
        content_type: str | None,
        read_seconds: float,
    ) -> urllib3.BaseHTTPResponse:
        target = self._server + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else msgspec.json.encode(body)
        for attempt in (1, 2):
            connections = self._pool.num_connections
            headers = {"Accept": "application/json", "User-Agent": f"oomkeeper-agent/{__version__}"}
            if (authorization := self._credentials.authorization()) is not None:
                headers["Authorization"] = authorization
            if content_type:
                headers["Content-Type"] = content_type
            try:
                response = self._manager.urlopen(
                    method,
                    target,
                    body=data,
                    headers=headers,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                )
            except urllib3.exceptions.ProtocolError:
                # The server may have closed a kept connection in the same moment.
                reused = self._pool.num_connections == connections
                if attempt == 1 and reused:
                    continue
                raise
            if response.status == 401 and attempt == 1 and self._renewed(authorization):
                response.close()
                continue
            return response
        raise AssertionError("the second attempt returns or raises")

    def _renewed(self, refused: str | None) -> bool:
        """Return whether the credential is another one now that the server has refused it."""
        self._credentials.refused()
        return self._credentials.authorization() != refused


def _pool_manager(config: ApiConfig, *, credentials: Credentials) -> urllib3.PoolManager:
    options: dict[str, Any] = {"num_pools": 1, "maxsize": 2, "socket_options": SOCKET_OPTIONS}
    if config.insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # asked for in the configuration
    if config.server.startswith("https:"):
        options["ssl_context"] = ApiServerContext(config=config, credentials=credentials)
    if config.proxy_url is not None:
        proxy = urlsplit(config.proxy_url)
        if proxy.username:
            pair = f"{proxy.username}:{proxy.password or ''}"
            options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=pair)
        return urllib3.ProxyManager(config.proxy_url, **options)
    return urllib3.PoolManager(**options)


def _chunks(response: urllib3.BaseHTTPResponse, *, what: str) -> Iterator[bytes]:
    deadline = time.monotonic() + ANSWER_SECONDS
    while data := response.read1(_CHUNK_BYTES):
        yield data
        if time.monotonic() > deadline:
            raise ApiError(f"{what}: the answer was not complete after {ANSWER_SECONDS:.0f} s")


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Whole lines as they arrive; half a line at the end is an event that was cut off."""
    rest = b""
    while data := response.read1(_CHUNK_BYTES):
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            rest += data
            continue
        yield from filter(None, (rest + head).split(b"\n"))
        rest = tail
    if rest.strip():
        raise ApiError("the watch ended within an event")


def _refused(response: urllib3.BaseHTTPResponse, *, what: str) -> ApiError:
    try:
        data = response.read(_MESSAGE_BYTES)
    except (HTTPError, OSError):
        data = b""
    try:
        status = msgspec.json.decode(data, type=_Status)
    except msgspec.MsgspecError:
        status = _Status(message=" ".join(data[:200].decode(errors="replace").split()))
    message = status.message or response.reason or ""
    retry_after = _retry_after(response.headers.get("Retry-After"), status=status)
    return ApiError(
        f"{what}: {response.status} {message}", status=response.status, retry_after_seconds=retry_after
    )


def _error_of_status(data: msgspec.Raw, *, what: str) -> ApiError:
    try:
        status = msgspec.json.decode(data, type=_Status)
    except msgspec.MsgspecError as error:
        return ApiError(f"{what}: ERROR event that is not a Status: {error}")
    retry_after = _retry_after(None, status=status)
    return ApiError(
        f"{what}: {status.code} {status.message}", status=status.code, retry_after_seconds=retry_after
    )


def _retry_after(header: str | None, *, status: _Status) -> float:
    """Seconds of the header, else of the Status."""
    in_status = bounded_retry_after(status.details.retryAfterSeconds if status.details else 0)
    return in_status if header is None else retry_after_seconds(header)


def _reason(error: BaseException) -> str:
    """The innermost cause that has a text: urllib3 wraps errors in errors."""
    for inner in (getattr(error, "reason", None), error.__cause__):
        if isinstance(inner, BaseException) and str(inner):
            return _reason(inner)
    return str(error) or type(error).__name__


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
