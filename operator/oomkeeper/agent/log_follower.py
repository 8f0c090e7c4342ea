"""Follow the kernel log for the loop: open it, open it again where it is unreadable, and feed the kill
recorder."""

import math
import select
import time
from collections.abc import Callable
from itertools import islice

from oomkeeper.kernel.kmsg import KmsgUnreadableError
from oomkeeper.kernel.syslog import LogReader
from oomkeeper.logformat import get_logger

from .kill_observer_thread import KillObserverThread
from .kill_recorder import KillRecorder
from .tracing import KernelTracing

log = get_logger(__name__)

REOPEN_SECONDS = 10.0
"""Between two attempts to open an unreadable kernel log."""
BATCH_RECORDS = 2000
"""Records read in one step: a flood of the log must not keep the loop from everything else."""

OpenLog = Callable[[int], LogReader]
"""Opens the kernel log after a sequence number. Raises KmsgUnreadableError."""


class LogFollower:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        recorder: KillRecorder,
        tracing: KernelTracing,
        open_log: OpenLog,
        cursor: int,
        observe: Callable[[], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`observe` None: no thread observes kills while they happen; else it is called, from that thread,
        when kills without a report were placed."""
        self._recorder = recorder
        self._tracing = tracing
        self._trace_at = math.inf
        self._open_log = open_log
        self._cursor = cursor
        self._observe = observe
        self._clock = clock
        self._reader: LogReader | None = None
        self._observer: KillObserverThread | None = None
        self._reopen_at = -math.inf
        self.problem: str | None = None
        """Why the log cannot be read; None where it can."""

    def reopen(self, poller: "select.poll") -> None:
        """Open the log where it is not open and it is time to try; register it with the loop's poll."""
        now = self._clock()
        if self._reader is not None or now < self._reopen_at:
            return
        try:
            self._reader = self._open_log(self._cursor)
        except KmsgUnreadableError as error:
            if self.problem is None:
                log.warning("kernel log unreadable", error=error)
            self.problem = str(error)
            self._reopen_at = now + REOPEN_SECONDS
            return
        self.problem = None
        if self._observe is not None:
            observer = self._recorder.observer
            self._open_traces()
            observer.changed = self._observe
            self._recorder.observed = True
            self._observer = KillObserverThread(observer, reader=self._open_log(self._cursor))
        poller.register(self._reader.fileno(), select.POLLIN)

    def read(self) -> None:
        """Feed what is in the log now to the recorder, a batch at most."""
        reader = self._reader
        if reader is not None:
            batch = islice(reader.read_available(), BATCH_RECORDS)
            self._recorder.feed(batch, lost=lambda: reader.lost)
        if self._tracing.problem is not None and self._clock() >= self._trace_at:
            self._open_traces()
        self._tracing.read(self._recorder.observer.logged)

    def _open_traces(self) -> None:
        self._tracing.open()
        self._recorder.observer.traced = self._tracing.cgroups
        self._trace_at = self._clock() + REOPEN_SECONDS

    def close(self) -> None:
        """Close the log and end the thread that observes it."""
        if self._observer is not None:
            self._observer.stop()
        if self._reader is not None:
            self._reader.close()
