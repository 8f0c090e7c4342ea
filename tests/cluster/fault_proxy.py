"""A proxy in front of a real API server that misbehaves on request and counts what it is asked."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import urllib3


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request that arrived."""

    at: float
    """time.monotonic()"""
    method: str
    path: str
    query: dict[str, list[str]]
    token: str | None

    @property
    def kind(self) -> str:
        """WATCH, LIST (a collection) or the method."""
        if self.method != "GET":
            return self.method
        return "WATCH" if "watch" in self.query else "LIST"

    @property
    def version(self) -> str:
        """The resourceVersion asked for."""
        return self.query.get("resourceVersion", [""])[0]


Fault = Callable[["Exchange"], None]


class Exchange:
    """A request that is answered by a fault, or by the API server."""

    def __init__(self, handler: BaseHTTPRequestHandler, *, upstream: urllib3.PoolManager, url: str) -> None:
        self._handler = handler
        self._upstream = upstream
        self._url = url

    def status(self, code: int, *, headers: dict[str, str] | None = None, body: bytes = b"no") -> None:
        """Answer with a status."""
        self._head(code, {**(headers or {}), "Content-Length": str(len(body))})
        self._handler.wfile.write(body)

    def drop(self) -> None:
        """Close the connection without an answer."""
        self._handler.close_connection = True

    def end_immediately(self) -> None:
        """Answer 200 and end the body."""
        self.status(200, body=b"")

    def hang(self) -> None:
        """Accept the request and stay silent, as an intermediary does that has lost its other side."""
        self._handler.connection.settimeout(120)
        with suppress(OSError):
            self._handler.connection.recv(1)
        self._handler.close_connection = True

    def forward(
        self,
        *,
        cut_after: int | None = None,
        hang_after: int | None = None,
        chunk: int = 65536,
        pause_seconds: float = 0.0,
    ) -> None:
        """Pass the request on and its answer back; the body may be cut off, or stop, or be slow."""
        handler = self._handler
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length) if length else None
        kept = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in ("host", "connection")
        }
        answer = self._upstream.request(
            handler.command,
            self._url + handler.path,
            body=body,
            headers=kept,
            preload_content=False,
            retries=False,
        )
        sent = 0
        try:
            self._head(answer.status, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
            while data := answer.read1(chunk):
                if cut_after is not None and sent + len(data) > cut_after:
                    self._chunk(data[: cut_after - sent])
                    self.drop()
                    return
                self._chunk(data)
                sent += len(data)
                if hang_after is not None and sent >= hang_after:
                    self.hang()
                    return
                time.sleep(pause_seconds)
            handler.wfile.write(b"0\r\n\r\n")
        finally:
            answer.close()

    def _chunk(self, data: bytes) -> None:
        self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self._handler.wfile.flush()

    def _head(self, code: int, headers: dict[str, str]) -> None:
        self._handler.send_response(code)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()


class FaultProxy:
    """Forwards everything, except what `fault` answers.

    `fault` gets each request and returns what answers it, None to forward it.
    """

    def __init__(self, *, upstream: str, ca_file: Path, tls: ssl.SSLContext) -> None:
        self.requests: list[Request] = []
        self.fault: Callable[[Request], Fault | None] = lambda _request: None
        pool = urllib3.PoolManager(ca_certs=str(ca_file), maxsize=50)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_arguments: object) -> None:
                return

            def do_GET(self) -> None:
                exchange = Exchange(self, upstream=pool, url=upstream)
                fault = proxy.fault(proxy._note(self))
                with suppress(OSError, urllib3.exceptions.HTTPError):
                    (fault or Exchange.forward)(exchange)
                    return
                self.close_connection = True

            do_PATCH = do_POST = do_PUT = do_DELETE = do_GET

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.tls = tls
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def use_certificate(self, tls: ssl.SSLContext) -> None:
        """Serve new connections with another certificate, and close the others."""
        self._server.tls = tls
        self._server.close_connections()

    def count(self, kind: str, *, since: float = 0.0) -> int:
        """Return how many requests of a kind arrived."""
        return len(self.of(kind, since=since))

    def of(self, kind: str, *, since: float = 0.0) -> list[Request]:
        """Return the requests of a kind."""
        return [one for one in list(self.requests) if one.kind == kind and one.at >= since]

    def close_connections(self) -> None:
        """Close every connection, as a restarted API server does."""
        self._server.close_connections()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()

    def _note(self, handler: BaseHTTPRequestHandler) -> Request:
        url = urlsplit(handler.path)
        request = Request(
            at=time.monotonic(),
            method=handler.command,
            path=url.path,
            query=parse_qs(url.query),
            token=handler.headers.get("Authorization"),
        )
        self.requests.append(request)
        return request


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    tls: ssl.SSLContext

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._open: set[ssl.SSLSocket] = set()

    def finish_request(self, request: object, client_address: object) -> None:
        """In the connection's own thread: a slow handshake holds up no other."""
        request.settimeout(120)  # type: ignore[attr-defined]
        try:
            secured = self.tls.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
        except OSError:
            return
        self._open.add(secured)
        try:
            super().finish_request(secured, client_address)  # type: ignore[arg-type]
        except OSError:
            return
        finally:
            self._open.discard(secured)
            with suppress(OSError):
                secured.close()

    def close_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(2)


@contextmanager
def fault_proxy(*, upstream: str, ca_file: Path, tls: ssl.SSLContext) -> Iterator[FaultProxy]:
    """Run a proxy until the block ends."""
    proxy = FaultProxy(upstream=upstream, ca_file=ca_file, tls=tls)
    try:
        yield proxy
    finally:
        proxy.stop()
