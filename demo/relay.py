"""Show a program's output, and know what it has printed."""

import os
import pty
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO


class Relay:
    """Reads one stream in a thread, and shows it on request."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._heard = bytearray()
        self._thread = threading.Thread(target=self._listen, name="relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """Wait until the program's side is closed."""
        self._thread.join(10.0)

    def heard(self, text: str, *, seconds: float) -> bool:
        """Return whether the program has printed `text`, now or within `seconds`."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self._heard:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def speak(self) -> None:
        """Show what was printed so far."""
        time.sleep(0.2)  # the rest of what is being written
        sys.stdout.flush()
        said, self._heard = bytes(self._heard), bytearray()
        sys.stdout.buffer.write(said)
        sys.stdout.buffer.flush()

    def _listen(self) -> None:
        # A pseudo-terminal reports EIO when the other side is closed.
        with suppress(OSError):
            while data := os.read(self._descriptor, 1 << 16):
                self._heard += data


@contextmanager
def relayed() -> Iterator[tuple[Relay, IO[bytes]]]:
    """Yield a relay and the file for a program's stdout: a terminal if ours is one, so that it keeps
    its colours and its width.
    """
    if sys.stdout.isatty():
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, termios.tcgetwinsize(sys.stdout.fileno()))
        attributes = termios.tcgetattr(theirs)
        attributes[1] &= ~termios.OPOST  # our own terminal turns newlines into what it needs
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    else:
        ours, theirs = os.pipe()
    try:
        with os.fdopen(theirs, "wb", buffering=0) as file:
            relay = Relay(ours)
            yield relay, file
        relay.join()
    finally:
        os.close(ours)
