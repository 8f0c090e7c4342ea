"""NUMA nodes: lists as the kernel prints them, and which have memory."""

from oomkeeper.kernel.lazy import lazy

from ..model.kill import Kill
from ..model.memory import MemoryFacts
from ..model.node import NodeFacts

_RANGE = lazy(r"(\d{1,5})(?:-(\d{1,5}))?")
_MAX_NODES = 4096
"""Above CONFIG_NODES_SHIFT's 10 bits; a damaged list must not cost memory."""

_NOTHING_SHARE = 0.02


def parse_nodes(text: str | None) -> frozenset[int] | None:
    """Parse `0-1,4` into a set; None for `(null)`, for an empty text, and for anything that is not a list."""
    if not text:
        return None
    nodes: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= _MAX_NODES or first > last:
            return None
        nodes.update(range(first, last + 1))
    return frozenset(nodes)


def allowed_nodes(kill: Kill) -> frozenset[int] | None:
    """Return the nodes that memory policy and cpuset allow together; None where neither is printed."""
    policy, cpuset = parse_nodes(kill.nodemask), parse_nodes(kill.mems_allowed)
    if policy and cpuset:
        return policy & cpuset or policy
    return policy or cpuset


def nodes_with_memory(memory: MemoryFacts, node: NodeFacts | None) -> frozenset[int] | None:
    """Return the NUMA nodes with memory: from the host where known; else from the hugepages lines, where the
    report shows that they cover all nodes; else from the zones of a kernel that does not filter them."""
    if node is not None and node.online_nodes:
        return frozenset(node.online_nodes)
    if memory.huge_pages:
        return None if leaves_out_nodes(memory) else frozenset(pages.node for pages in memory.huge_pages)
    if memory.zones and not memory.node_fields_bytes:
        return frozenset(zone.node for zone in memory.zones)
    return None


def leaves_out_nodes(memory: MemoryFacts) -> bool:
    """Return whether even the hugepages lines omit nodes: since 6.0 show_mem() prints them for the nodes
    that the request could use (hugetlb_show_meminfo_node()), as it always did the zones. `pages RAM` is never
    filtered, so zones that do not add up to it are not all; before, the hugepages lines named the others."""
    if memory.ram_pages is None or not memory.zones or not memory.huge_pages:
        return False
    if {pages.node for pages in memory.huge_pages} - {zone.node for zone in memory.zones}:
        return False
    shown = sum(zone.fields_bytes.get("present", 0) for zone in memory.zones)
    ram = memory.ram_pages * memory.page_size_bytes
    return ram - shown > ram * _NOTHING_SHARE
