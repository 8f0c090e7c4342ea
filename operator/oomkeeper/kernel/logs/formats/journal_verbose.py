"""`journalctl -o verbose`: time and cursor on one line, then the entry's fields, one an indented line. The
further lines of a value are indented deeper than the names."""

from ...lazy import lazy
from .frame import Frame
from .journal_entry import VALUE_MAX_BYTES, WANTED_FIELDS, Fields, entry_frame

_HEAD = lazy(rb"[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ \[s=[0-9a-f]+;")
_FIELD = lazy(rb" {4}([A-Z_][A-Z0-9_]{0,63})=(.*)\Z")


class VerboseReader:
    """Reads entries line by line."""

    def __init__(self) -> None:
        self._fields: Fields | None = None
        self._last: str | None = None

    @property
    def active(self) -> bool:
        """True while an entry is unfinished."""
        return self._fields is not None

    @staticmethod
    def begins(line: bytes) -> bool:
        """Return True if an entry begins with this line."""
        return _HEAD.match(line) is not None

    def take(self, line: bytes) -> tuple[bool, Frame | None]:
        """Return (the line belongs to an entry, the entry before it if a new one begins)."""
        if line[:4] != b"    " and not _HEAD.match(line):
            return False, self.finish()
        if line[:4] != b"    ":
            done = self.finish()
            self._fields = {}
            return True, done
        if self._fields is None:
            return False, None
        if found := _FIELD.match(line):
            self._last = found[1].decode()
            if self._last in WANTED_FIELDS:
                self._fields[self._last] = found[2]
        elif (
            self._last in WANTED_FIELDS
            and self._last in self._fields
            and len(self._fields[self._last]) < VALUE_MAX_BYTES
        ):
            self._fields[self._last] += b"\n" + line.lstrip(b" ")
        return True, None

    def finish(self) -> Frame | None:
        """Return the unfinished entry: only the next entry or the end of the stream completes one."""
        fields, self._fields, self._last = self._fields, None, None
        return entry_frame(fields) if fields and "MESSAGE" in fields else None
