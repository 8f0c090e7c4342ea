"""Whether the pids in /proc are those that the kernel log prints."""

from pathlib import Path

INITIAL_INODE = 0xEFFFFFFC
"""Of the initial pid namespace's file (PROC_PID_INIT_INO, include/linux/proc_ns.h)."""


def sees_kernel_pids(proc: Path = Path("/proc")) -> bool:
    """Whether this process counts pids as the kernel's messages do: in the initial pid namespace.

    printk's pids are the initial namespace's (task_pid_nr()). In another one, such as that of a node which is
    a container (kind), the same number is another process or none. True where the namespace cannot be read.
    """
    try:
        return (proc / "self" / "ns" / "pid").stat().st_ino == INITIAL_INODE
    except OSError:
        return True
