"""Read /dev/kmsg, the live kernel log: every record with its sequence number, and an exact count of lost
records.

Facts (Documentation/ABI/testing/dev-kmsg): one read() gives one whole record,
`prio,seq,usec,flags[,caller=..];text`, with unprintable bytes as \\xHH and ` KEY=value` lines after it.
The facility in `prio` shows the writer (see facility.py). When a record was overwritten before it was read,
read() fails once with EPIPE and continues with the oldest record left.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from oomkeeper.model.log import LogRecord

from .escapes import decode_kmsg
from .facility import split_priority
from .logs.broken_lines.pr_cont import FragmentJoiner

_FOREIGN_SEQ = 1 << 60
RECORD_MAX_BYTES = 8192
"""Room for one formatted record: CONSOLE_EXT_LOG_MAX is 8192 (kernel/printk/internal.h)."""


class KmsgUnreadableError(Exception):
    """/dev/kmsg could not be opened; the message says why and what to do."""


def parse_kmsg(raw: bytes) -> LogRecord | None:
    """Parse one record as read() returns it; return None if it has no `;` after a well-formed prefix."""
    prefix, separator, rest = raw.partition(b";")
    if not separator:
        return None
    fields = prefix.split(b",")
    try:
        priority, seq, usec = int(fields[0]), int(fields[1]), int(fields[2])
    except (ValueError, IndexError):
        return None
    caller = next((field[7:] for field in fields[4:] if field.startswith(b"caller=")), None)
    text = rest.partition(b"\n")[0]  # further lines are the dictionary: SUBSYSTEM=, DEVICE=
    if b"\\x" in text:
        text = decode_kmsg(text)
    level, kernel = split_priority(priority)
    return LogRecord(text=text, usec=usec, seq=seq, caller=caller, level=level, kernel=kernel)


class KmsgReader:
    """Reads /dev/kmsg without blocking, from a known record on.

    `lost` counts the records after it that were overwritten before they were read. The caller polls
    `fileno()`.
    """

    numbered = True
    """Records have the kernel's sequence numbers, so `lost` is exact."""

    def __init__(self, *, path: str | Path = "/dev/kmsg", after_seq: int | None = None) -> None:
        """Open the log. `after_seq` is the last record already processed; None starts after the newest
        record.

        Raises KmsgUnreadableError.
        """
        if after_seq is not None and after_seq >= _FOREIGN_SEQ:
            after_seq = None  # of syslog.py, which has numbers of its own
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END if after_seq is None else os.SEEK_SET)
        except OSError as error:
            raise KmsgUnreadableError(_why_unreadable(path, error)) from error
        self._last_seq = after_seq
        self._joiner = FragmentJoiner()
        self.lost = 0

    @classmethod
    def newest_seq(cls, *, path: str | Path = "/dev/kmsg") -> int | None:
        """Return the sequence number of the newest record, or None if the log is empty. Raises
        KmsgUnreadableError."""
        reader = cls(path=path, after_seq=-1)
        try:
            seq = None
            for record in reader.read_available():
                seq = record.seq
            return seq
        finally:
            reader.close()

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def read_available(self) -> Iterator[LogRecord]:
        """Yield every record that is there now and was not yielded before, in order, joined with its
        pr_cont() pieces. Updates `lost` before it yields the next one."""
        while True:
            try:
                raw = os.read(self._fd, RECORD_MAX_BYTES)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    yield from self._joiner.drain()
                    return
                if error.errno in (errno.EPIPE, errno.EINVAL):
                    continue  # overwritten, or longer than the kernel's own maximum: the gap counts it
                raise
            if not raw:
                yield from self._joiner.drain()
                return
            record = parse_kmsg(raw)
            if record is None or record.seq is None:
                continue
            if self._last_seq is not None:
                if record.seq <= self._last_seq:
                    continue
                # -1 asks for all records still in the log; records overwritten before do not count as
                # lost.
                if self._last_seq >= 0:
                    self.lost += record.seq - self._last_seq - 1
            self._last_seq = record.seq
            yield from self._joiner.feed(record, fragment=_is_fragment(raw))


def _is_fragment(raw: bytes) -> bool:
    fields = raw.partition(b";")[0].split(b",", 4)
    return len(fields) > 3 and fields[3] in (b"c", b"+")


def _why_unreadable(path: str | Path, error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return (
            f"{path}: {error.strerror}: reading the kernel log needs root or CAP_SYSLOG, "
            "and in a container `privileged`"
        )
    return f"{path}: {error.strerror}"
