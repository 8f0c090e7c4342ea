"""The pages of per_cpu/cpuN/trace_pipe_raw: a CPU's records in the ring buffer's own form.

Each read() gives one page: time of its first record, `commit` (bytes of records, and two flags about lost
ones), records. A record starts with 32 bits: 5 of type or length, 27 of the nanoseconds since the record
before (include/linux/ring_buffer.h, enum ring_buffer_type; events/header_event prints the same).
"""

import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from .formats import TraceFormatError

_FIELD = re.compile(r"field: .+? (\w+);\toffset:(\d+);\tsize:(\d+);")
_ORDER = sys.byteorder
_COMMIT_MASK = (1 << 20) - 1
"""kernel/trace/ring_buffer.c: RB_WRITE_MASK."""
_MISSED_EVENTS, _MISSED_STORED = 1 << 31, 1 << 30
_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_DELTA_BITS = 27
_STAMP_TOP_BITS = 59
"""Of an absolute time stamp only so many bits are there; the page's own time has the rest."""


class PageLayout(NamedTuple):
    """events/header_page: offsets and sizes in bytes."""

    commit_offset: int
    commit_size: int
    data_offset: int
    page_bytes: int
    """What one read() must ask for."""


class TracePage(NamedTuple):
    """One page."""

    records: tuple[tuple[int, bytes], ...]
    """Time in nanoseconds of the instance's clock, and the record from `common_type` on."""
    lost: bool
    """Records of this CPU before this page's first were overwritten."""
    lost_count: int | None
    """How many, where the kernel had room to say."""


def parse_layout(text: str) -> PageLayout:
    """Parse events/header_page. Raises TraceFormatError."""
    fields = {name: (int(offset), int(size)) for name, offset, size in _FIELD.findall(text)}
    if not {"timestamp", "commit", "data"} <= fields.keys():
        raise TraceFormatError("events/header_page lacks timestamp, commit or data")
    commit, data = fields["commit"], fields["data"]
    return PageLayout(commit[0], commit[1], data[0], data[0] + data[1])


def used_bytes(page: bytes, layout: PageLayout) -> int:
    """Return how many bytes of a page are header and records. Raises TraceFormatError."""
    if len(page) < layout.data_offset:
        raise TraceFormatError(f"page of {len(page)} bytes has no header")
    end = layout.data_offset + (_commit(page, layout) & _COMMIT_MASK)
    if end > len(page):
        raise TraceFormatError(f"page of {len(page)} bytes ends before byte {end}")
    return end


def parse_page(page: bytes, layout: PageLayout) -> TracePage:
    """Parse what one read() of trace_pipe_raw gave. Raises TraceFormatError."""
    end = used_bytes(page, layout)
    started, commit = int.from_bytes(page[:8], _ORDER), _commit(page, layout)
    records = tuple(_records(page[layout.data_offset : end], started))
    lost = bool(commit & _MISSED_EVENTS)
    stored = page[end : end + 8] if commit & _MISSED_STORED else b""
    return TracePage(records, lost, int.from_bytes(stored, _ORDER) if len(stored) == 8 else None)


def _commit(page: bytes, layout: PageLayout) -> int:
    return int.from_bytes(page[layout.commit_offset : layout.commit_offset + layout.commit_size], _ORDER)


def _records(data: bytes, started: int) -> Iterator[tuple[int, bytes]]:
    at, now = 0, started
    while at + 4 <= len(data):
        head = _word(data, at)
        kind, delta = (
            (head & 31, head >> 5) if _ORDER == "little" else (head >> _DELTA_BITS, head & ((1 << 27) - 1))
        )
        if kind == _TIME_EXTEND:
            now += (_word(data, at + 4) << _DELTA_BITS) + delta
            at += 8
        elif kind == _TIME_STAMP:
            stamp = (_word(data, at + 4) << _DELTA_BITS) + delta
            now = (started >> _STAMP_TOP_BITS << _STAMP_TOP_BITS) | stamp
            at += 8
        elif kind == _PADDING:
            if delta == 0:
                return  # the rest of the page is unused
            now += delta
            at += 4 + _word(data, at + 4)
        else:
            now += delta
            # Length 0: the next word has it, itself included.
            begin, length = (at + 4, kind * 4) if kind else (at + 8, _word(data, at + 4) - 4)
            if length < 0 or begin + length > len(data):
                raise TraceFormatError(f"record at byte {at} of a page is longer than the page")
            yield now, data[begin : begin + length]
            at = begin + length


def _word(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise TraceFormatError("page ends inside a record")
    return int.from_bytes(data[at : at + 4], _ORDER)
