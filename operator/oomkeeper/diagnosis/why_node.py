"""The half of a summary that says how the page allocator ran out: one function per cause."""

from ..model.cause import Cause
from .allocator import ends_early
from .case import Case
from .filling import filled
from .names import printable
from .nodes import allowed_nodes
from .units import size
from .zones import ZonesState


def node(case: Case) -> str:
    """The whole node."""
    zones = case.shortage.zones if case.shortage else None
    free = ""
    if zones is not None and zones.eligible and all(state.short for state in zones.eligible):
        whole = case.kill.memory.mem_info_pages and not ends_early(case.kill)
        shown = "" if whole else " shown"
        free = f" (free memory was below the minimum of every zone{shown})"
    return f"The node ran out of memory{free}{_swap(case)}{filled(case)}"


def zone(case: Case) -> str:
    """One zone."""
    zones = case.shortage.zones if case.shortage else None
    if zones is None or not zones.eligible:
        return "A memory zone ran out"
    names = list(dict.fromkeys(state.zone.name for state in zones.eligible))
    which = (
        f"Zones {' and '.join(names)}, the only ones" if len(names) > 1 else f"Zone {names[0]}, the only one"
    )
    return (
        f"{which} this request could use, ran out ({_free_against_mark(zones)}) while "
        f"{size(zones.unusable_free_bytes)} were free in {' and '.join(zones.unusable_names)}"
    )


def _free_against_mark(zones: ZonesState) -> str:
    worst = max(zones.eligible, key=lambda state: state.zone.fields_bytes.get("managed", 0))
    return f"{size(max(0, worst.usable_free_bytes))} free, minimum {size(worst.mark_bytes)}"


def numa(case: Case) -> str:
    """The nodes that a memory policy or cpuset allows."""
    known = allowed_nodes(case.kill)
    what = "memory policy binds" if case.cause is Cause.NUMA_MEMORY_POLICY else "cpuset binds"
    if known is None:
        what = "memory policy or cpuset binds"
    allowed = sorted(known or case.kill.memory.node_fields_bytes)
    nodes = ", ".join(map(str, allowed)) if allowed else "?"
    where = f"NUMA node{'s' if len(allowed) > 1 else ''} {nodes}"
    task = printable(case.kill.invoker.comm) if case.kill.invoker else "the task"
    zones = case.shortage.zones if case.shortage else None
    if zones is not None and not zones.eligible and zones.unusable_names:
        return (
            f"{where}, to which the {what} {task}, has no zone that this request may use (only "
            f"{' and '.join(zones.unusable_names)}, {size(zones.unusable_free_bytes)} free)"
        )
    elsewhere = free_elsewhere_bytes(case)
    rest = f", while {size(elsewhere)} were free elsewhere" if elsewhere else ""
    return f"{where}, to which the {what} {task}, ran out of memory{rest}"


def free_elsewhere_bytes(case: Case) -> int | None:
    """Free memory that the request might not use: the counts after Mem-Info hold all nodes, the zone lines
    only the nodes allowed."""
    memory = case.kill.memory
    free = memory.mem_info_pages.get("free")
    filtered = bool(memory.node_fields_bytes) or case.kill.constraint is not None
    if free is None or not memory.zones or not filtered:
        return None
    rest = free * memory.page_size_bytes - sum(zone.fields_bytes.get("free", 0) for zone in memory.zones)
    return rest if rest > 1 << 20 else None


def fragmented(case: Case) -> str:
    """No block large enough."""
    kill = case.kill
    order = kill.invoker.order if kill.invoker and kill.invoker.order else 0
    block = size(kill.memory.page_size_bytes << order)
    zones = case.shortage.zones if case.shortage else None
    above = [state for state in zones.eligible if not state.short] if zones is not None else []
    free = sum(state.usable_free_bytes for state in above)
    names = " and ".join(dict.fromkeys(state.zone.name for state in above))
    return (
        f"Memory was fragmented: {size(free)} were free in zone {names}, but no block of {block} (order "
        f"{order}) in one "
        "piece that the request could use"
    )


def _swap(case: Case) -> str:
    total, free = case.kill.memory.swap_total_bytes, case.kill.memory.swap_free_bytes
    if total is None:
        return ""
    if total == 0:
        return " without swap"
    if free is not None and free * 100 < total:
        return f" with all {size(total)} of swap in use"
    return ""
