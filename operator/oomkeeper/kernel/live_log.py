"""Open the live kernel log: /dev/kmsg, or syslog(2) where this process has no access to the device."""

import errno
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .syslog_reader import SyslogReader

from .kmsg import KmsgReader, KmsgUnreadableError

LiveLog: TypeAlias = "KmsgReader | SyslogReader"

DEVICE = Path("/dev/kmsg")
SYSLOG_SEQS = 1 << 62
"""The least sequence number of a record that was read with syslog(2); /dev/kmsg counts from 0. Neither reader
can continue where the other stopped."""


def open_live_log(*, path: Path = DEVICE, after_seq: int | None, proc: Path = Path("/proc")) -> LiveLog:
    """Open the log after a record: None begins with what is printed from now on, and so does the number of a
    record that the other reader read; -1 begins with the oldest one. Raises KmsgUnreadableError."""
    known = after_seq if after_seq is None or after_seq < SYSLOG_SEQS else None
    try:
        return KmsgReader(path=path, after_seq=known)
    except KmsgUnreadableError as error:
        cause = error.__cause__
        denied = isinstance(cause, OSError) and cause.errno in (errno.EPERM, errno.EACCES, errno.ENOENT)
        if path != DEVICE or not denied:
            raise
        from .syslog_reader import SyslogReader  # needs ctypes, which an agent with /dev/kmsg does not

        try:
            return SyslogReader(after_seq=after_seq, proc=proc)
        except KmsgUnreadableError as second:
            raise KmsgUnreadableError(f"{error}; {second}") from second
