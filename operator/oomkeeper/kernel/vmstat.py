"""/proc/vmstat: the kernel's own count of OOM kills."""

import os
from pathlib import Path

from .bounded_read import read_bytes

_KEY = b"\noom_kill "
_MOST_BYTES = 65536


def read_oom_kills(*, proc: Path = Path("/proc")) -> int | None:
    """Processes that the OOM killer has killed since boot (`oom_kill`), of whatever scope; one per `Killed
    process` line.

    None on kernels before 4.13, which do not count them (commit 8e675f7af507). Raises OSError when /proc is
    not there.
    """
    return _oom_kills(read_bytes(proc / "vmstat"))


class OOMKillCount:
    """Reads the count often, from a file that stays open."""

    def __init__(self, *, proc: Path = Path("/proc")) -> None:
        try:
            self._fd: int | None = os.open(proc / "vmstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = None

    def read(self) -> int | None:
        """Return what `read_oom_kills` does; None where there is no such file as well."""
        return _oom_kills(os.pread(self._fd, _MOST_BYTES, 0)) if self._fd is not None else None

    def close(self) -> None:
        """Close the file; `read` returns None from now on."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _oom_kills(text: bytes) -> int | None:
    at = (b"\n" + text).find(_KEY)
    if at < 0:
        return None
    return int(text[at + len(_KEY) - 1 :].partition(b"\n")[0])
