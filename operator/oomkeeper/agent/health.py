"""Whether the agent works: its loop runs, it reads the kernel log, and its state can be written.

Served over HTTP for kubelet's probes. /healthz fails where only a restart can help: the loop does not run.
/readyz fails where the agent is not of full use, so that a rollout of a broken image stops at the first
nodes."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from oomkeeper.logformat import get_logger

log = get_logger(__name__)

STALLED_SECONDS = 60.0
"""The loop goes round at least every five seconds; a transaction may wait 30 s for a lock of the database."""


class HealthPortError(Exception):
    """The port of the probes cannot be bound; the message says which and why."""


class Health:
    """What the loop reports of itself. Written by the loop, read by the probes."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat_at = clock()
        self.started = False
        """Whether the loop has gone round once."""
        self.log_problem: str | None = None
        """Why the kernel log cannot be read; None where it can."""
        self.state_problem: str | None = None
        """Why the state is not on disk; None where it is."""
        self.trace_problem: str | None = None
        """Why kills are not traced; None where they are."""
        self.lost_trace_records = 0
        """Trace records that were overwritten before they were read, since the start."""

    def beat(
        self,
        *,
        log_problem: str | None,
        state_problem: str | None,
        trace_problem: str | None = None,
        lost_trace_records: int = 0,
    ) -> None:
        """Note that the loop went round, and why it cannot read the log or the trace or write its state."""
        self.trace_problem, self.lost_trace_records = trace_problem, lost_trace_records
        self.log_problem, self.state_problem = log_problem, state_problem
        self._beat_at = self._clock()
        self.started = True

    def liveness_problem(self) -> str | None:
        """Return why the process needs a restart; None where it does not."""
        age = self._clock() - self._beat_at
        return f"the loop has not run for {age:.0f} s" if age >= STALLED_SECONDS else None

    def readiness_problem(self) -> str | None:
        """Return why the agent is not of full use; None where it is."""
        if not self.started:
            return "the loop has not started"
        if (stalled := self.liveness_problem()) is not None:
            return stalled
        if self.log_problem is not None:
            return f"the kernel log is not read: {self.log_problem}"
        if self.state_problem is not None:
            return f"the state is not written to disk: {self.state_problem}"
        return None


class HealthServer:
    """Answers GET /healthz and /readyz: 200 `ok`, or 503 with the reason."""

    def __init__(self, health: Health, *, port: int, host: str = "") -> None:
        """Raises HealthPortError."""
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(health))
        except (OSError, OverflowError) as error:
            raise HealthPortError(f"health port {port}: {error}") from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the port."""
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    checks = {"/healthz": health.liveness_problem, "/readyz": health.readiness_problem}

    class Handler(BaseHTTPRequestHandler):
        timeout = 5.0
        """Seconds that a client has for its request."""

        def do_GET(self) -> None:
            check = checks.get(self.path.partition("?")[0])
            problem = "not found" if check is None else check()
            status = 404 if check is None else 200 if problem is None else 503
            body = f"{problem or 'ok'}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: kubelet probes every few seconds."""

    return Handler
