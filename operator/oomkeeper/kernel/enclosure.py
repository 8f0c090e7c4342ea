"""Is this node itself a container? kind's nodes are, and share one kernel log with each other and with the
host.

The cgroup namespace hides a container's own id from it, but the files that the runtime mounts over
/etc/hostname, /etc/hosts and /etc/resolv.conf lie in a folder of that name, which /proc/1/mountinfo shows
(proc_pid_mountinfo(5), field 4: the root of the mount).
"""

import re
from pathlib import Path

_MOUNTED = re.compile(r"/([0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf)$")


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
