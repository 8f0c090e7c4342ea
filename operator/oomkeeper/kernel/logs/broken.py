"""One line in several: what was broken off, and whether a line is that."""

from collections.abc import Callable
from typing import NamedTuple

from oomkeeper.model.log import LogRecord

from ..lazy import lazy
from .escapes import decode_octal
from .frame import Kind
from .grammar import KNOWN_START, TABLE_ROW, find_line, row_rest
from .rejoin import TERMINAL_WIDTHS, breaks_token, join

_MAX_PIECES = 64
_ANNOUNCED = lazy(rb"(?:Memory cgroup out of|Out of)(?: memory(?: \(oom_kill_allocating_task\))?:?)?\s*\Z")


class Last(NamedTuple):
    """The record that may go on, and the framing of its line."""

    record: LogRecord
    kind: Kind | None
    """None for a bare line."""
    prefix_bytes: int


class BrokenLine:
    """The line of the last record as it was found, and how this stream's lines are broken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._widths: list[int] = []
        """Of the last record: the pieces of its line, and the lengths of the physical lines."""
        self._broken_at: dict[int, int] = {}
        """Lengths of the lines that were broken, and how many had each: a terminal cuts all at one, a mailer
        at many."""

    def begin(self, text: bytes, width: int) -> None:
        """A line came, `width` bytes long with its framing."""
        self._pieces, self._widths = [text], [width]

    def forget(self) -> None:
        """The last record is another now, or not what the pieces make."""
        self._pieces = []

    def goes_on(self, last: Last, rest: bytes, *, columns: Callable[[], int]) -> bool:
        """Whether `rest` is what was broken off the last record's line. `columns` counts those of the table
        that it is in."""
        return self._belongs(last, rest, columns) and len(self._pieces) < _MAX_PIECES

    def join(self, last: Last, rest: bytes, width: int) -> bytes:
        """The text of the last record with what was broken off, a line `width` bytes long."""
        text = last.record.text
        if not self._pieces:
            self._pieces, self._widths = [text], [self._width(last)]
        self._pieces.append(rest)
        self._widths.append(width)
        if len(self._broken_at) < _MAX_PIECES:
            self._broken_at[self._widths[-2]] = self._broken_at.get(self._widths[-2], 0) + 1
        joined = join(self._pieces, self._widths, line=find_line(text), cut_at=self._cut_at())
        if last.kind in (None, Kind.SYSLOG) and b"#0" in joined:
            joined = decode_octal(joined)
        return joined

    def _belongs(self, last: Last, rest: bytes, columns: Callable[[], int]) -> bool:
        text = last.record.text
        if not text.strip():
            return last.kind is not None  # a mailer left the stamp alone before a word that did not fit
        if last.kind is Kind.KMSG and self._pieces_of_lines(last, rest):
            return True
        line = find_line(text)
        if line is None:
            if last.kind is not None and len(text) <= 15 and rest.startswith(b"invoked oom"):
                return True  # the stamp and the comm alone fitted
            return (
                TABLE_ROW.match(text) is not None
                and not KNOWN_START.match(rest)
                and row_rest(text, rest, columns())
            )
        if KNOWN_START.match(rest) and not (_ANNOUNCED.match(text) and rest.startswith(b"Kill")):
            return False
        width = self._width(last)
        at_edge = width == self._cut_at() or (not self._broken_at and width in TERMINAL_WIDTHS)
        if line.complete is not None and line.is_whole(text) and not rest.startswith(b","):
            # Whole as far as it goes, but a terminal may have cut its last number.
            return at_edge and text[-1:].isdigit() and rest.isdigit() and len(rest) <= 6
        if (
            line.goes_on.match(rest.lstrip())
            or breaks_token(text, rest)
            or (at_edge and last.kind is not None)
        ):
            return True
        # Among framed lines a bare one cannot be a record, so it need only be that it did not fit before.
        first_word = len(rest.split(None, 1)[0])
        return (
            last.kind is not None
            and line.complete is not None
            and max(width, last.prefix_bytes + len(text)) + first_word >= 60
        )

    def _pieces_of_lines(self, last: Last, rest: bytes) -> bool:
        """Whether `rest` is from a record of several lines, which /dev/kmsg keeps on one: nothing else there
        has an escaped newline, and nothing else is too long to go on in the line before."""
        first_word = len(rest.split(None, 1)[0])
        return b"\n" in rest or (b"\n" in last.record.text and self._width(last) + first_word >= 60)

    def _cut_at(self) -> int | None:
        """The width at which a terminal cuts this stream's lines, or None where they were broken
        otherwise."""
        if len(self._broken_at) != 1:
            return None
        ((width, times),) = self._broken_at.items()
        return width if times >= 2 or width in TERMINAL_WIDTHS else None

    def _width(self, last: Last) -> int:
        """Length of the line that the last record came from."""
        if self._pieces:
            return self._widths[-1]
        record = last.record
        width = last.prefix_bytes + len(record.text)
        if last.kind is Kind.SYSLOG and record.usec is not None:  # whose prefix ends at the tag
            width += max(5, len(str(record.usec // 1_000_000))) + len("[.123456] ")
            width += max(6, len(record.caller)) + 2 if record.caller else 0
        return width
