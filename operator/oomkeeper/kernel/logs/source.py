"""Opens a log by name: a file, standard input, or a compressed file, told by its first bytes and then by its
name."""

import io
import sys
from typing import Any, cast

_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_BZIP2 = b"BZh"
_ZSTD = b"\x28\xb5\x2f\xfd"
MAGIC_BYTES = 6


class LogUnreadableError(Exception):
    """The log cannot be read; the message says which, why, and what to do."""


def open_log(name: str) -> io.RawIOBase:
    """The log's plain bytes; `-` is standard input, compressed or not. The caller closes it.

    gzip, xz, bzip2 and zstd are told by their magic number, so a wrong suffix does no harm (RFC 1952,
    xz-file-format 2.1.1.1, RFC 8878 3.1.1). Zstandard is in the standard library from Python 3.14 on; before
    it the `zstd` program is run. Raises LogUnreadableError. A damaged compressed file raises it too, from
    read().
    """
    if name == "-":
        return _Guarded(name, _decompress(name, _Peeked(sys.stdin.buffer)))
    try:
        # Handed to the caller; and pathlib takes as long to import as a report to explain.
        raw = open(name, "rb", buffering=0)  # noqa: SIM115
        head = raw.read(MAGIC_BYTES)
    except OSError as error:
        raise LogUnreadableError(f"{name}: {error.strerror or error}") from error
    if not head.startswith((_GZIP, _XZ, _BZIP2, _ZSTD)):
        return _Guarded(name, _rewound(raw, head))
    return _Guarded(name, _decompress(name, _rewound(raw, head)))


def _rewound(raw: Any, head: bytes) -> Any:
    if raw.seekable():
        raw.seek(0)
        return raw
    return _Peeked(raw, head)  # a FIFO, /dev/fd/63


class _Peeked(io.RawIOBase):
    """A stream that cannot seek, whose first bytes were read already."""

    def __init__(self, raw: Any, head: bytes = b"") -> None:
        self._raw, self._head = raw, head
        self._read1 = getattr(raw, "read1", raw.read)

    def readable(self) -> bool:
        return True

    def peek_magic(self) -> bytes:
        """The first bytes, which stay to be read."""
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
    """Turns what can go wrong while reading into LogUnreadableError."""

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
        """At most `size` bytes, without waiting for more than there is; RawIOBase would copy them twice."""
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
    # zlib.error and LZMAError are no OSErrors; looked up late, for the modules may be absent from a build and
    # are slow to load.
    late = (("zlib", "error"), ("_lzma", "LZMAError"), ("compression.zstd", "ZstdError"))
    found = [getattr(sys.modules[module], name) for module, name in late if module in sys.modules]
    return (OSError, EOFError, ValueError, *found)


def _decompress(name: str, raw: Any) -> Any:
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
        return _open_zstd(name, raw)
    return raw


def _head_of(raw: Any) -> bytes:
    head: bytes = raw.read(MAGIC_BYTES)
    raw.seek(0)
    return head


def _open_zstd(name: str, raw: Any) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return _ZstdProgram(name, raw)
    return zstd.ZstdFile(raw)


class _ZstdProgram(io.RawIOBase):
    """Decompresses through the `zstd` program: before Python 3.14 the standard library has no zstd."""

    def __init__(self, name: str, raw: Any) -> None:
        import shutil
        import subprocess

        program = shutil.which("zstd") or shutil.which("zstdcat")
        if program is None:
            raise LogUnreadableError(
                f"{name}: is zstd-compressed, and neither Python 3.14 nor the program `zstd` is here; "
                "install the package zstd, or decompress it elsewhere and give the plain file"
            )
        self._name, self._raw = name, raw
        self._feeder = None
        if isinstance(raw, _Peeked):
            self._process = subprocess.Popen(
                [program, "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            import threading

            self._feeder = threading.Thread(target=self._feed, daemon=True)
            self._feeder.start()
        else:
            self._process = subprocess.Popen(
                [program, "-dcq"], stdin=raw, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )

    def _feed(self) -> None:
        from shutil import copyfileobj

        stdin = self._process.stdin
        assert stdin is not None
        try:
            copyfileobj(self._raw, stdin)
            stdin.close()
        except BrokenPipeError:
            return  # the program ended early; its exit status tells why

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        assert self._process.stdout is not None
        taken: int = self._process.stdout.readinto1(buffer)  # type: ignore[attr-defined]
        if taken == 0 and self._process.wait() != 0:
            assert self._process.stderr is not None
            why = self._process.stderr.read(500).decode("utf-8", "replace").strip().splitlines()
            raise LogUnreadableError(
                f"{self._name}: cannot be read further: {why[-1] if why else 'zstd failed'}"
            )
        return taken

    def close(self) -> None:
        if not self.closed:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
            self._raw.close()
        super().close()
