"""What Linux shows of a kernel that several nodes share.

A node of kind or LXC is a container: it reads the same kernel log as every other container of its machine.
The cgroup namespace hides the container's own id from it, but the files that the runtime mounts over
/etc/hostname, /etc/hosts and /etc/resolv.conf are in a folder of that name, which /proc/1/mountinfo shows
(proc_pid_mountinfo(5), field 4: the root of the mount).

Which node publishes which kill is decided in `agent/shared_kernel.py`.
"""

from pathlib import Path

from .bounded_read import read_text
from .lazy import lazy

_CONTAINER = lazy(r"(?:^|[/-])[0-9a-f]{64}(?=[./]|$)")
MOUNTINFO_BYTES = 64 << 20
"""Limit for mountinfo: some hundred bytes a mount, at most 100,000 mounts (sysctl fs.mount-max)."""
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Its inode (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""
_MOUNTED = lazy(r"/([0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf)$")


def node_container_id(*, proc: Path = Path("/proc")) -> str | None:
    """Return the id of the container that this node runs in (docker, podman); None on a machine, and where it
    cannot be read."""
    try:
        text = read_text(proc / "1" / "mountinfo", max_bytes=MOUNTINFO_BYTES, errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        fields = line.split(" ")
        found = _MOUNTED.search(fields[3]) if len(fields) > 4 and fields[4].startswith("/etc/") else None
        if found:
            return found[1]
    return None


def path_inside(path: str, *, container_id: str) -> str | None:
    """Return a cgroup path of the kernel log as the node in this container spells it; None for a path outside
    of the container.

    The log starts every path at the machine's root, the node's cgroup namespace at the node's container.
    Behind a kubepods the id is a name that a container of some node has given to a cgroup of its own.
    """
    at = path.find(container_id)
    if at < 0 or "kubepods" in path[:at]:
        return None
    end = path.find("/", at)
    return path[end:] if end >= 0 else "/"


def in_some_container(path: str) -> bool:
    """Return whether a cgroup path leads through a container: its id is a name there (docker: `/docker/<id>`,
    `docker-<id>.scope`; podman: `libpod-<id>.scope`)."""
    return _CONTAINER.search(path) is not None


def has_kernel_pids(*, proc: Path = Path("/proc")) -> bool:
    """Return whether this /proc numbers processes as the kernel log does.

    The log prints pids of the initial pid namespace (mm/oom_kill.c: task_pid_nr()). A node that is a
    container has another pid namespace, where the same number is another process."""
    try:
        return (proc / "self/ns/pid").stat().st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        return True
