"""Cut a stream into blocks of whole lines, without carriage returns, NUL bytes and colours, in bounded
memory."""

from typing import Protocol

from ..lazy import lazy
from .counts import LogCounts

BLOCK_BYTES = 256 * 1024
"""Fits the second-level cache: each search over a block after the first costs no memory traffic."""
LINE_MAX_BYTES = 256 * 1024
"""Longest line that is kept whole. printk's records end at 1 KiB (PRINTKRB_RECORD_MAX); journal entries as
JSON are the longest."""

_ANSI = lazy(rb"\x1b(?:\[[0-9;:?]*[A-Za-z]|\(B)")
_RETURNS = lazy(rb"(?<!\r)\r++(?=\n|\Z)")
"""Possessive, and only from the start of a run: linear in the length of any run."""


class ByteStream(Protocol):
    """What a log is read from: any binary file object."""

    def read(self, size: int = ..., /) -> bytes | None:
        """Return at most `size` bytes; empty at the end."""
        ...


class LineBlocks:
    """Joins pieces of a stream to blocks of whole lines."""

    def __init__(self, counts: LogCounts) -> None:
        self._counts = counts
        self._parts: list[bytes] = []
        self._held_bytes = 0

    def push(self, data: bytes) -> bytes | None:
        """Return a block that ends with a newline as soon as the pieces hold a whole line, so that a pipe is
        followed while it is written; else None."""
        end = data.rfind(b"\n") + 1
        if end == 0:
            if self._held_bytes <= LINE_MAX_BYTES:
                self._parts.append(data)
            self._held_bytes += len(data)
            return None
        block = data if end == len(data) else data[:end]
        if self._held_bytes > LINE_MAX_BYTES:
            self._counts.truncated += 1
            block = b"".join(self._parts)[:LINE_MAX_BYTES] + block[block.find(b"\n") :]
        elif self._held_bytes:
            block = b"".join((*self._parts, block))
        self._parts = [data[end:]] if end < len(data) else []
        self._held_bytes = len(data) - end
        return block

    def rest(self) -> bytes:
        """Return the unfinished line and forget it; empty if there is none."""
        rest = b"".join(self._parts)[:LINE_MAX_BYTES]
        self._counts.truncated += self._held_bytes > LINE_MAX_BYTES
        self._parts, self._held_bytes = [], 0
        return rest


def clean(block: bytes) -> bytes:
    """Return the block without carriage returns at line ends, NUL bytes (holes left by a crash) and colours
    (`dmesg --color`)."""
    if b"\r" in block:
        block = _RETURNS.sub(b"", block)
    if b"\0" in block:
        block = block.translate(None, b"\0")
    if b"\x1b" in block:
        block = _ANSI.sub(b"", block)
    return block
