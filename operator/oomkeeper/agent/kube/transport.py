"""Requests on urllib3: connections, credentials, deadlines, and every failure as an ApiError.

Every request here may be sent twice: reading changes nothing and applying is idempotent.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import mktime_tz, parsedate_tz
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from oomkeeper import __version__
from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.connection.credentials import CredentialError, Credentials
from oomkeeper.connection.keepalive import SOCKET_OPTIONS
from oomkeeper.connection.tls import ApiServerContext
from oomkeeper.metrics.counts import code_of

from .errors import ApiError, error_of_answer
from .requests import REQUESTS

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
"""Longest silence within an answer."""
ANSWER_SECONDS = 60.0
"""Longest time for a whole answer: a body that trickles must not hold a thread forever."""
MAX_OBJECT_BYTES = 8 << 20
"""Limit for one object: more than etcd takes (1.5 MiB by default). Lists are read item by item."""
_CHUNK_BYTES = 64 * 1024


class Transport:
    """A pool of connections with one credential."""

    def __init__(self, config: ApiConfig) -> None:
        self._server = config.server.rstrip("/")
        self._credentials = Credentials(config)
        self._manager = _pool_manager(config, credentials=self._credentials)
        self._pool = self._manager.connection_from_url(config.server)
        self.clock_skew_seconds: float | None = None

    def close(self) -> None:
        """Close all connections."""
        self._manager.clear()

    @contextmanager
    def answer(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: Any = None,
        content_type: str | None = None,
        read_seconds: float = READ_SECONDS,
        compressed: bool = False,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Give the answer to a request; its connection is kept only if the body was read to its end.
        `compressed`: ask for gzip.

        Raises ApiError, also for what fails while the caller reads the body.
        """
        what = f"{method} {path}"
        response = None
        try:
            response = self._send(
                method,
                path,
                query=query,
                body=body,
                content_type=content_type,
                read_seconds=read_seconds,
                compressed=compressed,
            )
            self._compare_clocks(response)
            if response.status >= 300:
                raise error_of_answer(response, what=what)
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
        compressed: bool,
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
            if compressed:
                headers["Accept-Encoding"] = "gzip"
            status: int | None = None
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
                status = response.status
            except urllib3.exceptions.ProtocolError:
                # The server may have closed a kept connection in the same moment.
                reused = self._pool.num_connections == connections
                if attempt == 1 and reused:
                    continue
                raise
            finally:
                REQUESTS.add(code_of(status))
            if response.status == 401 and attempt == 1 and self._renewed(authorization):
                response.close()
                continue
            return response
        raise AssertionError("the second attempt returns or raises")

    def _compare_clocks(self, response: urllib3.BaseHTTPResponse) -> None:
        date = parsedate_tz(response.headers.get("Date") or "")
        if date is not None:
            # The header has whole seconds.
            self.clock_skew_seconds = mktime_tz(date) + 0.5 - time.time()

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


def whole(response: urllib3.BaseHTTPResponse, *, what: str) -> bytes:
    """Return an answer that is one object. Raises ApiError, also for more than an object can have."""
    data = bytearray()
    for chunk in chunks(response, what=what):
        data += chunk
        check_object_size(len(data), what=what)
    return bytes(data)


def check_object_size(size_bytes: int, *, what: str) -> None:
    """Raise ApiError where an object, or an event with one, is larger than any that the API server stores."""
    if size_bytes > MAX_OBJECT_BYTES:
        raise ApiError(f"{what}: an object of more than {MAX_OBJECT_BYTES} bytes")


def chunks(response: urllib3.BaseHTTPResponse, *, what: str) -> Iterator[bytes]:
    """Yield the body as it arrives. Raises ApiError when it is not complete after ANSWER_SECONDS."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while data := response.read1(_CHUNK_BYTES):
        yield data
        if time.monotonic() > deadline:
            raise ApiError(f"{what}: the answer was not complete after {ANSWER_SECONDS:.0f} s")


def lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield whole lines as they arrive. Raises ApiError when the body ends within one."""
    rest = b""
    while data := response.read1(_CHUNK_BYTES):
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            rest += data
            check_object_size(len(rest), what="watch")
            continue
        yield from filter(None, (rest + head).split(b"\n"))
        rest = tail
    if rest.strip():
        raise ApiError("the watch ended within an event")


def _reason(error: BaseException) -> str:
    """The innermost cause that has a text: urllib3 wraps errors in errors."""
    for inner in (getattr(error, "reason", None), error.__cause__):
        if isinstance(inner, BaseException) and str(inner):
            return _reason(inner)
    return str(error) or type(error).__name__
