"""`journalctl -o export` (systemd's Journal Export Format): entries of fields, one field a line.

An empty line separates entries. A value with a newline or unprintable bytes is written as its name alone,
eight bytes of length (little endian), and the raw bytes: so nothing inside a value can be read as a field.
"""

from ...lazy import lazy
from .frame import Frame
from .journal_entry import VALUE_MAX_BYTES, WANTED_FIELDS, Fields, entry_frame

_START = b"__CURSOR="
_FIELD = lazy(rb"([A-Z_][A-Z0-9_]{0,63})=")
_BINARY = lazy(rb"[A-Z_][A-Z0-9_]{0,63}\Z")


class ExportReader:
    """Reads the export format from blocks."""

    def __init__(self) -> None:
        self.active = False
        """True from the first line of an entry on."""
        self._data = b""
        self._fields: Fields = {}
        self._skip_bytes = 0
        """Bytes of an over-long value that are still to be skipped."""

    @staticmethod
    def begins(block: bytes) -> bool:
        """Return True if an export begins here."""
        return block.startswith(_START)

    def feed(self, block: bytes) -> list[Frame]:
        """Return the entries that the block completed."""
        self.active = True
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(block))
            self._skip_bytes -= skipped
            block = block[skipped:]
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
                    self._skip_bytes = max(0, length + 1 - (len(data) - after))
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
        """Return the last entry, which needs no empty line after it."""
        frames: list[Frame] = []
        self._entry(frames)
        return frames

    def _store(self, name: bytes, value: bytes) -> None:
        if (key := name.decode()) in WANTED_FIELDS:
            self._fields[key] = value

    def _entry(self, frames: list[Frame]) -> None:
        if self._fields:
            frames.append(entry_frame(self._fields))
            self._fields = {}
