"""`journalctl -o export` (systemd's Journal Export Format) and `-o verbose`: entries of fields, one a line.

Export parts entries by an empty line and gives a value with a newline or unprintable bytes as its name alone,
eight bytes of length (little endian), and the raw bytes: so nothing inside a value can be taken for a field.
Verbose heads each entry with time and cursor, and indents a value's further lines deeper than the names.
"""

from ..lazy import lazy
from .frame import Frame
from .journal import Fields, entry_frame

_START = b"__CURSOR="
_FIELD = lazy(rb"([A-Z_][A-Z0-9_]{0,63})=")
_BINARY = lazy(rb"[A-Z_][A-Z0-9_]{0,63}\Z")
_VERBOSE_HEAD = lazy(rb"[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ \[s=[0-9a-f]+;")
_VERBOSE_FIELD = lazy(rb" {4}([A-Z_][A-Z0-9_]{0,63})=(.*)\Z")
VALUE_MAX_BYTES = 1024 * 1024
_WANTED = frozenset(
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


class ExportReader:
    """Reads the export format from blocks; `active` from an entry's first line on."""

    def __init__(self) -> None:
        self.active = False
        self._data = b""
        self._fields: Fields = {}
        self._skip = 0
        """Bytes of an over-long value that are still to be passed over."""

    @staticmethod
    def begins(block: bytes) -> bool:
        """Whether an export begins here."""
        return block.startswith(_START)

    def feed(self, block: bytes) -> list[Frame]:
        """The entries that the block completed."""
        self.active = True
        if self._skip:
            passed = min(self._skip, len(block))
            self._skip -= passed
            block = block[passed:]
        data = self._data + block
        frames: list[Frame] = []
        at = 0
        while (end := data.find(b"\n", at)) >= 0:
            line = data[at:end]
            if not line:
                self._entry(frames)
            elif found := _FIELD.match(line):
                self._store(found[1], line[found.end() :])
            elif _BINARY.match(line):
                after = end + 9
                if len(data) < after:
                    break
                length = int.from_bytes(data[end + 1 : after], "little")
                if length > VALUE_MAX_BYTES:
                    self._skip = max(0, length + 1 - (len(data) - after))
                    end = min(len(data), after + length + 1) - 1
                elif len(data) <= after + length:
                    break
                else:
                    self._store(line, data[after : after + length])
                    end = after + length
            at = end + 1
        self._data = data[at:]
        return frames

    def finish(self) -> list[Frame]:
        """The last entry, which no empty line need follow."""
        frames: list[Frame] = []
        self._entry(frames)
        return frames

    def _store(self, name: bytes, value: bytes) -> None:
        if (key := name.decode()) in _WANTED:
            self._fields[key] = value

    def _entry(self, frames: list[Frame]) -> None:
        if self._fields:
            frames.append(entry_frame(self._fields))
            self._fields = {}


class VerboseReader:
    """Reads `-o verbose` line by line."""

    def __init__(self) -> None:
        self._fields: Fields | None = None
        self._last: str | None = None

    @property
    def active(self) -> bool:
        """Whether an entry has begun."""
        return self._fields is not None

    @staticmethod
    def begins(line: bytes) -> bool:
        """Whether an entry begins here."""
        return _VERBOSE_HEAD.match(line) is not None

    def take(self, line: bytes) -> tuple[bool, Frame | None]:
        """Whether the line belongs to an entry, and the entry before it where it begins a new one."""
        if line[:4] != b"    " and not _VERBOSE_HEAD.match(line):
            return False, self.finish()
        if line[:4] != b"    ":
            done = self.finish()
            self._fields = {}
            return True, done
        if self._fields is None:
            return False, None
        if found := _VERBOSE_FIELD.match(line):
            self._last = found[1].decode()
            if self._last in _WANTED:
                self._fields[self._last] = found[2]
        elif (
            self._last in _WANTED
            and self._last in self._fields
            and len(self._fields[self._last]) < VALUE_MAX_BYTES
        ):
            self._fields[self._last] += b"\n" + line.lstrip(b" ")
        return True, None

    def finish(self) -> Frame | None:
        """The entry begun, which nothing completes but the next one or the end."""
        fields, self._fields, self._last = self._fields, None, None
        return entry_frame(fields) if fields and "MESSAGE" in fields else None
