r"""Journal entries with all their fields: journalctl -o json and export; and dmesg --json.

Here the writer is proved: journald itself sets the fields that begin with an underscore
(systemd.journal-fields(7)). `_TRANSPORT=kernel` says that the entry came through /dev/kmsg, and
SYSLOG_FACILITY (absent or 0) that the kernel and no process wrote it there.
"""

import re

from oomkeeper.model.log import LogRecord

from ..lazy import lazy
from .frame import LEVELS, Frame, Kind, split_priority
from .wall import from_realtime_usec

_DIGITS = lazy(r"\d{1,19}\Z", re.ASCII)
_DMESG_FIELD = lazy(rb'\s*"(fac|pri|time|caller|msg)": *(.*?),?\s*$')
PRETTY_MAX_BYTES = 256 * 1024
"""Longest object of several lines that is waited for."""

Fields = dict[str, bytes]


def _loads(text: str) -> object:
    import json  # takes milliseconds that other formats need not pay

    return json.loads(text)


def parse_json_line(line: bytes) -> Frame | None:
    """One entry of `journalctl -o json`; other JSON objects are foreign records with no text of their own.
    None for broken JSON."""
    line = line.lstrip(b"\x1e")  # journalctl -o json-seq
    try:
        entry = _loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    if "MESSAGE" not in entry:
        return Frame(LogRecord(text=line, kernel=False), Kind.OTHER, 0)
    return entry_frame(
        {name: value for name, raw in entry.items() if (value := _json_value(raw)) is not None}
    )


def _json_value(raw: object) -> bytes | None:
    if isinstance(raw, str):
        return (
            raw.encode("utf-8", "surrogateescape")
            if not _has_lone_surrogate(raw)
            else raw.encode("utf-8", "replace")
        )
    if isinstance(raw, int):
        return str(raw).encode()
    if isinstance(raw, list):
        if raw and all(isinstance(item, int) and 0 <= item < 256 for item in raw):
            return bytes(raw)  # what is not UTF-8 comes as an array of byte values
        return _json_value(raw[-1]) if raw and isinstance(raw[-1], (str, list)) else None
    return None


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" and not "\udc80" <= char <= "\udcff" for char in text)


def entry_frame(fields: Fields) -> Frame:
    """The record of one entry; a newline inside MESSAGE stays inside the record."""
    facility = fields.get("SYSLOG_FACILITY", b"0")
    kernel = fields.get("_TRANSPORT") == b"kernel" and facility == b"0"
    if "_TRANSPORT" not in fields and "_PID" not in fields:
        # A shipper that keeps no trusted fields: no pid and the kernel's own identifier is all there is to go
        # by.
        kernel = (
            fields.get("SYSLOG_IDENTIFIER") == b"kernel" and facility == b"0" and "SYSLOG_PID" not in fields
        )
    realtime = _number(fields.get("_SOURCE_REALTIME_TIMESTAMP")) or _number(
        fields.get("__REALTIME_TIMESTAMP")
    )
    monotonic = _number(fields.get("_SOURCE_MONOTONIC_TIMESTAMP"))
    wall = None
    if realtime is not None:
        try:
            wall = from_realtime_usec(realtime)
        except (OverflowError, ValueError):
            wall = None
    record = LogRecord(
        text=fields.get("MESSAGE", b""),
        usec=monotonic if monotonic is not None else _number(fields.get("__MONOTONIC_TIMESTAMP")),
        wall=wall,
        level=_number(fields.get("PRIORITY")),
        kernel=kernel,
    )
    return Frame(record, Kind.OTHER, 0)


def _number(value: bytes | None) -> int | None:
    text = (value or b"").decode("ascii", "replace")
    return int(text) if _DIGITS.match(text) else None


class SpreadJson:
    """JSON objects spread over lines: `journalctl -o json-pretty`, and `dmesg --json`, where `msg` is a
    record's last member."""

    def __init__(self) -> None:
        self._lines: list[bytes] | None = None
        self._bytes = 0
        self._in_dmesg = False
        self._fields: dict[bytes, bytes] = {}

    @property
    def active(self) -> bool:
        """Whether an object has begun."""
        return self._in_dmesg or self._lines is not None

    @staticmethod
    def begins(line: bytes) -> bool:
        """Whether an object begins here."""
        return line.strip() == b"{"

    def take(self, line: bytes) -> tuple[bool, Frame | None]:
        """Whether the line is part of such an object, and the record that it completes."""
        stripped = line.strip()
        if self._in_dmesg:
            if stripped in (b"}", b"},{", b"]", b"{"):
                return True, None
            if found := _DMESG_FIELD.match(line):
                return True, self._dmesg_field(found[1], found[2])
            self._in_dmesg = False
            return False, None
        if self._lines is None:
            if stripped != b"{":
                return False, None
            self._lines, self._bytes = [line], 0
            return True, None
        if stripped == b'"dmesg": [':
            self._lines, self._in_dmesg = None, True
            return True, None
        if not self._may_hold(line, stripped):
            self._lines = None  # a brace of somebody's text: what comes after it is looked at for itself
            return False, None
        self._lines.append(line)
        self._bytes += len(line)
        if stripped == b"}":
            text, self._lines = b"\n".join(self._lines), None
            return True, parse_json_line(text)
        if self._bytes > PRETTY_MAX_BYTES:
            self._lines = None  # no journal entry; what follows is looked at line by line again
        return True, None

    def _may_hold(self, line: bytes, stripped: bytes) -> bool:
        """Whether the line may belong to the object: a member first; then members, the indented numbers of a
        value that is no text, and closing brackets."""
        assert self._lines is not None
        if stripped.startswith((b'"', b"}")):
            return True
        return len(self._lines) > 1 and line[:1].isspace() and stripped[:1] in b"0123456789[]{"

    def _dmesg_field(self, name: bytes, value: bytes) -> Frame | None:
        self._fields[name] = value
        if name != b"msg":
            return None
        fields, self._fields = self._fields, {}
        try:
            text = _loads(value.decode("utf-8", "surrogateescape"))
        except ValueError:
            return None
        return Frame(_dmesg_record(fields, text), Kind.OTHER, 0) if isinstance(text, str) else None


def _dmesg_record(fields: dict[bytes, bytes], text: str) -> LogRecord:
    priority = fields.get(b"pri", b"").strip(b'" ')
    facility = fields.get(b"fac", b"").strip(b'" ')
    level, kernel = LEVELS.get(priority), facility in (b"", b"kern", b"0")
    if priority.isdigit():
        level, own = split_priority(int(priority))
        kernel = kernel and own
    seconds, _, fraction = fields.get(b"time", b"").strip(b'" ').partition(b".")
    usec = int(seconds) * 1_000_000 + int(fraction.ljust(6, b"0")[:6] or b"0") if seconds.isdigit() else None
    caller = fields.get(b"caller", b"").strip(b'" ') or None
    return LogRecord(
        text=text.encode("utf-8", "surrogateescape" if not _has_lone_surrogate(text) else "replace"),
        usec=usec,
        caller=caller,
        level=level,
        kernel=kernel,
    )
