"""Read the kernel log by syslog(2), where /dev/kmsg cannot be opened: in a container that is not privileged
the device cgroup denies it, while CAP_SYSLOG permits the system call.

SYSLOG_ACTION_READ_ALL gives the ring buffer, or its last bytes, as text without taking anything out of it
(kernel/printk/printk.c, syslog_print_all()). Each line has its priority, with the facility, and its time:
`<4>[12345.678901] text`; the lines of one record all have both. A process cannot forge a priority: what it
writes to /dev/kmsg is the text after a prefix of its own.

There are no sequence numbers. A record's number here is made of its time and its place among the records of
that microsecond, so it is the same in every reading, and larger than any of /dev/kmsg.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from oomkeeper.model.log import LogRecord

from .facility import split_priority
from .kmsg import KmsgUnreadableError

FIRST_SEQ = 1 << 60
"""Smaller numbers are of /dev/kmsg."""
_PLACES = 1 << 10
_READ_ALL, _SIZE_BUFFER = 3, 10
_TAIL_BYTES = 1024
_LOOK_SECONDS = 0.5
_LINE = re.compile(rb"<(\d{1,7})>\[\s*(\d+)\.(\d{6})\]\s?(?:\[\s*([TC]\d+)\]\s?)?(.*)", re.DOTALL)


class LogReader(Protocol):
    """A reader of the kernel log: /dev/kmsg (kmsg.py), or syslog(2)."""

    lost: int
    """Records that were overwritten before they were read."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when there may be new records."""

    def read_available(self) -> Iterator[LogRecord]:
        """Yield every record that was not yielded before, in order."""

    def close(self) -> None:
        """Release it."""


class Klog(Protocol):
    """syslog(2)."""

    def __call__(self, action: int, length: int) -> bytes:
        """Return what an action reads: READ_ALL the last `length` bytes. Raises OSError."""


def klog(action: int, length: int) -> bytes:
    """Call syslog(2) as klogctl() of the C library; the size of the buffer is returned as decimal text."""
    import ctypes  # it costs memory, and most agents do not need it

    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(max(1, length))
    result = library.klogctl(action, buffer, length)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "syslog(2)")
    return b"%d" % result if action == _SIZE_BUFFER else buffer.raw[:result]


class SyslogReader:
    """Used like KmsgReader. A thread looks twice a second whether the log has a new end."""

    def __init__(self, *, after_seq: int | None = None, call: Klog = klog, looks: bool = True) -> None:
        """`after_seq`: the last record already processed; None, and a number of /dev/kmsg, start after the
        newest record. `looks`: whether a thread signals new records. Raises KmsgUnreadableError."""
        self._call = call
        self.lost = 0
        try:
            # As text, with its prefixes, the log is longer than in the ring buffer.
            self._size = 2 * int(call(_SIZE_BUFFER, 0))
            records = list(parse_syslog(call(_READ_ALL, self._size)))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise KmsgUnreadableError(f"syslog(2): {reason}: it needs CAP_SYSLOG") from error
        newest = records[-1].seq or -1 if records else -1
        if after_seq is None or 0 <= after_seq < FIRST_SEQ:
            self._last_seq = newest
        else:
            self._last_seq = after_seq
        self._tail: bytes | None = None
        self._fd = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        if looks:
            self._thread = threading.Thread(target=self._look, name="syslog", daemon=True)
            self._thread.start()

    def fileno(self) -> int:
        """Return a descriptor that is readable when there may be new records."""
        return self._fd

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        os.close(self._fd)

    def read_available(self) -> Iterator[LogRecord]:
        """Yield every record that is there now and was not yielded before, in order. Updates `lost`, by one
        at most: how many records were overwritten is not known."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        tail = self._end()
        if tail == self._tail:
            return
        records = list(parse_syslog(self._call(_READ_ALL, self._size)))
        self._tail = tail
        oldest = records[0].seq if records else None
        if oldest is not None and self._last_seq >= FIRST_SEQ and oldest > self._last_seq:
            self.lost += 1
        for record in records:
            if record.seq is not None and record.seq > self._last_seq:
                self._last_seq = record.seq
                yield record

    def _end(self) -> bytes:
        return self._call(_READ_ALL, _TAIL_BYTES)

    def _look(self) -> None:
        known = self._tail
        while not self._closed.wait(_LOOK_SECONDS):
            try:
                tail = self._end()
            except OSError:
                continue
            if tail != known:
                known = tail
                os.eventfd_write(self._fd, 1)


def parse_syslog(data: bytes) -> Iterator[LogRecord]:
    """Yield the records of a reading. Lines of one record are joined; a line without a prefix belongs to the
    one before it. Lines without a time, of a kernel with printk.time=0, are left out."""
    usec, place, last = -1, 0, b""
    open_record: LogRecord | None = None
    for line in data.split(b"\n"):
        match = _LINE.match(line)
        if match is None:
            if open_record is not None and line:
                open_record = open_record._replace(text=open_record.text + b"\n" + line)
            continue
        prefix = line[: match.start(5)]
        if open_record is not None and prefix == last:
            open_record = open_record._replace(text=open_record.text + b"\n" + match[5])
            continue
        if open_record is not None:
            yield open_record
        at = int(match[2]) * 1_000_000 + int(match[3])
        place = min(place + 1, _PLACES - 1) if at == usec else 0
        usec, last = at, prefix
        level, kernel = split_priority(int(match[1]))
        open_record = LogRecord(
            text=match[5],
            usec=at,
            seq=FIRST_SEQ + at * _PLACES + place,
            caller=match[4],
            level=level,
            kernel=kernel,
        )
    if open_record is not None:
        yield open_record
