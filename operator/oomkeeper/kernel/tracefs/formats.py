"""events/SYSTEM/EVENT/format: where the fields of an event's record are on this kernel.

    name: mark_victim
    ID: 609
    format:
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;
    \tfield:__data_loc char[] comm;\toffset:12;\tsize:4;\tsigned:0;

(Documentation/trace/events.rst, "Event formats".) Fields come and go between releases, so nothing else says
what a record holds.
"""

import re
import sys
from collections.abc import Mapping
from typing import NamedTuple

_ID = re.compile(r"^ID: (\d+)$", re.MULTILINE)
_FIELD = re.compile(r"^\tfield:(.+?);\toffset:(\d+);\tsize:(\d+);(?:\tsigned:([01]);)?", re.MULTILINE)
_NAME = re.compile(r"(\w+)(?:\[[^\]]*\])?$")
_ORDER = sys.byteorder


class TraceFormatError(ValueError):
    """A format file, or a record, is not what this kernel's documentation says."""


class Field(NamedTuple):
    """Place of one field in a record, in bytes."""

    offset: int
    size: int
    signed: bool
    dynamic: bool
    """`__data_loc`: the field holds offset (low 16 bits) and length (high 16 bits) of the content."""


class EventFormat(NamedTuple):
    """One event's records."""

    id: int
    """`common_type` of its records."""
    fields: Mapping[str, Field]

    def number(self, record: bytes, name: str) -> int | None:
        """Return a field's value; None where this kernel's event has no such field. Raises TraceFormatError
        for a record that is too short."""
        field = self.fields.get(name)
        if field is None:
            return None
        return int.from_bytes(_part(record, field.offset, field.size), _ORDER, signed=field.signed)

    def text(self, record: bytes, name: str) -> bytes | None:
        """Return a string up to its NUL, with whatever bytes it has; None where this kernel's event has no
        such field. Raises TraceFormatError for a record that is too short."""
        field = self.fields.get(name)
        if field is None:
            return None
        content = _part(record, field.offset, field.size)
        if field.dynamic:
            place = int.from_bytes(content[:4], _ORDER)
            content = _part(record, place & 0xFFFF, place >> 16)
        return content.partition(b"\0")[0]


def parse_format(text: str) -> EventFormat:
    """Parse a format file. Raises TraceFormatError."""
    found = _ID.search(text)
    if found is None:
        raise TraceFormatError("no event ID in the format file")
    fields = {}
    for declaration, offset, size, signed in _FIELD.findall(text):
        name = _NAME.search(declaration)
        if name is not None:
            dynamic = declaration.startswith("__data_loc")
            fields[name[1]] = Field(int(offset), int(size), signed == "1", dynamic)
    if "common_type" not in fields or "common_pid" not in fields:
        raise TraceFormatError("no common_type and common_pid in the format file")
    return EventFormat(int(found[1]), fields)


def _part(record: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(record):
        raise TraceFormatError(f"record of {len(record)} bytes lacks bytes {offset} to {offset + size}")
    return record[offset : offset + size]
