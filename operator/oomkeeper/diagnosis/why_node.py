"""The first half of a summary where the page allocator ran out: one function per cause."""

from ..model.cause import Cause
from ..model.escaping import printable
from ..model.units import bytes_text
from .allocator import ends_early
from .case import Case
from .filling import filled
from .nodes import allowed_nodes
from .zones import ZonesState


def node(case: Case) -> str:
    """The whole node."""
    zones = case.shortage.zones if case.shortage else None
    free = ""
    if zones is not None and zones.eligible and all(state.short for state in zones.eligible):
        whole = case.kill.memory.mem_info_pages and not ends_early(case.kill)
        shown = "every zone" if whole else "every zone in the log"
        free = f" (free memory was below the min watermark of {shown})"
    return f"The node{_swap(case)} ran out of memory{free}{filled(case)}"


def zone(case: Case) -> str:
    """One zone."""
    zones = case.shortage.zones if case.shortage else None
    if zones is None or not zones.eligible:
        return "A memory zone ran out"
    names = list(dict.fromkeys(state.zone.name for state in zones.eligible))
    which = (
        f"Memory zones {' and '.join(names)}, the only ones"
        if len(names) > 1
        else f"Memory zone {names[0]}, the only one"
    )
    return (
        f"{which} that this allocation could use, ran out ({_free_against_mark(zones)}) while "
        f"{bytes_text(zones.unusable_free_bytes)} was free in {' and '.join(zones.unusable_names)}"
    )


def _free_against_mark(zones: ZonesState) -> str:
    worst = max(zones.eligible, key=lambda state: state.zone.fields_bytes.get("managed", 0))
    free, mark = bytes_text(max(0, worst.usable_free_bytes)), bytes_text(worst.mark_bytes)
    return f"{free} free, minimum {mark}"


def numa(case: Case) -> str:
    """The NUMA nodes that a memory policy or cpuset allows."""
    known = allowed_nodes(case.kill)
    what = "memory policy" if case.cause is Cause.NUMA_MEMORY_POLICY else "cpuset"
    if known is None:
        what = "memory policy or cpuset"
    allowed = sorted(known or case.kill.memory.node_fields_bytes)
    nodes = ", ".join(map(str, allowed)) if allowed else "?"
    where = f"NUMA node{'s' if len(allowed) > 1 else ''} {nodes}"
    task = printable(case.kill.invoker.comm) if case.kill.invoker else "the process"
    zones = case.shortage.zones if case.shortage else None
    if zones is not None and not zones.eligible and zones.unusable_names:
        return (
            f"{where}, to which a {what} restricts {task}, has no zone that this allocation can use (only "
            f"{' and '.join(zones.unusable_names)}, {bytes_text(zones.unusable_free_bytes)} free)"
        )
    elsewhere = free_elsewhere_bytes(case)
    rest = f" while {bytes_text(elsewhere)} was free elsewhere" if elsewhere else ""
    return f"{where}, to which a {what} restricts {task}, ran out of memory{rest}"


def free_elsewhere_bytes(case: Case) -> int | None:
    """Return free memory that the request could not use: the counts after Mem-Info are of all nodes, the zone
    lines only of the nodes allowed. None where the two are not known to differ."""
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
    block = bytes_text(kill.memory.page_size_bytes << order)
    zones = case.shortage.zones if case.shortage else None
    above = [state for state in zones.eligible if not state.short] if zones is not None else []
    free = sum(state.usable_free_bytes for state in above)
    names = " and ".join(dict.fromkeys(state.zone.name for state in above))
    return (
        f"Memory was fragmented: {bytes_text(free)} was free in zone {names}, but no contiguous block of "
        f"{block} (order {order}) that the allocation could use"
    )


def _swap(case: Case) -> str:
    total, free = case.kill.memory.swap_total_bytes, case.kill.memory.swap_free_bytes
    if total is None:
        return ""
    if total == 0:
        return ", which has no swap,"
    if free is not None and free * 100 < total:
        return f", with all {bytes_text(total)} of swap in use,"
    return ""
