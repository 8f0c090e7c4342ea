"""Facts of one node."""

from typing import NamedTuple


class NodeFacts(NamedTuple):
    """Facts of a kernel and its host; read once per start."""

    kernel_release: str
    boot_id: str
    """/proc/sys/kernel/random/boot_id: equal on nodes that share one kernel (kind)."""
    cgroup_version: int
    """1 or 2: where the memory controller is."""
    page_size_bytes: int
    memory_bytes: int
    swap_bytes: int
    cpus: int
    online_nodes: tuple[int, ...]
    """NUMA nodes with memory."""
