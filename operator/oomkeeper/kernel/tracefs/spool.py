"""The pages that were read from an instance, kept in a file for the reader after one that was killed.

What a reader takes from the kernel's buffer is gone from it. So each page is read straight into a mapped
file: after SIGKILL it is there, because a system call that has taken it has also copied it. The file has two
halves, and the older one is emptied when the other is full. Nothing is synced: the trace ends with the boot.
"""

import errno
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .formats import TraceFormatError
from .pages import PageLayout, parse_page, used_bytes

HALF_BYTES = 160 * 1024
"""Some 3,400 processes made or moved."""
SKEW_STEP_NS = 100_000_000
_HEADER = struct.Struct("<8s36sQQQ")
"""Magic, boot id, generation, time since which no record is missing, records that were read before."""
_MAGIC = b"oomspool"
_PAGE = b"trcpage\0"
"""Before each page. It is there before the page is, and without one at the end."""
_SKEW = struct.Struct("<q")
_SKEW_AT = _HEADER.size
_FIRST_PAGE = 128


class Spooled(NamedTuple):
    """What earlier readers of this boot have read."""

    since_ns: int
    """No record since this time is missing, in these pages and in the kernel's buffer together."""
    pages: list[bytes]


class _Half(NamedTuple):
    generation: int
    since_ns: int
    read_before: int
    pages: list[bytes]
    records: int
    end: int


class PageSpool:
    """The file, for the one reader of the instance. Used from one thread at a time."""

    def __init__(
        self, path: Path, *, boot_id: str, layout: PageLayout, records_read: Callable[[], int], made: bool
    ) -> None:
        """`records_read`: how many records the kernel says were read from the instance; what somebody else
        has read is in no file. `made`: the instance is new. Raises OSError."""
        self.path = path
        self._boot = boot_id.encode()
        self._layout = layout
        self._records_read = records_read
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Every block, so that a full disk does not end the process (SIGBUS).
            os.posix_fallocate(self._fd, 0, 2 * HALF_BYTES)
            os.ftruncate(self._fd, 2 * HALF_BYTES)
            self._map = mmap.mmap(self._fd, 2 * HALF_BYTES)
        except OSError:
            os.close(self._fd)
            raise
        halves = [] if made else self._continuous()
        self.inherited = (
            Spooled(halves[0][1].since_ns, [page for _, half in halves for page in half.pages])
            if halves
            else None
        )
        """None where there is no file of this trace, or pages are missing in it."""
        self._skew_ns = self._kept_skew(halves[-1][0]) if halves else 0
        try:
            if halves:
                self._begin, newest = halves[-1]
                self._generation, self._at = newest.generation, newest.end
            else:
                self._generation, self._begin = 0, HALF_BYTES
                self._start_half(since_ns=0 if made else time.monotonic_ns())
        except OSError:
            self.close()
            raise

    @property
    def skew_ns(self) -> int:
        """How much the trace's clock is ahead of the log's, as far as a reader has told; else 0."""
        return self._skew_ns

    def keep_skew(self, skew_ns: int) -> None:
        """Keep it, where it has changed by more than SKEW_STEP_NS and the file takes it."""
        if abs(skew_ns - self._skew_ns) > SKEW_STEP_NS:
            self._skew_ns = skew_ns
            with suppress(OSError):
                os.pwrite(self._fd, _SKEW.pack(skew_ns), self._begin + _SKEW_AT)

    def read(self, pipe: int) -> bytes:
        """Return the next page of trace_pipe_raw; empty at the end of a file.

        Raises SpoolError where the file does not take it: nothing is lost then. Raises OSError from reading,
        BlockingIOError where there is nothing to read."""
        size = self._layout.page_bytes
        try:
            if self._at + len(_PAGE) + size > self._begin + HALF_BYTES:
                self._start_half(since_ns=time.monotonic_ns())
            os.pwrite(self._fd, _PAGE, self._at)
        except OSError as error:
            raise SpoolError(f"{self.path}: {error.strerror}") from error
        begin = self._at + len(_PAGE)
        with memoryview(self._map)[begin : begin + size] as place:
            try:
                count = os.readv(pipe, [place])
            except OSError as error:
                if error.errno != errno.EFAULT:  # the kernel could not write to the file, and kept the page
                    raise
                raise SpoolError(f"{self.path}: {error.strerror}") from error
            page = bytes(place[:count])
        if page:
            self._at = _next(begin, used_bytes(page, self._layout))
        return page

    def close(self) -> None:
        """Keep the file for the next reader."""
        self._map.close()
        os.close(self._fd)

    def discard(self) -> None:
        """Remove the file. Raises OSError."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _start_half(self, *, since_ns: int) -> None:
        begin = HALF_BYTES - self._begin  # the other one
        os.pwrite(self._fd, bytes(_FIRST_PAGE), begin)  # not valid until it is empty
        os.pwrite(self._fd, bytes(HALF_BYTES - _FIRST_PAGE), begin + _FIRST_PAGE)
        generation = self._generation + 1
        header = _HEADER.pack(_MAGIC, self._boot, generation, since_ns, self._records_read())
        os.pwrite(self._fd, header + _SKEW.pack(self._skew_ns), begin)
        self._begin, self._generation, self._at = begin, generation, begin + _FIRST_PAGE

    def _continuous(self) -> list[tuple[int, _Half]]:
        """Return the halves, oldest first, from which on no page is missing, with their places."""
        found = []
        for begin in (0, HALF_BYTES):
            half = self._half(begin)
            if half is not None:
                found.append((begin, half))
        found.sort(key=lambda one: one[1].generation, reverse=True)
        kept: list[tuple[int, _Half]] = []
        read, generation = self._records_read(), None
        for begin, half in found:
            if half.read_before + half.records != read or generation not in (None, half.generation + 1):
                break
            kept.insert(0, (begin, half))
            read, generation = half.read_before, half.generation
        return kept

    def _half(self, begin: int) -> _Half | None:
        magic, boot, generation, since_ns, read_before = _HEADER.unpack_from(self._map, begin)
        if magic != _MAGIC or boot.rstrip(b"\0") != self._boot:
            return None
        pages, records, end = [], 0, begin + _FIRST_PAGE
        try:
            for page in self._pages(end, begin + HALF_BYTES):
                pages.append(page)
                records += len(parse_page(page, self._layout).records)
                end = _next(end + len(_PAGE), len(page))
        except TraceFormatError:
            return None
        return _Half(generation, since_ns, read_before, pages, records, end)

    def _pages(self, at: int, end: int) -> Iterator[bytes]:
        size = self._layout.page_bytes
        while at + len(_PAGE) + size <= end and self._map[at : at + len(_PAGE)] == _PAGE:
            at += len(_PAGE)
            used = used_bytes(self._map[at : at + size], self._layout)
            if used <= self._layout.data_offset:
                return
            yield self._map[at : at + used]
            at = _next(at, used)

    def _kept_skew(self, begin: int) -> int:
        (skew_ns,) = _SKEW.unpack_from(self._map, begin + _SKEW_AT)
        return int(skew_ns)


class SpoolError(Exception):
    """The file does not take a page."""


def _next(begin: int, used: int) -> int:
    return begin + (used + 7) // 8 * 8
