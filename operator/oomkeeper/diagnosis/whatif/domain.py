"""The memory that oom_score_adj is relative to: oom_control.totalpages, as constrained_alloc()
(mm/oom_kill.c) and mem_cgroup_get_max() (mm/memcontrol.c) compute it."""

from collections.abc import Iterable
from typing import NamedTuple

from ...model.cause import Scope
from ...model.kill import Kill
from ...model.memory import MemoryFacts, Zone
from ...model.node import NodeFacts
from ..contributors import managed_bytes
from ..nodes import allowed_nodes, nodes_with_memory, parse_nodes

_UNLIMITED_BYTES = (1 << 63) - 1
"""PAGE_COUNTER_MAX pages on 64 bits: what a memory cgroup without a limit has."""

KERNEL_CONSTRAINTS = ("CONSTRAINT_NONE", "CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY", "CONSTRAINT_MEMCG")
"""enum oom_constraint (include/linux/oom.h)."""


class Domain(NamedTuple):
    """The number of pages, and how exactly the log shows it."""

    pages: int | None
    """None where the log does not show it."""
    exact: bool
    """False where `pages` is a lower bound (the report does not print swap)."""
    constraint: str
    """`CONSTRAINT_NONE` and the like, derived where the kernel does not print it (before 5.0)."""


def domain_of(kill: Kill, node: NodeFacts | None = None) -> Domain:
    """Return the domain of one event. `node` adds the swap that a memory cgroup's report omits."""
    page = kill.memory.page_size_bytes
    if kill.scope is Scope.MEMCG:
        size, exact = _memcg_bytes(kill.memory, node)
        # 5.0 and 5.1 print CONSTRAINT_NONE (fixed by 432b1de0de02); any other name is a BPF program's.
        said = kill.constraint if kill.constraint and kill.constraint not in KERNEL_CONSTRAINTS else None
        return Domain(None if size is None else size // page, exact, said or "CONSTRAINT_MEMCG")
    constraint = kill.constraint or _constraint(kill, node)
    if constraint == "CONSTRAINT_NONE":
        return _machine(kill.memory, node, constraint)
    # The kernel sums the nodes of the memory policy, else of the cpuset, each with all its present pages.
    nodes = parse_nodes(kill.nodemask) if constraint == "CONSTRAINT_MEMORY_POLICY" else None
    nodes = nodes or allowed_nodes(kill)
    zones = [zone for zone in kill.memory.zones if nodes is None or zone.node in nodes]
    if not zones:
        return Domain(None, False, constraint)
    # Zones that the request cannot use are omitted since 6.1 (974f4367dd31), so this is a lower bound.
    return Domain(
        (_zone_bytes(zones, "present") + (kill.memory.swap_total_bytes or 0)) // page, False, constraint
    )


def _machine(memory: MemoryFacts, node: NodeFacts | None, constraint: str) -> Domain:
    page = memory.page_size_bytes
    swap = memory.swap_total_bytes
    if swap is None and node is not None:
        swap = node.swap_bytes
    managed = managed_bytes(memory)
    if managed is not None:
        # totalram_pages() is what the buddy allocator manages: present minus reserved.
        ram, exact = managed // page, memory.reserved_pages is not None
    elif memory.zones:
        ram, exact = _zone_bytes(memory.zones, "managed") // page, False
    elif node is not None:
        ram, exact = node.memory_bytes // page, True
    else:
        return Domain(None, False, constraint)
    return Domain(ram + (swap or 0) // page, exact and swap is not None, constraint)


def _memcg_bytes(memory: MemoryFacts, node: NodeFacts | None) -> tuple[int | None, bool]:
    if memory.memory is None:
        return None, False
    limit = memory.memory.limit_bytes
    if limit is None:
        return _UNLIMITED_BYTES, True
    more = _swap_room(memory, limit)
    if more == 0:
        return limit, True
    if node is not None:
        return limit + min(node.swap_bytes, more if more is not None else node.swap_bytes), True
    # Never more than the machine's swap, which a memory cgroup's report does not print.
    return limit, False


def _swap_room(memory: MemoryFacts, limit: int) -> int | None:
    """Return bytes of swap beyond the memory limit; None for no limit."""
    if memory.swap is not None:
        return memory.swap.limit_bytes
    if memory.memory_swap is not None:
        both = memory.memory_swap.limit_bytes
        return None if both is None else max(0, both - limit)
    # Without swap accounting (v1, swapaccount=0) neither is printed, and swap is not limited.
    return None


def _zone_bytes(zones: Iterable[Zone], field: str) -> int:
    return sum(zone.fields_bytes.get(field, zone.fields_bytes.get("present", 0)) for zone in zones)


def _constraint(kill: Kill, node: NodeFacts | None) -> str:
    """Derive what kernels before 5.0 do not print: a memory policy or cpuset that excludes nodes with
    memory."""
    present = nodes_with_memory(kill.memory, node)
    if not present:
        return "CONSTRAINT_NONE"
    policy, cpuset = parse_nodes(kill.nodemask), parse_nodes(kill.mems_allowed)
    if policy and not present <= policy:
        return "CONSTRAINT_MEMORY_POLICY"
    if cpuset and not present <= cpuset:
        return "CONSTRAINT_CPUSET"
    return "CONSTRAINT_NONE"
