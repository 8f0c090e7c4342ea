"""Read the live kernel log with syslog(2), which needs CAP_SYSLOG and no device: for an agent whose container
is not `privileged`, because the device cgroup denies /dev/kmsg to it.

Facts (syslog(2), kernel/printk/printk.c): SYSLOG_ACTION_READ_ALL copies the newest records that fit into the
buffer and consumes none. Every line is written as `<priority>[seconds.microseconds] text`, each line of a
record with several lines too, so a process that writes to /dev/kmsg cannot start a line by itself; the
priority has its facility (facility.py). The caller's id follows the time where the kernel was built with
PRINTK_CALLER, and there is no time where printk.time=0.

What /dev/kmsg has and syslog(2) has not: sequence numbers and a descriptor that can be polled. Numbers are
made from the time of each record; a timer takes the place of the descriptor. How many records were
overwritten is not known, only that some were.
"""

import contextlib
import ctypes
import mmap
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from oomkeeper.model.log import LogRecord

from .facility import split_priority
from .kmsg import KmsgUnreadableError
from .live_log import SYSLOG_SEQS
from .vmstat import read_oom_kills

_READ_ALL, _SIZE_BUFFER = 3, 10
_TICK_SECONDS = 0.2
"""How often the kernel's count of kills is looked at."""
_QUIET_SECONDS = 5.0
"""How often the log is read while that count stays the same."""
_LATE_SECONDS = 1.0
"""How long the log is read at each tick after the count changed: the kernel counts a kill, then prints it."""
_BETWEEN_SECONDS = 0.02
"""Least time between two readings."""
_TAIL_BYTES = 512
_INDEX_BITS = 6
_LINE = re.compile(rb"<(\d{1,10})>\[ *(\d{1,10})\.(\d{6})\](?:\[ *([TC]\d{1,10})\])? (.*)", re.DOTALL)
_CLOCK_MONOTONIC, _TFD_NONBLOCK, _TFD_CLOEXEC = 1, os.O_NONBLOCK, os.O_CLOEXEC


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


ReadAll = Callable[[], bytes]


class SyslogReader:
    """Reads the log from a known record on, as KmsgReader does. `lost` counts the occasions on which records
    were overwritten before they were read: at least so many are missing."""

    numbered = False
    """Records have no sequence numbers of the kernel's."""

    def __init__(
        self,
        *,
        after_seq: int | None = None,
        proc: Path = Path("/proc"),
        read_all: ReadAll | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the log. `after_seq` is the last record already processed, -1 begins with the oldest record,
        and None, or a number of /dev/kmsg, after the newest. `read_all` takes the place of the kernel.

        Raises KmsgUnreadableError.
        """
        self._read_all = read_all or _kernel_log
        self._proc = proc
        self._clock = clock
        self._pending: deque[LogRecord] = deque()
        self._tail = b""
        self._last_usec, self._index = -1, 0
        self._kills: int | None = None
        self._read_at = self._moved_at = -_QUIET_SECONDS
        self.lost = 0
        try:
            text = self._read_all()
            self._fd = _timer()
        except OSError as error:
            raise KmsgUnreadableError(
                f"syslog(2): {error.strerror}: reading the kernel log needs root or CAP_SYSLOG"
            ) from error
        if text and _LINE.fullmatch(text.partition(b"\n")[0]) is None:
            self.close()
            raise KmsgUnreadableError("syslog(2): the kernel log has no times; boot with printk.time=1")
        known = after_seq is not None and (after_seq < 0 or after_seq >= SYSLOG_SEQS)
        self._last_seq = after_seq if known and after_seq is not None else -1
        if not known:
            self._take(text)
            self._pending.clear()

    def fileno(self) -> int:
        """Return the descriptor of a timer: readable when it is time to look at the log."""
        return self._fd

    def close(self) -> None:
        """Release the timer."""
        os.close(self._fd)

    def read_available(self) -> Iterator[LogRecord]:
        """Yield every record that was not yielded before, in order; nothing while the log need not be read.
        Updates `lost` before it yields the next one."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        if self._is_due():
            self._take(self._read_all())
        while self._pending:  # what a caller leaves is for the next call
            yield self._pending.popleft()

    def _is_due(self) -> bool:
        now = self._clock()
        kills = read_oom_kills(proc=self._proc)
        if kills is None or kills != self._kills:
            self._kills, self._moved_at = kills, now
        since = now - self._read_at
        due = since >= _QUIET_SECONDS or (
            since >= _BETWEEN_SECONDS and now - self._moved_at < _LATE_SECONDS + _TICK_SECONDS
        )
        if due:
            self._read_at = now
        return due

    def _take(self, text: bytes) -> None:
        """Note the records of the log that are new."""
        at = text.rfind(self._tail) if self._tail else -1
        follows = at >= 0
        if follows:
            text, number = text[at + len(self._tail) :], self._last_seq
            self._tail = (self._tail + text)[-_TAIL_BYTES:]
        else:
            number, self._last_usec = -1, -1
            self._tail = text[-_TAIL_BYTES:]
        first = not follows and self._last_seq >= SYSLOG_SEQS
        for record in _records(text):
            assert record.usec is not None
            self._index = self._index + 1 if record.usec == self._last_usec else 0
            self._last_usec = record.usec
            # Times of different CPUs may go back by microseconds.
            number = max(_number(record.usec, self._index), number + 1)
            if first and number > self._last_seq:
                self.lost += 1
            first = False
            if number > self._last_seq:
                self._last_seq = number
                self._pending.append(record._replace(seq=number))


def _records(text: bytes) -> Iterator[LogRecord]:
    """Yield the records of a log, without sequence numbers."""
    before, prefix = None, None
    for line in text.split(b"\n"):  # not splitlines(): a process may write a carriage return
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        *words, rest = found.groups()
        if before is not None and words == prefix and _ends_in_name(before.text):
            before = before._replace(text=b"%s\n%s" % (before.text, rest))
            continue
        if before is not None:
            yield before
        prefix = words
        priority, seconds, fraction, caller = words
        level, kernel = split_priority(int(priority))
        usec = int(seconds) * 1_000_000 + int(fraction)
        before = LogRecord(text=rest, usec=usec, caller=caller, level=level, kernel=kernel)
    if before is not None:
        yield before


def _ends_in_name(text: bytes) -> bool:
    """Return whether this is the first line of a record that a process's name with a newline divides."""
    return (b"Killed process " in text and b") total-vm:" not in text) or (
        text.startswith(b"oom-kill:") and b",uid=" not in text
    )


def _number(usec: int, index: int) -> int:
    """Return the sequence number of the record with this index among those of one microsecond."""
    return SYSLOG_SEQS | usec << _INDEX_BITS | min(index, (1 << _INDEX_BITS) - 1)


def _kernel_log() -> bytes:
    """Return the whole log. Raises OSError."""
    size = _syslog(_SIZE_BUFFER, None, 0)
    # The kernel's buffer has no prefixes, so the text is longer. Only pages that are written become resident.
    with mmap.mmap(-1, 4 * size) as buffer:
        view = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        try:
            length = _syslog(_READ_ALL, view, len(buffer))
        finally:
            del view
        return buffer[:length]


def _syslog(action: int, buffer: "ctypes.Array[ctypes.c_char] | None", length: int) -> int:
    result = int(_libc().klogctl(action, buffer, length))
    return result if result >= 0 else _fail()


def _timer() -> int:
    """Return the descriptor of a timer that is readable every _TICK_SECONDS. Raises OSError."""
    libc = _libc()
    fd = int(libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC))
    if fd < 0:
        _fail()
    tick = _Timespec(0, int(_TICK_SECONDS * 1e9))
    if libc.timerfd_settime(fd, 0, ctypes.byref(_Itimerspec(tick, tick)), None) < 0:
        os.close(fd)
        _fail()
    return fd


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _fail() -> NoReturn:
    error = ctypes.get_errno()
    raise OSError(error, os.strerror(error))
