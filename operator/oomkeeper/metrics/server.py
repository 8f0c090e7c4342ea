"""Serves /metrics in the text format of Prometheus or OpenMetrics, as the client asks for."""

import socket
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from oomkeeper.logformat import get_logger

from .errors import MetricsPortError

log = get_logger(__name__)

Collect = Callable[[], Iterable[Metric]]

MAX_REQUESTS = 4
"""Requests answered at the same time; a connection beyond them is closed. Each is a thread."""
REQUEST_SECONDS = 5.0
"""How long a client may be silent within its request."""


class MetricsServer:
    """Answers GET /metrics with what `collect` returns, and the metrics of the process (memory, CPU, open
    files). `collect` runs in a thread of the server."""

    def __init__(self, collect: Collect, *, port: int, address: str = "") -> None:
        """`address`: an IPv4 or IPv6 address of this machine; empty: all IPv4 addresses. Raises
        MetricsPortError."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(collect))
        ProcessCollector(registry=registry)
        kind = _SixServer if ":" in address else _Server
        try:
            self._server = kind((address, port), _handler(registry))
        except (OSError, OverflowError) as error:
            where = f"{address or '0.0.0.0'} port {port}"
            raise MetricsPortError(f"metrics on {where}: {error}") from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Collector(Collector):
    def __init__(self, collect: Collect) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)
        super().__init__(*arguments)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of a name for the address, which may wait for DNS."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        log.debug("metrics request failed", client=client_address[0])


class _SixServer(_Server):
    address_family = socket.AF_INET6


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, "text/plain; charset=utf-8", b"not found: the metrics are at /metrics\n")
                return
            encode, content_type = choose_encoder(self.headers.get("Accept") or "")
            try:
                text = encode(registry)
            except Exception as error:  # noqa: BLE001 - the agent's work does not depend on its metrics
                log.error("metrics not collected", error=error)
                self._answer(500, "text/plain; charset=utf-8", b"the metrics cannot be collected\n")
                return
            self._answer(200, content_type, text)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: Prometheus asks every few seconds."""

    return Handler
