"""Formats whose records span several lines, read line by line: which of them an input line belongs to."""

from ..lazy import lazy
from .formats.dmesg_json import DmesgJsonReader
from .formats.frame import Frame
from .formats.journal_json import PrettyJsonReader
from .formats.journal_verbose import VerboseReader

_MAY_BEGIN = lazy(rb"\s*\{\s*\Z|[A-Z][a-z]{2} \d{4}-")


class EntryReaders:
    """journalctl -o verbose, -o json-pretty, and dmesg --json."""

    def __init__(self) -> None:
        self._verbose = VerboseReader()
        self._dmesg_json = DmesgJsonReader()
        self._pretty_json = PrettyJsonReader()
        self.active = False
        """True while an entry is unfinished: the next line may belong to it, whatever it looks like."""

    def begins(self, line: bytes) -> bool:
        """Return True if an entry begins with this line."""
        return _MAY_BEGIN.match(line) is not None and self._begins(line)

    def _begins(self, line: bytes) -> bool:
        return self._pretty_json.begins(line) or self._verbose.begins(line)

    def take(self, line: bytes) -> tuple[bool, Frame | None]:
        """Return (the line belongs to an entry, the record that it completes)."""
        taken = self._take(line)
        self.active = self._verbose.active or self._dmesg_json.active or self._pretty_json.active
        return taken

    def _take(self, line: bytes) -> tuple[bool, Frame | None]:
        done = None
        if self._verbose.active or self._verbose.begins(line):
            taken, done = self._verbose.take(line)
            if taken:
                return True, done
        if self._pretty_json.active and self._dmesg_json.begins(line):
            self._pretty_json.abandon()
            return self._dmesg_json.take(line)
        if self._dmesg_json.active:
            taken, entry = self._dmesg_json.take(line)
            if taken:
                return True, entry
        if self._pretty_json.active or self._pretty_json.begins(line):
            taken, entry = self._pretty_json.take(line)
            return taken, done or entry
        return False, done

    def finish(self) -> Frame | None:
        """Return the entry that only the end of the stream completes."""
        self.active = False
        return self._verbose.finish()
