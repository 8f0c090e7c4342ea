"""Facts of this host's kernel and memory."""

import os
from pathlib import Path

from oomkeeper.model.node import NodeFacts

from .bounded_read import read_text
from .cgroup.hierarchy import CgroupHierarchy
from .meminfo import read_meminfo


def read_node_facts(
    *, proc: Path = Path("/proc"), sys: Path = Path("/sys"), cgroup_root: Path = Path("/sys/fs/cgroup")
) -> NodeFacts:
    """Return kernel release, boot id, memory and NUMA layout. Raises OSError if /proc is missing."""
    meminfo = read_meminfo(proc=proc)
    return NodeFacts(
        kernel_release=read_text(proc / "sys/kernel/osrelease").strip(),
        boot_id=read_text(proc / "sys/kernel/random/boot_id").strip(),
        cgroup_version=CgroupHierarchy.find(root=cgroup_root, proc=proc).version,
        page_size_bytes=os.sysconf("SC_PAGE_SIZE"),
        memory_bytes=meminfo.get("MemTotal", 0),
        swap_bytes=meminfo.get("SwapTotal", 0),
        cpus=os.cpu_count() or 1,
        online_nodes=parse_id_list(_read_or(sys / "devices/system/node/has_memory", "0")),
    )


def _read_or(path: Path, default: str) -> str:
    try:
        return read_text(path)
    except OSError:
        return default


def parse_id_list(text: str) -> tuple[int, ...]:
    """Parse a kernel id list: `0-2,5` -> (0, 1, 2, 5). Raises ValueError for anything else."""
    ids: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            ids.extend(range(int(first), int(last or first) + 1))
    return tuple(ids)
