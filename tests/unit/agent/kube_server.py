"""A small HTTP server that answers in ways that a healthy API server does not."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Exchange"], None]


class Exchange:
    """One request, and ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self.path = handler.path
        self.method = handler.command
        self.content_type = "application/json"
        self.headers = handler.headers
        self.token = handler.headers.get("Authorization")
        self.port: int = handler.client_address[1]
        """The client's, which names its connection."""
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = json.loads(handler.rfile.read(length)) if length else None

    def json(self, document: Any, *, status: int = 200) -> None:
        self.raw(json.dumps(document).encode(), status=status)

    def raw(
        self,
        data: bytes,
        *,
        status: int = 200,
        length: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer. A `length` other than that of `data` is a false Content-Length."""
        self.start(status=status, length=len(data) if length is None else length, headers=headers)
        self.send(data)
        if length is not None:
            self.drop()

    def start(self, *, length: int, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send the head of an answer, whose body `send` sends piece by piece."""
        self._handler.send_response(status)
        self._handler.send_header("Content-Length", str(length))
        self._handler.send_header("Content-Type", self.content_type)
        for name, value in (headers or {}).items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # the client has closed the connection
            self._handler.wfile.write(data)
            self._handler.wfile.flush()

    def wait_until_closed(self) -> None:
        """Send nothing until the client closes its side."""
        self._handler.connection.settimeout(30)
        with suppress(OSError):
            self._handler.connection.recv(1)
        self._handler.close_connection = True

    def drop(self) -> None:
        """Close the connection without an answer."""
        self._handler.close_connection = True
        self._handler.connection.shutdown(2)


@contextmanager
def server(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Give the URL of a server that answers each request with `answer`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else head and body of an answer are 40 ms apart

        def log_message(self, *_arguments: object) -> None:
            return

        def do_GET(self) -> None:
            answer(Exchange(self))

        do_PATCH = do_POST = do_DELETE = do_CONNECT = do_GET

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        running.socket = tls.wrap_socket(running.socket, server_side=True)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()
