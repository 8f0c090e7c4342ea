"""Finds the few OOM reports in a log of many other lines without looking at each line.

Two searches for fixed bytes run over everything: a report's header, and its `oom-kill:` line since 5.0, hold
`oom-kill`, and every kill, panic and failure to kill holds `ut of memory`, in all kernels since 2.6. Where
one of them is found the log is read in full, some way back (the header may be lost, the lines be broken or be
the further lines of another's record) and on until nothing came for a while.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from oomkeeper.model.log import LogRecord

from .assemble import Assembler
from .blocks import BLOCK_BYTES, ByteStream, LineBlocks
from .counts import LogCounts
from .search import Finder, count_newlines, make_finder

NEEDLES = (b"oom-kill", b"ut of memory")
JSON_NEEDLES = (b"111,111,109,45,107,105,108,108", b"117,116,32,111,102,32,109,101,109,111,114,121")
"""The same two as journald spells texts that are not UTF-8 in JSON: one number a byte."""
_OF_A_REPORT = re.compile(
    rb"oom-kill(?:er)?(?::|\s*[\r\n]|\Z)"
    rb"|ut of memory(?:: (?:Kill|compulsory|system-wide|OOM victim)| \(oom_kill_| and no killable"
    rb"|:?\s*\n[\s>]*Kill|:?\s*\Z)"
    rb"|1\d\d,"
)
"""What a needle goes on with in the kernel's words; programs say that they are out of memory too."""
_NEAR_NEEDLES = (
    b"oom_reaper: ",
    b" invoked oom",
    b"Killed process ",
    b"Kill process ",
    b"killed as a result of limit",
    b"limit reached of cgroup",
    b"are going to be killed",
    b"Kernel panic - not syncing",
)
"""Searched only while a report is near: what shows that it goes on where the two are cut off or broken
apart."""
ALWAYS_BYTES = 1024 * 1024
"""The beginning of a log is read in full: a pasted report needs no search, and its counts are exact."""
AHEAD_BYTES = 2 * 1024 * 1024
"""Read after the last find: more than the longest report there is, with 20,000 tasks."""
_BUFFERS = 3
"""Read before a find: 512 KiB at least. Holds a report of 5,000 tasks whose header was lost, and any message
that a syslog daemon lets a forger spread over lines."""
_OVERLAP = 128
"""Looked at again with the next read: a needle, and what it goes on with, may lie across two."""


def read_relevant_records(stream: ByteStream, *, counts: LogCounts | None = None) -> Iterator[LogRecord]:
    """The records of `stream` around everything that has to do with an OOM; all of a log shorter than
    `ALWAYS_BYTES`.

    Gives the same records as `read_records` wherever it gives any, and leaves out none of an OOM report's.
    `counts.lines` counts all lines, `counts.skipped` those that were passed over. Raises what reading the
    stream raises.
    """
    counts = LogCounts() if counts is None else counts
    history = _History(stream)
    blocks = LineBlocks(counts)
    near: Assembler | None = Assembler(counts)
    ahead = ALWAYS_BYTES
    needles: tuple[bytes, ...] = NEEDLES
    last = b"\n"
    while (size := history.read()) > 0:
        piece = history.newest(size)
        lines = count_newlines(piece)
        counts.lines += lines
        last = piece[-1:]
        if counts.lines == lines and piece[:1] == b"{":
            needles = (*NEEDLES, *JSON_NEEDLES)
        found = history.holds(needles, size, scanning=near is None)
        if near is None:
            counts.skipped += lines
            if not found:
                continue
            near, pieces = Assembler(counts), history.recall()
            counts.skipped -= sum(map(count_newlines, pieces))
        else:
            pieces = [piece]
        for data in pieces:
            if (block := blocks.push(data)) is not None:
                yield from near.feed(block)
        ahead = max(ahead, AHEAD_BYTES) if found else ahead - size
        if ahead <= 0:
            yield from near.finish()
            near = None
            history.forget(begun_line=blocks.rest())
    counts.lines += last != b"\n"
    if near is not None:
        if rest := blocks.rest():
            yield from near.feed(rest + b"\n")
        yield from near.finish()
    else:
        counts.skipped += last != b"\n"


class _History:
    """The last few hundred KiB of a stream, in buffers that are used over and over: fresh memory costs more
    than searching it."""

    def __init__(self, stream: ByteStream) -> None:
        readinto = getattr(stream, "readinto1", None) or getattr(stream, "readinto", None)
        self._readinto: Callable[[memoryview], int | None] = readinto or _copying(stream)
        self._buffers = [bytearray(_OVERLAP + BLOCK_BYTES) for _ in range(_BUFFERS)]
        self._find: list[Finder] = []
        self._filled = [_OVERLAP] * _BUFFERS
        self._order: list[int] = [0]
        """Numbers of the buffers that hold what is remembered, oldest first; the last is being filled."""
        self._from = _OVERLAP
        """Where what is remembered begins in the oldest."""
        self._whole = True
        """Whether nothing was lost since forget(), so that it begins with `_begun_line`."""
        self._begun_line = b""

    def newest(self, size: int) -> bytes:
        """The last `size` bytes, all from one read."""
        number = self._order[-1]
        return bytes(memoryview(self._buffers[number])[self._filled[number] - size : self._filled[number]])

    def read(self) -> int:
        """Reads once; how many bytes came, 0 at the end of the stream."""
        if self._filled[self._order[-1]] == _OVERLAP + BLOCK_BYTES:
            self._next_buffer()
        number = self._order[-1]
        with memoryview(self._buffers[number]) as view:
            size = self._readinto(view[self._filled[number] :]) or 0
        self._filled[number] += size
        return size

    def holds(self, needles: tuple[bytes, ...], size: int, *, scanning: bool) -> bool:
        """Whether the last `size` bytes, or what they complete, have to do with an OOM."""
        number = self._order[-1]
        end = self._filled[number]
        start = max(0, end - size - _OVERLAP)
        if scanning:
            if not self._find:
                self._find = [make_finder(buffer) for buffer in self._buffers]
            find = self._find[number]
            hit = [needle for needle in needles if find(needle, start, end)]
            return bool(hit) and _is_of_a_report(self._buffers[number], hit, start, end)
        buffer = self._buffers[number]
        return any(buffer.find(needle, start, end) >= 0 for needle in _NEAR_NEEDLES) or _is_of_a_report(
            buffer, needles, start, end
        )

    def recall(self) -> list[bytes]:
        """What is remembered, oldest first, from the beginning of a line on."""
        pieces = [bytes(self._buffers[number][_OVERLAP : self._filled[number]]) for number in self._order]
        pieces[0] = pieces[0][self._from - _OVERLAP :]
        if self._whole:
            return [self._begun_line, *pieces] if self._begun_line else pieces
        pieces[0] = pieces[0][pieces[0].find(b"\n") + 1 :]
        return pieces

    def forget(self, *, begun_line: bytes) -> None:
        """Remembers only what is read from now on, and the line that was begun."""
        self._order = self._order[-1:]
        self._from = self._filled[self._order[-1]]
        self._whole, self._begun_line = True, begun_line

    def _next_buffer(self) -> None:
        full = self._buffers[self._order[-1]]
        if len(self._order) == _BUFFERS:
            number = self._order.pop(0)
            self._from = _OVERLAP
            self._whole, self._begun_line = False, b""
        else:
            number = next(free for free in range(_BUFFERS) if free not in self._order)
        self._buffers[number][:_OVERLAP] = full[-_OVERLAP:]
        self._filled[number] = _OVERLAP
        self._order.append(number)


def _is_of_a_report(buffer: bytearray, needles: Sequence[bytes], start: int, end: int) -> bool:
    for needle in needles:
        at = buffer.find(needle, start, end)
        while at >= 0:
            if _OF_A_REPORT.match(buffer, at, end):
                return True
            at = buffer.find(needle, at + 1, end)
    return False


def _copying(stream: ByteStream) -> Callable[[memoryview], int]:
    def readinto(view: memoryview) -> int:
        data = stream.read(len(view)) or b""
        view[: len(data)] = data
        return len(data)

    return cast(Callable[[memoryview], int], readinto)
