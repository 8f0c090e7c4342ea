"""The last few hundred KiB of a stream, searched in place."""

import re
from collections.abc import Callable, Sequence
from typing import cast

from ..line_blocks import BLOCK_BYTES, ByteStream
from .landmarks import Landmark, landmark_of
from .memmem import Finder, make_finder

_BUFFERS = 3
"""Two full ones and the one being filled: at least 512 KiB. Holds a report of 5,000 tasks whose header was
lost, and any message that a syslog daemon lets a process spread over several lines."""
_TRIES = 8
"""After so many candidate lines the landmark counts as absent; then more is read, not less."""
OVERLAP = 128
"""Bytes searched again with the next read: a needle and its continuation may span two reads."""


class History:
    """Reused buffers: fresh memory costs more than searching it. Offsets are those of the buffer that was
    read into last."""

    def __init__(self, stream: ByteStream) -> None:
        readinto = getattr(stream, "readinto1", None) or getattr(stream, "readinto", None)
        self._readinto: Callable[[memoryview], int | None] = readinto or _copying(stream)
        self._buffers = [bytearray(OVERLAP + BLOCK_BYTES)]
        self._find: dict[int, Finder] = {}
        self._filled = [OVERLAP]
        self._order = [0]
        """Numbers of the buffers in use, oldest first; the last is being filled."""
        self._from = OVERLAP
        """Offset in the oldest buffer where the history begins."""
        self._whole = True
        """True if nothing was dropped since forget(), so that the history begins with `_begun_line`."""
        self._begun_line = b""

    @property
    def _buffer(self) -> bytearray:
        return self._buffers[self._order[-1]]

    @property
    def _end(self) -> int:
        return self._filled[self._order[-1]]

    @property
    def _start(self) -> int:
        """Offset in the buffer of the last read where the history begins."""
        return self._from if len(self._order) == 1 else OVERLAP

    def read(self) -> int:
        """Read once and return the number of bytes; 0 at the end of the stream."""
        if self._end == OVERLAP + BLOCK_BYTES:
            self._next_buffer()
        number = self._order[-1]
        with memoryview(self._buffers[number]) as view:
            size = self._readinto(view[self._filled[number] :]) or 0
        self._filled[number] += size
        return size

    def newest(self, size: int) -> bytes:
        """Return the last `size` bytes, all from one read."""
        return bytes(memoryview(self._buffer)[self._end - size : self._end])

    def newlines(self, size: int) -> int:
        """Return the number of newlines in the last `size` bytes."""
        if size < BLOCK_BYTES:
            return count_newlines(self.newest(size))
        return count_newlines(self._buffer) - self._buffer.count(b"\n", 0, OVERLAP)

    def ends_a_line(self) -> bool:
        """Return True if the last byte is a newline."""
        return self._buffer[self._end - 1 : self._end] == b"\n"

    # Searching.

    def window(self, size: int) -> tuple[int, int]:
        """Return the offsets to search between after a read of `size` bytes."""
        return max(0, self._end - size - OVERLAP), self._end

    def first(self, needles: Sequence[bytes], continuation: re.Pattern[bytes], size: int) -> int | None:
        """Return the offset in the window of the first needle at which `continuation` matches, or None."""
        number = self._order[-1]
        if number not in self._find:
            self._find[number] = make_finder(self._buffer)
        find = self._find[number]
        start, end = self.window(size)
        hit = [needle for needle in needles if find(needle, start, end)]
        found = [at for needle in hit if (at := self._find_of(needle, continuation, start, end)) >= 0]
        return min(found, default=None)

    def holds(self, needles: Sequence[bytes], start: int, end: int) -> bool:
        """Return True if one of the needles is there."""
        return any(self._buffer.find(needle, start, end) >= 0 for needle in needles)

    def holds_any_of(
        self, needles: Sequence[bytes], continuation: re.Pattern[bytes], start: int, end: int
    ) -> bool:
        """Return True if one of the needles is there and `continuation` matches at it."""
        return any(self._find_of(needle, continuation, start, end) >= 0 for needle in needles)

    def last_line(self, needles: Sequence[bytes], landmark: Landmark, start: int, end: int) -> int | None:
        """Return the offset of the end of the last line that holds a needle and is such a landmark, or None.
        Only the last few lines with the needle are examined: in bare text no line is a landmark."""
        ends = [self._last_line(needle, landmark, start, end) for needle in needles]
        return max((at for at in ends if at is not None), default=None)

    def landmark(self, at: int) -> Landmark | None:
        """Return the landmark that the line at `at` is; None also if it begins in another buffer."""
        start = self._line_start(at)
        if start is None:
            return None
        end = self._buffer.find(b"\n", at, self._end)
        return landmark_of(bytes(self._buffer[start : end if end >= 0 else self._end]))

    def holds_anywhere(self, needle: bytes) -> bool:
        """Return True if the needle is in the history."""
        return any(needle in piece for piece in self.recall())

    def _find_of(self, needle: bytes, continuation: re.Pattern[bytes], start: int, end: int) -> int:
        at = self._buffer.find(needle, start, end)
        while at >= 0 and not continuation.match(self._buffer, at, end):
            at = self._buffer.find(needle, at + 1, end)
        return at

    def _last_line(self, needle: bytes, landmark: Landmark, start: int, end: int) -> int | None:
        at = end
        for _ in range(_TRIES):
            at = self._buffer.rfind(needle, start, at)
            if at < 0:
                return None
            if self.landmark(at) is landmark:
                line_end = self._buffer.find(b"\n", at, end)
                return line_end + 1 if line_end >= 0 else end
        return None

    def _line_start(self, at: int) -> int | None:
        """Return None if the line begins before the history in this buffer."""
        before = self._buffer.rfind(b"\n", self._start, at)
        if before >= 0:
            return before + 1
        begins = self._whole and not self._begun_line and len(self._order) == 1
        return self._from if begins and at >= self._from else None

    # The history.

    def recall(self) -> list[bytes]:
        """Return the history in pieces, oldest first, from the beginning of a line on."""
        pieces = [bytes(self._buffers[number][OVERLAP : self._filled[number]]) for number in self._order]
        pieces[0] = pieces[0][self._from - OVERLAP :]
        if self._whole:
            return [self._begun_line, *pieces] if self._begun_line else pieces
        pieces[0] = pieces[0][pieces[0].find(b"\n") + 1 :]
        return pieces

    def from_line(self, at: int) -> bytes:
        """Return everything from the beginning of the line at `at` on."""
        start = self._line_start(at)
        assert start is not None
        return bytes(self._buffer[start : self._end])

    def cut(self, left: int) -> int:
        """Return the number of bytes after the first end of a line within the last `left` bytes; 0 if there
        is no end of a line."""
        line_end = self._buffer.find(b"\n", max(OVERLAP, self._end - left), self._end)
        return self._end - line_end - 1 if line_end >= 0 else 0

    def forget(self, *, left: int, begun_line: bytes) -> None:
        """Keep only the last `left` bytes and the unfinished line before them."""
        self._order = self._order[-1:]
        self._from = self._end - left
        self._whole, self._begun_line = True, begun_line

    def _next_buffer(self) -> None:
        full = self._buffer
        if len(self._order) == _BUFFERS:
            number = self._order.pop(0)
            self._from = OVERLAP
            self._whole, self._begun_line = False, b""
        elif len(self._buffers) < _BUFFERS:
            number = len(self._buffers)
            self._buffers.append(bytearray(OVERLAP + BLOCK_BYTES))
            self._filled.append(OVERLAP)
        else:
            number = next(free for free in range(_BUFFERS) if free not in self._order)
        self._buffers[number][:OVERLAP] = full[-OVERLAP:]
        self._filled[number] = OVERLAP
        self._order.append(number)


def count_newlines(data: bytes | bytearray) -> int:
    """Return the number of newlines in `data`. Removing them uses memchr(3) and is three times as fast as
    count() of a single byte."""
    return len(data) - len(data.replace(b"\n", b""))


def _copying(stream: ByteStream) -> Callable[[memoryview], int]:
    def readinto(view: memoryview) -> int:
        data = stream.read(len(view)) or b""
        view[: len(data)] = data
        return len(data)

    return cast(Callable[[memoryview], int], readinto)
