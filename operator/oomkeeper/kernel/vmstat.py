"""/proc/vmstat: the kernel's own count of OOM kills."""

from pathlib import Path

from .bounded_read import read_text


def read_oom_kills(*, proc: Path = Path("/proc")) -> int | None:
    """Processes that the OOM killer has killed since boot (`oom_kill`), of whatever scope; one per `Killed
    process` line.

    None on kernels before 4.13, which do not count them (commit 8e675f7af507). Raises OSError when /proc is
    not there.
    """
    for line in read_text(proc / "vmstat").splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return None
