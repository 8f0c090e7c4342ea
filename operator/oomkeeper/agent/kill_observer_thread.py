"""The thread of the KillObserver. It must not wait for the loop, which takes milliseconds to store a kill."""

import os
import select
import sys
import threading
import time

from oomkeeper.kernel.syslog import LogReader
from oomkeeper.logformat import get_logger

from .kill_observer import SAMPLE_SECONDS, KillObserver

log = get_logger(__name__)

OPEN_SECONDS = 0.01
"""Between two looks at kills whose place is open, outside of a storm."""
RETRY_SECONDS = 1.0
SWITCH_SECONDS = 0.0005
"""How long another thread may keep the interpreter during a storm (sys.setswitchinterval())."""


class KillObserverThread:
    """Reads the kernel log with a reader of its own, from now until `stop`."""

    def __init__(self, observer: KillObserver, *, reader: LogReader) -> None:
        """`reader` starts where the loop's does; it is closed by `stop`."""
        self._observer = observer
        self._reader = reader
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="kill-observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        os.write(self._stop_write, b"x")
        self._thread.join()
        self._reader.close()
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._stop_read, select.POLLIN)
        idle = select.poll()
        idle.register(self._stop_read, select.POLLIN)
        idle.register(self._reader.fileno(), select.POLLIN)
        usual = sys.getswitchinterval()
        while True:
            if self._observer.storm:
                sys.setswitchinterval(SWITCH_SECONDS)
                ready = poller.poll(SAMPLE_SECONDS * 1000)
            else:
                sys.setswitchinterval(usual)
                ready = idle.poll(OPEN_SECONDS * 1000 if self._observer.open else None)
            if self._stop_read in dict(ready):
                sys.setswitchinterval(usual)
                return
            try:
                self._observer.step(self._reader.read_available())
            except OSError as error:
                log.exception("kill observer failed", error)
                time.sleep(RETRY_SECONDS)
