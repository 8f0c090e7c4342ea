"""Read files that others can write, with a size limit, and never wait for them.

A process may be anything its owner names it, a path may lead to a FIFO, a device or a file without an end. So
every file that the agent reads goes through here: only regular files (those of procfs, sysfs and cgroupfs
are), opened without waiting, read up to a limit. A file system in user space or on the network can still hold
one read forever; code that may meet one runs under a Deadline.
"""

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

KERNEL_FILE_BYTES = 1 << 20
"""Limit for one file of procfs, sysfs or cgroupfs. The largest that the agent reads are cgroup.procs (8 bytes
a process) and /proc/1/mountinfo (some hundred bytes a mount)."""
_CHUNK_BYTES = 1 << 16

Result = TypeVar("Result")


class UnsuitableFileError(OSError):
    """The file is not a regular file, or is larger than the limit. An OSError: callers treat it as a file
    that cannot be read."""


def read_bytes(path: Path, *, max_bytes: int = KERNEL_FILE_BYTES) -> bytes:
    """Return the whole content of a regular file. Raises OSError, and UnsuitableFileError for anything else
    than a regular file and for one of more than `max_bytes`."""
    fd = _open(path)
    try:
        return read_descriptor(fd, name=str(path), max_bytes=max_bytes)
    finally:
        os.close(fd)


def read_text(path: Path, *, max_bytes: int = KERNEL_FILE_BYTES, errors: str = "surrogateescape") -> str:
    """Return the content of a regular file as UTF-8 text. Raises OSError, see read_bytes()."""
    return read_bytes(path, max_bytes=max_bytes).decode(errors=errors)


def read_start(path: Path, *, max_bytes: int) -> bytes:
    """Return the first `max_bytes` of a regular file, or all of a smaller one. Raises OSError, and
    UnsuitableFileError for anything else than a regular file."""
    fd = _open(path)
    try:
        return _read(fd, name=str(path), max_bytes=max_bytes)
    finally:
        os.close(fd)


def read_descriptor(fd: int, *, name: str, max_bytes: int) -> bytes:
    """Return what an open file holds from its offset on. Raises OSError, see read_bytes(); `name` is for the
    message."""
    data = _read(fd, name=name, max_bytes=max_bytes + 1)
    if len(data) > max_bytes:
        raise UnsuitableFileError(errno.EFBIG, f"larger than {max_bytes} bytes", name)
    return data


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _read(fd: int, *, name: str, max_bytes: int) -> bytes:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise UnsuitableFileError(errno.EINVAL, "not a regular file", name)
    data = bytearray()
    while len(data) < max_bytes and (chunk := os.read(fd, min(_CHUNK_BYTES, max_bytes - len(data)))):
        data += chunk
    return bytes(data)


class Deadline(Generic[Result]):
    """Runs a reading function in a thread, and gives it up when it takes too long.

    A read that hangs in the kernel cannot be ended from outside. While one hangs no other is started, so that
    at most one thread is lost.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._hanging: threading.Thread | None = None

    def run(self, function: Callable[[], Result]) -> Result:
        """Return the function's result. Raises TimeoutError when the time is over, or an earlier call still
        hangs, and whatever the function raises."""
        if self._hanging is not None and self._hanging.is_alive():
            raise TimeoutError(errno.ETIMEDOUT, "an earlier read still hangs")
        results: list[Result] = []
        failures: list[Exception] = []

        def work() -> None:
            try:
                results.append(function())
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                failures.append(error)

        thread = threading.Thread(target=work, name="bounded-read", daemon=True)
        thread.start()
        thread.join(self._seconds)
        self._hanging = thread if thread.is_alive() else None
        if failures:
            raise failures[0]
        if not results:
            raise TimeoutError(errno.ETIMEDOUT, f"no answer within {self._seconds:g} s")
        return results[0]
