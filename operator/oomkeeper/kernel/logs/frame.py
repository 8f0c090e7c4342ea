"""One physical line with its framing taken off: what the format modules return."""

from enum import IntEnum
from typing import NamedTuple

from oomkeeper.model.log import LogRecord


class Kind(IntEnum):
    """Which framing a line had. The reader keeps a fast pattern for the first three."""

    DMESG = 0
    SYSLOG = 1
    KMSG = 2
    MONOTONIC = 3
    OTHER = 4


class Frame(NamedTuple):
    """A line that begins a record."""

    record: LogRecord
    kind: Kind
    prefix_bytes: int
    """Length of what was taken off: continuation lines of dmesg and journalctl are indented by as much."""
    fragment: bool = False
    """The source says that this goes on with the record before (/dev/kmsg flags `c` and `+`)."""


LEVELS = {
    b"emerg": 0,
    b"panic": 0,
    b"alert": 1,
    b"crit": 2,
    b"err": 3,
    b"error": 3,
    b"warn": 4,
    b"warning": 4,
    b"notice": 5,
    b"info": 6,
    b"debug": 7,
}
"""Names of syslog(3) levels as util-linux, rsyslog, busybox and Talos write them."""


def split_priority(priority: int) -> tuple[int, bool]:
    """Level, and whether the kernel itself wrote it: `facility << 3 | level`, facility 0 is LOG_KERN (RFC
    5424, 6.2.1)."""
    return priority & 7, priority >> 3 == 0
