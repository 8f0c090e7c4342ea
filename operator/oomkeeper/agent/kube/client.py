"""GET, WATCH and server-side APPLY over one kept-alive connection.

Why not a ready client: the agent runs on every node, and each of them costs 13 to 50 MiB more than
http.client (docs/decisions/001).
"""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from oomkeeper import __version__
from oomkeeper.kernel.bounded_read import read_text

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS = 60.0
"""A projected token file is read again after this long: kubelet renews it well before it expires."""
REQUEST_SECONDS = 15.0
WATCH_SECONDS = 240


class ApiError(Exception):
    """The API server (or the way to it) said no."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None where no answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """Where the API server is and who we are."""

    server: str
    """https://host:port"""
    ca_file: Path | None = None
    token_file: Path | None = None
    token: str | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    insecure: bool = False

    @classmethod
    def in_cluster(cls, *, environ: dict[str, str], folder: Path = SERVICE_ACCOUNT) -> Self:
        """From the pod's service account. Raises ApiError outside a pod."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (folder / "token").exists():
            raise ApiError("not in a pod with a service account: name the API server with --kubeconfig")
        host = f"[{host}]" if ":" in host else host
        return cls(server=f"https://{host}:{port}", ca_file=folder / "ca.crt", token_file=folder / "token")


class ApiClient:
    """One connection. Each thread has its own."""

    def __init__(self, config: ApiConfig) -> None:
        self._config = config
        self._context = _context(config)
        self._connection: http.client.HTTPConnection | None = None
        self._token: str | None = config.token
        self._token_read = -TOKEN_SECONDS

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """One object or list. Raises ApiError."""
        return self._request("GET", path, query=query)

    def list_items(self, path: str, **query: str) -> tuple[list[dict[str, Any]], str]:
        """All items of a list, fetched in pages of 50 so that a node's pods are never held as one text, and
        the resourceVersion."""
        items: list[dict[str, Any]] = []
        page: dict[str, str] = {"limit": "50"}
        while True:
            answer = self._request("GET", path, query={**query, **page})
            items += answer.get("items") or []
            meta = answer.get("metadata") or {}
            if not meta.get("continue"):
                return items, str(meta.get("resourceVersion", ""))
            page["continue"] = meta["continue"]

    def apply(self, path: str, body: dict[str, Any], *, manager: str) -> dict[str, Any]:
        """Server-side apply, taking over fields of others; unknown fields are errors. Raises ApiError."""
        return self._request(
            "PATCH",
            path,
            query={"fieldManager": manager, "force": "true", "fieldValidation": "Strict"},
            body=body,
            content_type="application/apply-patch+yaml",
        )

    def watch(self, path: str, *, resource_version: str, **query: str) -> Iterator[dict[str, Any]]:
        """Watch events until the server ends the watch. Raises ApiError, with status 410 where the version
        is too old."""
        query = {
            **query,
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            response = self._send("GET", path, query=query, timeout=WATCH_SECONDS + 20)
            if response.status != 200:
                raise _refused(response, response.read())
            while line := response.readline():
                event = json.loads(line)
                if event.get("type") == "ERROR":
                    status = event.get("object") or {}
                    raise ApiError(str(status.get("message")), status=status.get("code"))
                yield event
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(f"watch {path}: {error or type(error).__name__}") from error
        finally:
            self.close()  # an unfinished answer leaves the connection unusable

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """From another thread: end a read that this client is blocked in, with an error there.

        Nothing is closed here, for http.client and ssl tear down what the reading thread still uses.
        """
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with suppress(OSError):  # the peer may have closed it already
                # Not SSLSocket's own shutdown(), which takes the TLS object away first.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: Any = None,
        content_type: str | None = None,
    ) -> dict[str, Any]:
        for attempt in (1, 2):
            reused = self._connection is not None
            try:
                response = self._send(method, path, query=query, body=body, content_type=content_type)
                data = response.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # A kept-alive connection may have been closed by the server meanwhile: every request here
                # may be sent twice.
                if not reused or attempt == 2:
                    raise ApiError(f"{method} {path}: {error or type(error).__name__}") from error
        if response.status >= 300:
            raise _refused(response, data)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise ApiError(f"{method} {path}: the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ApiError(f"{method} {path}: the answer is not a JSON object")
        return answer

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: Any = None,
        content_type: str | None = None,
        timeout: float = REQUEST_SECONDS,
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect(timeout)
        # The connection may have been made for a request of another patience.
        self._connection.sock.settimeout(timeout)
        headers = {"Accept": "application/json", "User-Agent": f"oomkeeper-agent/{__version__}"}
        token = self._current_token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if content_type:
            headers["Content-Type"] = content_type
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        self._connection.request(
            method, path + ("?" + urlencode(query) if query else ""), body=data, headers=headers
        )
        return self._connection.getresponse()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        url = urlsplit(self._config.server)
        host, port = url.hostname or "", url.port
        if url.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port or 443, timeout=timeout, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(host, port or 80, timeout=timeout)
        connection.connect()
        # A request is two small writes: without this the second waits for the first one's acknowledgement.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _current_token(self) -> str | None:
        if self._config.token_file is not None and time.monotonic() - self._token_read >= TOKEN_SECONDS:
            try:
                self._token = read_text(self._config.token_file).strip()
            except OSError as error:
                raise ApiError(f"{self._config.token_file}: {error.strerror}") from error
            self._token_read = time.monotonic()
        return self._token


def _context(config: ApiConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.client_cert is not None:
        context.load_cert_chain(
            str(config.client_cert), str(config.client_key) if config.client_key else None
        )
    return context


def _refused(response: http.client.HTTPResponse, data: bytes) -> ApiError:
    try:
        message = str(json.loads(data).get("message", ""))
    except (ValueError, AttributeError):
        message = data[:200].decode(errors="replace")
    return ApiError(f"{response.status} {message or response.reason}", status=response.status)


def resource_path(
    plural: str, *, namespace: str | None = None, name: str | None = None, status: bool = False
) -> str:
    """Path of one of oomkeeper's own resources."""
    path = "/apis/oomkeeper.dev/v1alpha1"
    if namespace is not None:
        path += f"/namespaces/{quote(namespace, safe='')}"
    path += f"/{plural}"
    if name is not None:
        path += f"/{quote(name, safe='')}"
    return path + ("/status" if status else "")
