"""journalctl -o json, json-sse and json-seq (an entry a line), and json-pretty (an entry over several
lines)."""

from collections.abc import Mapping

from oomkeeper.model.log import LogRecord

from .frame import Frame, Kind
from .journal_entry import Fields, entry_frame
from .json_text import encode, loads

PRETTY_MAX_BYTES = 256 * 1024
"""Longest object of several lines that is waited for."""


def parse_json_line(line: bytes) -> Frame | None:
    """Return the frame of one entry of `journalctl -o json`, or None for broken JSON.

    Any other JSON object is a record of another program, its text the whole line.
    """
    line = line.lstrip(b"\x1e")  # journalctl -o json-seq
    try:
        entry = loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    if "MESSAGE" not in entry:
        return Frame(LogRecord(text=line, kernel=False), Kind.OTHER, 0, unknown_writer=True)
    return entry_frame(fields_of(entry))


def fields_of(entry: Mapping[str, object]) -> Fields:
    """Return the fields of a journal entry from its JSON object."""
    return {name: value for name, raw in entry.items() if (value := _value(raw)) is not None}


class PrettyJsonReader:
    """Reads JSON objects that are spread over several lines."""

    def __init__(self) -> None:
        self._lines: list[bytes] | None = None
        self._bytes = 0

    @property
    def active(self) -> bool:
        """True while an object is unfinished."""
        return self._lines is not None

    @staticmethod
    def begins(line: bytes) -> bool:
        """Return True if an object begins with this line."""
        return line.strip() == b"{"

    def take(self, line: bytes) -> tuple[bool, Frame | None]:
        """Return (the line is part of an object, the record that it completes)."""
        stripped = line.strip()
        if self._lines is None:
            if stripped != b"{":
                return False, None
            self._lines, self._bytes = [line], 0
            return True, None
        if not self._may_hold(line, stripped):
            self._lines = None  # a brace in some other text: the lines after it are read by themselves
            return False, None
        self._lines.append(line)
        self._bytes += len(line)
        if stripped == b"}":
            text, self._lines = b"\n".join(self._lines), None
            frame = parse_json_line(text)
            # Nested objects end inside: keep the lines, as text of an unknown writer.
            other = Frame(LogRecord(text=text, kernel=False), Kind.OTHER, 0, unknown_writer=True)
            return True, frame or other
        if self._bytes > PRETTY_MAX_BYTES:
            self._lines = None  # not a journal entry; what follows is read line by line again
        return True, None

    def abandon(self) -> None:
        """Forget the object: it is not a journal entry."""
        self._lines = None

    def _may_hold(self, line: bytes, stripped: bytes) -> bool:
        """Return True if the line may belong to the object: a member first; then members, the indented
        numbers of a value that is not text, and closing brackets."""
        assert self._lines is not None
        if stripped.startswith((b'"', b"}")):
            return True
        return len(self._lines) > 1 and line[:1].isspace() and stripped[:1] in b"0123456789[]{"


def _value(raw: object) -> bytes | None:
    if isinstance(raw, str):
        return encode(raw)
    if isinstance(raw, int):
        return str(raw).encode()
    if isinstance(raw, list):
        if raw and all(isinstance(item, int) and 0 <= item < 256 for item in raw):
            return bytes(raw)  # what is not UTF-8 comes as an array of byte values
        return _value(raw[-1]) if raw and isinstance(raw[-1], (str, list)) else None
    return None
