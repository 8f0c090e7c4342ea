"""A small HTTP server that answers as an API server does not care to when it is well."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Exchange"], None]


class Exchange:
    """One request, and ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self.path = handler.path
        self.method = handler.command
        self.token = handler.headers.get("Authorization")
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = json.loads(handler.rfile.read(length)) if length else None

    def json(self, document: Any, *, status: int = 200) -> None:
        self.raw(json.dumps(document).encode(), status=status)

    def raw(self, data: bytes, *, status: int = 200, length: int | None = None) -> None:
        """`length` other than that of `data` is a lie about it."""
        self._handler.send_response(status)
        self._handler.send_header("Content-Length", str(len(data) if length is None else length))
        self._handler.end_headers()
        self._handler.wfile.write(data)
        self._handler.wfile.flush()
        if length is not None:
            self.drop()

    def drop(self) -> None:
        """Close the connection without a word."""
        self._handler.close_connection = True
        self._handler.connection.shutdown(2)


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """The URL of a server that lets `answer` deal with each request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            return

        def do_GET(self) -> None:
            answer(Exchange(self))

        do_PATCH = do_GET

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()
