"""Check that an input is text, convert its encoding, and report the progress of reading."""

import codecs
import io
import re
import time
from collections.abc import Callable
from typing import TextIO

from oomkeeper.model.units import bytes_text

_HEAD_BYTES = 64 << 10
_ENOUGH_BYTES = 1024
_CONTROLS = bytes([*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
"""Control characters that are rare in logs: all but tab, line feed, vertical tab, form feed, return and
escape.
"""
_MOST_CONTROLS = 0.05
"""Compressed or encrypted data has 10 % of them, machine code more; a log with colours and stray bytes
below 1 %.
"""
_NUL_RUN = re.compile(rb"\0{64,}")
"""Left in a log file by the file system after a power failure; not evidence of binary data."""
_PROGRESS_FROM_BYTES = 32 << 20
_PROGRESS_EVERY_SECONDS = 0.5


class BinaryFileError(Exception):
    """The input is not text; the message states what it looks like and what to do."""


class TextInput:
    """A stream that is checked to be text at its first bytes, turns UTF-16 into UTF-8, and reports how much
    was read.

    Raises BinaryFileError when it is made.
    """

    def __init__(self, name: str, raw: io.RawIOBase, *, progress: Callable[[int], None]) -> None:
        self._name, self._raw, self._progress = name, raw, progress
        self._decoder: codecs.IncrementalDecoder | None = None
        self._seen = 0
        self._head: bytes | None = self._first()

    @property
    def head(self) -> bytes:
        """The first bytes, which are not consumed; empty once they have been read."""
        return self._head or b""

    def read(self, size: int = 1 << 16, /) -> bytes:
        """Return the bytes of one read: `size`, or a little more where the encoding expands; empty at the
        end."""
        data, self._head = self._head, None
        if not data:
            data = self._next(size)
        self._seen += len(data)
        self._progress(self._seen)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the same into `buffer`, never more than fits."""
        if not self._head and self._decoder is None:
            size = self._raw.readinto(buffer) or 0
        else:
            data = self._head or self._next(len(buffer))
            size = min(len(data), len(buffer))
            buffer[:size], self._head = data[:size], data[size:]
        self._seen += size
        self._progress(self._seen)
        return size

    def _next(self, size: int) -> bytes:
        while data := self._raw.read(size):
            if self._decoder is None:
                return data
            # A partial character gives no text yet, which must not look like the end.
            if text := self._decoder.decode(data).encode("utf-8", "replace"):
                return text
        return b""

    def _first(self) -> bytes:
        head = b""
        # Only as much as the check needs: the rest of a pipe may not have been written yet.
        while len(head) < _HEAD_BYTES and len(_NUL_RUN.sub(b"", head)) < _ENOUGH_BYTES:
            more = self._raw.read(_HEAD_BYTES - len(head))
            if not more:
                break
            head += more
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
            return self._decoder.decode(head).encode("utf-8", "replace")
        _check_text(self._name, head)
        return head.removeprefix(codecs.BOM_UTF8)


def _check_text(name: str, head: bytes) -> None:
    if head.startswith(b"LPKSHHRH"):
        raise BinaryFileError(
            f"{name}: is a systemd journal; pipe its text instead: journalctl --file={name} | oomkeeper "
            "explain -"
        )
    rest = _NUL_RUN.sub(b"", head)
    controls = len(rest) - len(rest.translate(None, _CONTROLS))
    if (head and not rest) or controls > len(rest) * _MOST_CONTROLS:
        raise BinaryFileError(f"{name}: is a binary file, not the text of a log")


class Progress:
    """One line on a terminal that is rewritten in place, for large inputs."""

    def __init__(self, stream: TextIO, total_bytes: int | None) -> None:
        self._stream, self._total = stream, total_bytes
        self._tty = stream.isatty()
        self._next_at = 0.0
        self._shown = False
        self.kills = 0

    def __call__(self, seen_bytes: int) -> None:
        if not self._tty or seen_bytes < _PROGRESS_FROM_BYTES:
            return
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _PROGRESS_EVERY_SECONDS
        part = bytes_text(seen_bytes)
        if self._total:
            part = f"{min(100, seen_bytes * 100 // self._total)} % of {bytes_text(self._total)}"
        self._stream.write(f"\r\x1b[Kreading: {part}, {self.kills:,} OOM events so far")
        self._stream.flush()
        self._shown = True

    def clear(self) -> None:
        """Remove the line before something else is printed."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False
