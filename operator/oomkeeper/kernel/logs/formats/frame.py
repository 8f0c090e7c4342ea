"""One physical line without its framing: what the modules of the formats return."""

from enum import Enum, auto
from typing import NamedTuple

from oomkeeper.model.log import LogRecord


class Kind(Enum):
    """The family of a line's framing: how its writer escapes bytes and indents further lines."""

    DMESG = auto()
    SYSLOG = auto()
    KMSG = auto()
    MONOTONIC = auto()
    """journalctl -o short-monotonic."""
    OTHER = auto()


class Frame(NamedTuple):
    """A line that begins a record."""

    record: LogRecord
    kind: Kind
    prefix_bytes: int
    """Length of the removed framing: dmesg and journalctl indent the further lines of a record by as much."""
    fragment: bool = False
    """True if the source says that this continues the record before (/dev/kmsg flags `c` and `+`)."""
    unknown_writer: bool = False
    """True if the framing names neither the kernel nor another program, as the date of an unknown format or a
    JSON object does. The record is then foreign; only tolerant reading examines its text."""
