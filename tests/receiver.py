"""A real HTTP server that receives CloudEvents."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request."""

    headers: Mapping[str, str]
    event: dict[str, Any]


@dataclass
class Receiver:
    """What it received, and what it answers."""

    url: str
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    """Status and headers of the next answers; after that 202."""
    answering: threading.Event = field(default_factory=threading.Event)
    """While it is not set, requests are received and not answered."""

    @property
    def ids(self) -> list[str]:
        """Return the ids of the events, in order."""
        return [request.event["id"] for request in self.requests]


@contextmanager
def receiver(*, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run it on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append(Request(dict(self.headers), json.loads(body)))
            made.answering.wait()
            status, headers = made.answers.pop(0) if made.answers else (202, {})
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that break off are part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        made = Receiver(url=f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
        made.answering.set()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.answering.set()
            server.shutdown()
            thread.join()
