"""Whether a process is being killed right now, from /proc/PID/stat (proc_pid_stat(5))."""

from pathlib import Path

from .bounded_read import read_bytes

_STATE, _FLAGS, _PENDING = 0, 6, 28
"""Places after the comm: fields 3, 9 and 31 of proc_pid_stat(5)."""
_PF_EXITING = 0x4
"""include/linux/sched.h: the task has entered do_exit()."""
_SIGKILL_PENDING = 1 << 8
"""A fatal signal is put into every thread's own pending set (kernel/signal.c, complete_signal())."""


def is_dying(pid: int, *, proc: Path = Path("/proc")) -> bool:
    """Return whether the process has a SIGKILL to act on, is exiting, or is dead and not reaped yet; False
    once it is gone.

    A process that was given the number of a dead one is none of these, unless it is killed as well.
    """
    try:
        text = read_bytes(proc / str(pid) / "stat")
    except OSError:
        return False
    fields = text.rpartition(b")")[2].split()
    if len(fields) <= _PENDING:
        return False
    return (
        fields[_STATE] in (b"Z", b"X")
        or bool(int(fields[_FLAGS]) & _PF_EXITING)
        or bool(int(fields[_PENDING]) & _SIGKILL_PENDING)
    )
