"""The loop's inbox: messages from other threads and from signal handlers, and a file descriptor that wakes a
poll."""

import os
import queue
from collections.abc import Iterator
from contextlib import suppress

from .messages import Message


class Inbox:
    """Safe to post to from any thread and from a signal handler; read by one thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def post(self, message: Message) -> None:
        """Add a message and wake the loop."""
        self._queue.put(message)
        with suppress(BlockingIOError):  # the pipe is full: the loop is about to wake up anyway
            os.write(self._wake_write, b"x")

    def fileno(self) -> int:
        """Return a descriptor that is readable while messages may be waiting."""
        return self._wake_read

    def drain(self) -> Iterator[Message]:
        """Yield the messages in order until there is none."""
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        while not self._queue.empty():
            yield self._queue.get()

    def close(self) -> None:
        """Release the descriptors. A late `post` is ignored."""
        os.close(self._wake_read)
        os.close(self._wake_write)
