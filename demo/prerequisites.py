"""Prerequisites of a real kill on this machine."""

import os

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError

from . import memcg


def missing(hierarchy: CgroupHierarchy) -> list[str]:
    """Return the missing prerequisites, one clause each; empty if nothing is missing."""
    found = []
    if os.geteuid() != 0:
        found.append("not root: it takes root to set sysctls and to limit a cgroup")
    if (reason := memcg.why_not(hierarchy)) is not None:
        found.append(reason)
    try:
        KmsgReader().close()
    except KmsgUnreadableError as error:
        found.append(str(error))
    if not os.access("/proc/sys/vm/oom_dump_tasks", os.W_OK):
        found.append("/proc/sys/vm is not writable")
    return found
