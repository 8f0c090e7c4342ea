"""Is this node itself a container? kind's nodes are, and share one kernel log with each other and with the
host.

The cgroup namespace hides a container's own id from it, but the files that the runtime mounts over
/etc/hostname, /etc/hosts and /etc/resolv.conf lie in a folder of that name, which /proc/1/mountinfo shows
(proc_pid_mountinfo(5), field 4: the root of the mount).
"""

from pathlib import Path

from .lazy import lazy

_CONTAINER = lazy(r"(?:^|[/-])[0-9a-f]{64}(?=[./]|$)")
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Its inode (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""
_MOUNTED = lazy(r"/([0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf)$")


def enclosing_container(*, proc: Path = Path("/proc")) -> str | None:
    """Id of the container that this host's init runs in (docker, podman); None on a machine, and where it
    cannot be read."""
    try:
        text = (proc / "1" / "mountinfo").read_text(errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        fields = line.split(" ")
        found = _MOUNTED.search(fields[3]) if len(fields) > 4 and fields[4].startswith("/etc/") else None
        if found:
            return found[1]
    return None


def path_inside(path: str, *, enclosure: str) -> str | None:
    """A cgroup path of the kernel's log as the enclosed node's own cgroup file system has it; None for a path
    outside of it.

    The log starts every path at the machine's root, the node's cgroup namespace at the node's container.
    """
    at = path.find(enclosure)
    if at < 0:
        return None
    end = path.find("/", at)
    return path[end:] if end >= 0 else "/"


def in_some_container(path: str) -> bool:
    """Whether a cgroup path leads through a container: its id is a name there (docker: `/docker/<id>`,
    `docker-<id>.scope`; podman: `libpod-<id>.scope`)."""
    return _CONTAINER.search(path) is not None


def sees_kernel_pids(*, proc: Path = Path("/proc")) -> bool:
    """Whether this /proc knows processes by the pids that the kernel's log prints.

    The log prints those of the initial pid namespace (mm/oom_kill.c: task_pid_nr()). A node that is a
    container has another one, where the same number is somebody else.
    """
    try:
        return (proc / "self/ns/pid").stat().st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        return True
