"""The thread that looks at the sender of each SIGKILL as soon as the kernel has traced it: most senders end
soon after."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from oomkeeper.kernel.tracefs.formats import TraceFormatError
from oomkeeper.logformat import get_logger

from .kill_senders import KillSenders, SentSignal
from .traced_cgroups import TracedCgroups
from .traced_kills import REMEMBERED, TracedKills

log = get_logger(__name__)

PAUSE_SECONDS = 0.002
"""Between two readings: a storm of signals is read in batches."""
FOUND_SECONDS = 0.1
"""Between two calls of `found`: the loop has more to do than to store signals."""


class SignalThread:
    """Reads an instance from now until `stop`."""

    def __init__(
        self,
        *,
        kills: TracedKills,
        cgroups: Callable[[], TracedCgroups | None],
        senders: KillSenders,
        tracefs: Path,
        found: Callable[[], None],
    ) -> None:
        """`found` is called, from the thread, when there are signals to take."""
        self._kills = kills
        self._cgroups = cgroups
        self._senders = senders
        self._tracefs = tracefs
        self._found = found
        self._signals: deque[SentSignal] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="kill-senders", daemon=True)
        self._thread.start()

    def collect(self) -> None:
        """Take what was traced. Raises OSError and TraceFormatError."""
        with self._lock:
            self._kills.drain()
            signals = self._kills.take_signals()
            if signals:
                self._signals += self._senders.find(signals, tracefs=self._tracefs, cgroups=self._cgroups())

    def take(self) -> list[SentSignal]:
        """Return the signals since the last call, in order. Raises OSError and TraceFormatError."""
        self.collect()
        with self._lock:
            signals = [*self._signals]
            self._signals.clear()
        return signals

    def stop(self) -> None:
        """End the thread and wait for it."""
        os.write(self._stop_write, b"x")
        self._thread.join()
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._stop_read, select.POLLIN)
        for fd in self._kills.fileno_of_cpus():
            poller.register(fd, select.POLLIN)
        stopping = select.poll()
        stopping.register(self._stop_read, select.POLLIN)
        told_at, wait = -FOUND_SECONDS, None
        while self._stop_read not in dict(poller.poll(wait)):
            try:
                self.collect()
            except (OSError, TraceFormatError) as error:
                log.warning("senders of signals not read", error=error)
                return  # the loop finds the same error, and opens the instance again
            now, wait = time.monotonic(), None
            if self._signals and now >= told_at + FOUND_SECONDS:
                told_at = now
                self._found()
            elif self._signals:
                wait = (told_at + FOUND_SECONDS - now) * 1000 + 1
            if stopping.poll(PAUSE_SECONDS * 1000):
                return
