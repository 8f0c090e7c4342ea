"""Read and write oom_score_adj of one process, and never of a later process with the same pid.

A pid and a start time name a process permanently. The folder /proc/<pid>, once open, stays with its process:
what is read and written by way of it fails when the process is gone (fs/proc/base.c, proc_pid_make_inode()).

Who may write what (fs/proc/base.c, __set_oom_adj()): a value below the process's oom_score_adj_min needs
CAP_SYS_RESOURCE, anything else only the right to open the file. That minimum is what a writer with
CAP_SYS_RESOURCE wrote last, or what the parent's was; a container's is the value that its runtime gave it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .bounded_read import read_text

PF_KTHREAD = 0x00200000
"""include/linux/sched.h."""
CAP_SYS_RESOURCE = 24
"""include/uapi/linux/capability.h."""


class ProcessId(NamedTuple):
    """One process, also after its pid was reused."""

    pid: int
    start_time: int
    """Clock ticks after boot (/proc/<pid>/stat field 22)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The state of a process at one time."""

    id: ProcessId
    parent: int
    kernel_thread: bool
    adj: int
    """oom_score_adj."""


class OomScoreError(Exception):
    """The kernel refused a value."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """NeedsCapSysResource, or NotPermitted for everything else."""


def read_process(pid: int, *, proc: Path = Path("/proc")) -> Process | None:
    """Return the state of a process; None if it is gone."""
    try:
        with _folder(pid, proc=proc) as folder:
            fields = _stat(folder)
            adj = int(_read(folder, "oom_score_adj"))
    except (OSError, ValueError):
        return None
    return Process(
        id=ProcessId(pid, int(fields[19])),
        parent=int(fields[1]),
        kernel_thread=bool(int(fields[6]) & PF_KTHREAD),
        adj=adj,
    )


def write_adj(process: ProcessId, value: int, *, proc: Path = Path("/proc")) -> bool:
    """Set oom_score_adj; return False if the process is gone. Raises OomScoreError."""
    try:
        with _folder(process.pid, proc=proc) as folder:
            if int(_stat(folder)[19]) != process.start_time:
                return False
            fd = os.open("oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
            try:
                os.write(fd, str(value).encode())
            except PermissionError as error:
                raise _refused(error, proc=proc) from error
            finally:
                os.close(fd)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError as error:
        raise _not_permitted(error) from error
    return True


def _refused(error: OSError, *, proc: Path) -> OomScoreError:
    if has_capability(CAP_SYS_RESOURCE, proc=proc):
        return _not_permitted(error)
    return OomScoreError(
        "NeedsCapSysResource",
        "the value is below the least that these processes may be given without CAP_SYS_RESOURCE, which this "
        "agent does not have: give the agent that capability, or write a higher value",
    )


def _not_permitted(error: OSError) -> OomScoreError:
    return OomScoreError(
        "NotPermitted",
        f"{error.strerror or error}: the agent must be able to write /proc/<pid>/oom_score_adj as root, with "
        "/proc not read-only and no security module in between",
    )


def has_capability(number: int, *, proc: Path = Path("/proc")) -> bool:
    """Return True if this process has the capability in effect."""
    try:
        lines = read_text(proc / "self" / "status").splitlines()
    except OSError:
        return False
    effective = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return bool(effective >> number & 1)


@contextmanager
def _folder(pid: int, *, proc: Path) -> Iterator[int]:
    fd = os.open(proc / str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _stat(folder: int) -> list[bytes]:
    """Return the fields from the state on: the comm before it may contain anything, even a parenthesis."""
    return _read(folder, "stat").rpartition(b")")[2].split()


def _read(folder: int, name: str) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
