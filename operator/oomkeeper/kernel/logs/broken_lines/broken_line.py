"""Decide whether a line continues the broken line before it."""

from typing import NamedTuple

from oomkeeper.model.log import LogRecord

from ...escapes import decode_rsyslog
from ...lazy import lazy
from ..formats.frame import Kind
from .join import TERMINAL_WIDTHS, breaks_token, join
from .line_kinds import KNOWN_START, TABLE_ROW, find_line, limit_goes_on, row_rest

_MAX_PIECES = 64
_ANNOUNCED = lazy(rb"(?:Memory cgroup out of|Out of)(?: memory(?: \(oom_kill_allocating_task\))?:?)?\s*\Z")


class Last(NamedTuple):
    """The last record, which a line may continue, and the framing of its line."""

    record: LogRecord
    kind: Kind | None
    """None for a bare line."""
    prefix_bytes: int


class BrokenLine:
    """The pieces of the last record's line, and where the lines of this stream are broken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._widths: list[int] = []
        """Of the last record: the pieces of its line, and the lengths in bytes of the physical lines."""
        self._broken_at: dict[int, int] = {}
        """Length of broken lines -> how many had it: a terminal cuts all lines at one length, a mailer at
        many."""

    def begin(self, text: bytes, width: int) -> None:
        """Start with a new line, `width` bytes long including its framing."""
        self._pieces, self._widths = [text], [width]

    def forget(self) -> None:
        """Forget the pieces: the last record is another, or has other text than the pieces."""
        self._pieces = []

    def goes_on(self, last: Last, rest: bytes, *, columns: int) -> bool:
        """Return True if `rest` was broken off the last record's line. `columns` is the number of columns of
        the last task table."""
        return self._belongs(last, rest, columns) and len(self._pieces) < _MAX_PIECES

    def join(self, last: Last, rest: bytes, width: int) -> bytes:
        """Return the text of the last record with `rest`, a line `width` bytes long, appended."""
        text = last.record.text
        if not self._pieces:
            self._pieces, self._widths = [text], [self._width(last)]
        self._pieces.append(rest)
        self._widths.append(width)
        if len(self._broken_at) < _MAX_PIECES:
            self._broken_at[self._widths[-2]] = self._broken_at.get(self._widths[-2], 0) + 1
        joined = join(self._pieces, self._widths, line=find_line(text), cut_at=self._cut_at())
        if last.kind in (None, Kind.SYSLOG) and b"#0" in joined:
            joined = decode_rsyslog(joined)
        return joined

    def _belongs(self, last: Last, rest: bytes, columns: int) -> bool:
        text = last.record.text
        if not text.strip():
            return last.kind is not None  # a mailer left the stamp alone on its line
        if last.kind is Kind.KMSG and self._pieces_of_lines(last, rest):
            return True
        line = find_line(text)
        if line is None:
            if last.kind is not None and len(text) <= 15 and rest.startswith(b"invoked oom"):
                return True  # only the stamp and the comm fitted on the line
            return (
                TABLE_ROW.match(text) is not None
                and not KNOWN_START.match(rest)
                and row_rest(text, rest, columns)
            )
        if limit_goes_on(text, rest):
            return True
        if KNOWN_START.match(rest) and not (_ANNOUNCED.match(text) and rest.startswith(b"Kill")):
            return False
        width = self._width(last)
        at_edge = width == self._cut_at() or (not self._broken_at and width in TERMINAL_WIDTHS)
        if line.complete is not None and line.is_whole(text) and not rest.startswith(b","):
            # Complete as far as it can be checked, but a terminal may have cut its last number.
            return at_edge and text[-1:].isdigit() and rest.isdigit() and len(rest) <= 6
        if (
            line.goes_on.match(rest.lstrip())
            or breaks_token(text, rest)
            or (at_edge and last.kind is not None)
        ):
            return True
        # Among framed lines a bare one cannot be a record; enough if its first word did not fit before.
        first_word = len(rest.split(None, 1)[0])
        return (
            last.kind is not None
            and line.complete is not None
            and max(width, last.prefix_bytes + len(text)) + first_word >= 60
        )

    def _pieces_of_lines(self, last: Last, rest: bytes) -> bool:
        """Return True if `rest` is part of a record of several lines, which /dev/kmsg keeps on one line: only
        such a record has an escaped newline, or is too long to continue on the line before."""
        first_word = len(rest.split(None, 1)[0])
        return b"\n" in rest or (b"\n" in last.record.text and self._width(last) + first_word >= 60)

    def _cut_at(self) -> int | None:
        """Return the width at which a terminal cuts the lines of this stream, or None if they were broken
        otherwise."""
        if len(self._broken_at) != 1:
            return None
        ((width, times),) = self._broken_at.items()
        return width if times >= 2 or width in TERMINAL_WIDTHS else None

    def _width(self, last: Last) -> int:
        """Return the length of the line that the last record came from."""
        if self._pieces:
            return self._widths[-1]
        record = last.record
        width = last.prefix_bytes + len(record.text)
        if last.kind is Kind.SYSLOG and record.usec is not None:  # the prefix ends at the tag
            width += max(5, len(str(record.usec // 1_000_000))) + len("[.123456] ")
            width += max(6, len(record.caller)) + 2 if record.caller else 0
        return width
