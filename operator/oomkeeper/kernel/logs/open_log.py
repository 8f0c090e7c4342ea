"""Open a log by name: a plain or compressed file, or standard input."""

import io
import sys
from typing import Any, cast

_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_BZIP2 = b"BZh"
_ZSTD = b"\x28\xb5\x2f\xfd"
MAGIC_BYTES = 6


class LogUnreadableError(Exception):
    """The log cannot be read; the message names it and the reason, and says what to do."""


def open_log(name: str) -> io.RawIOBase:
    """Return a stream of the log's uncompressed bytes; `-` is standard input. The caller closes it.

    gzip, xz, bzip2 and zstd are recognised by their magic number, so the suffix does not matter (RFC 1952,
    xz-file-format 2.1.1.1, RFC 8878 3.1.1). Raises LogUnreadableError; for a damaged compressed file, read()
    raises it.
    """
    if name == "-":
        return _Guarded(name, _decompress(_Peeked(sys.stdin.buffer)))
    try:
        # The caller closes it; and importing pathlib takes as long as explaining a report.
        raw = open(name, "rb", buffering=0)  # noqa: SIM115
        head = raw.read(MAGIC_BYTES)
    except OSError as error:
        raise LogUnreadableError(f"{name}: {error.strerror or error}") from error
    if not head.startswith((_GZIP, _XZ, _BZIP2, _ZSTD)):
        return _Guarded(name, _rewound(raw, head))
    return _Guarded(name, _decompress(_rewound(raw, head)))


def _rewound(raw: Any, head: bytes) -> Any:
    if raw.seekable():
        raw.seek(0)
        return raw
    return _Peeked(raw, head)  # a FIFO, /dev/fd/63


class _Peeked(io.RawIOBase):
    """A stream that cannot seek, whose first bytes were already read."""

    def __init__(self, raw: Any, head: bytes = b"") -> None:
        self._raw, self._head = raw, head
        self._read1 = getattr(raw, "read1", raw.read)

    def readable(self) -> bool:
        return True

    def peek_magic(self) -> bytes:
        """Return the first bytes without consuming them."""
        while len(self._head) < MAGIC_BYTES and (more := self._read1(MAGIC_BYTES - len(self._head))):
            self._head += more
        return self._head

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._head:
            taken = min(len(buffer), len(self._head))
            buffer[:taken], self._head = self._head[:taken], self._head[taken:]
            return taken
        data = self._read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Guarded(io.RawIOBase):
    """Raises LogUnreadableError for every error while reading."""

    def __init__(self, name: str, inner: Any) -> None:
        self._name, self._inner = name, inner
        self._read1 = getattr(inner, "read1", inner.read)
        self._readinto = getattr(inner, "readinto1", inner.readinto)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            return cast(int, self._readinto(buffer))
        except _read_errors() as error:
            raise self._unreadable(error) from error

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes without waiting for more than there is; RawIOBase would copy twice."""
        try:
            return cast(bytes, self._read1(size))
        except _read_errors() as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> LogUnreadableError:
        return LogUnreadableError(
            f"{self._name}: cannot be read further: {getattr(error, 'strerror', None) or error}"
        )

    def close(self) -> None:
        if not self.closed and self._name != "-":
            self._inner.close()
        super().close()


def _read_errors() -> tuple[type[Exception], ...]:
    # zlib.error and LZMAError are not OSErrors. Looked up late: the modules are slow to load and may be
    # missing from a build.
    late = (
        ("zlib", "error"),
        ("_lzma", "LZMAError"),
        ("compression.zstd", "ZstdError"),
        ("backports.zstd", "ZstdError"),
    )
    found = [getattr(sys.modules[module], name) for module, name in late if module in sys.modules]
    return (OSError, EOFError, ValueError, *found)


def _decompress(raw: Any) -> Any:
    head = raw.peek_magic() if isinstance(raw, _Peeked) else _head_of(raw)
    if head.startswith(_GZIP):
        import gzip

        return gzip.GzipFile(fileobj=raw)
    if head.startswith(_XZ):
        import lzma

        return lzma.LZMAFile(raw)
    if head.startswith(_BZIP2):
        import bz2

        return bz2.BZ2File(raw)
    if head.startswith(_ZSTD):
        return _zstd_file(raw)
    return raw


def _head_of(raw: Any) -> bytes:
    head: bytes = raw.read(MAGIC_BYTES)
    raw.seek(0)
    return head


def _zstd_file(raw: Any) -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdFile(raw)
