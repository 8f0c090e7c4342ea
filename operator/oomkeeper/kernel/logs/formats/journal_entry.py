"""One journal entry with all its fields, whichever format it was printed in.

The fields prove the writer: journald itself sets those that begin with an underscore
(systemd.journal-fields(7)). `_TRANSPORT=kernel` says that the entry came through /dev/kmsg, and
SYSLOG_FACILITY (absent or 0) that the kernel, not a process, wrote it there.
"""

import re

from oomkeeper.model.log import LogRecord

from ...lazy import lazy
from .frame import Frame, Kind
from .timestamps import from_realtime_usec

Fields = dict[str, bytes]

WANTED_FIELDS = frozenset(
    (
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_FACILITY",
        "SYSLOG_IDENTIFIER",
        "SYSLOG_PID",
        "_TRANSPORT",
        "_PID",
        "__REALTIME_TIMESTAMP",
        "__MONOTONIC_TIMESTAMP",
        "_SOURCE_REALTIME_TIMESTAMP",
        "_SOURCE_MONOTONIC_TIMESTAMP",
    )
)
"""All that `entry_frame` reads."""
_WRITER_FIELDS = frozenset(("SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_TRANSPORT", "_PID"))
VALUE_MAX_BYTES = 1024 * 1024
_DIGITS = lazy(r"\d{1,19}\Z", re.ASCII)


def entry_frame(fields: Fields) -> Frame:
    """Return the record of one entry; a newline inside MESSAGE stays inside the record."""
    facility = fields.get("SYSLOG_FACILITY", b"0")
    kernel = fields.get("_TRANSPORT") == b"kernel" and facility == b"0"
    if "_TRANSPORT" not in fields and "_PID" not in fields:
        # A shipper that drops the trusted fields: the kernel's own identifier without a pid is all that is
        # left.
        kernel = (
            fields.get("SYSLOG_IDENTIFIER") == b"kernel" and facility == b"0" and "SYSLOG_PID" not in fields
        )
    monotonic_usec = _number(fields.get("_SOURCE_MONOTONIC_TIMESTAMP"))
    record = LogRecord(
        text=fields.get("MESSAGE", b""),
        usec=monotonic_usec if monotonic_usec is not None else _number(fields.get("__MONOTONIC_TIMESTAMP")),
        wall=_wall(fields),
        level=_number(fields.get("PRIORITY")),
        kernel=kernel,
    )
    unknown = not kernel and _WRITER_FIELDS.isdisjoint(fields)
    return Frame(record, Kind.OTHER, 0, unknown_writer=unknown)


def _wall(fields: Fields) -> str | None:
    realtime_usec = _number(fields.get("_SOURCE_REALTIME_TIMESTAMP")) or _number(
        fields.get("__REALTIME_TIMESTAMP")
    )
    if realtime_usec is None:
        return None
    try:
        return from_realtime_usec(realtime_usec)
    except (OverflowError, ValueError):
        return None  # beyond year 9999


def _number(value: bytes | None) -> int | None:
    text = (value or b"").decode("ascii", "replace")
    return int(text) if _DIGITS.match(text) else None
