"""Is a process the host's own and root's? Nothing else may speak for the node.

A pod can name a process anything, run it as uid 0 and with hostPID; what it cannot do is leave its
container's cgroup (that takes a writable mount of the host's cgroups, with which the host is lost already).
"""

from pathlib import Path

from oomkeeper.kernel.bounded_read import read_text
from oomkeeper.kernel.cgroup.members import HostProcesses


def is_host_root_process(pid: int, *, host: HostProcesses, proc: Path) -> bool:
    """Return whether the process runs as uid 0 of our user namespace, in the pid namespace that /proc shows,
    and in no container's cgroup. False when it is gone.

    From /proc/<pid>/status (fs/proc/array.c): Uid has the real, effective, saved and file system uid, NSpid
    one pid for each pid namespace from the one of this /proc down to the process's own. The owner of the
    folder says less: a process that must not be dumped has a folder of root's.
    """
    try:
        lines = read_text(proc / str(pid) / "status").splitlines()
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    root = fields.get("Uid", "").split() == ["0"] * 4
    own_namespace = len(fields.get("NSpid", "").split()) == 1
    return root and own_namespace and host.has(pid)
