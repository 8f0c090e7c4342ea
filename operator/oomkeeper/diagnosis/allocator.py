"""Decide why the page allocator ran out: the node, one zone, the allowed NUMA nodes, or no block large
enough.

The kernel itself tells cpuset and memory policy apart (constrained_alloc()) and prints it since 5.0; for
older kernels the nodes allowed are compared with those that have memory."""

from typing import NamedTuple

from ..model.cause import Cause, Confidence
from ..model.kill import Kill
from ..model.node import NodeFacts
from ..model.units import bytes_text
from .gfp import Request, parse_request
from .nodes import allowed_nodes, nodes_with_memory, parse_nodes
from .zones import ZonesState, judge_zones

_COSTLY_ORDER = 3
"""PAGE_ALLOC_COSTLY_ORDER: larger requests fail instead of killing, unless __GFP_NOFAIL."""
_PLENTY_SHARE = 0.01
_HIDDEN_SHARE = 0.02
_ANY = Request(highest_zone="Movable", movable=True, mask=0)
_LOW = Request(highest_zone="Normal", movable=False, mask=0)
_CONFIDENCE = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)


class Shortage(NamedTuple):
    """The verdict on a global OOM."""

    cause: Cause
    confidence: Confidence
    zones: ZonesState | None = None
    request: Request | None = None
    uncertain: str | None = None


def judge_allocator(kill: Kill, node: NodeFacts | None) -> Shortage:
    """Return the page allocator's cause; what the report lacks lowers the confidence."""
    request = parse_request(kill.invoker.gfp if kill.invoker else None)
    zones = _zones(kill, request or _ANY)
    numa = _numa(kill, node)
    if numa is not None:
        return Shortage(numa, Confidence.HIGH if kill.constraint else Confidence.MEDIUM, zones, request)
    hidden = _hidden_bytes(kill, request)
    if hidden:
        return Shortage(Cause.NUMA_MEMORY_POLICY, Confidence.LOW, zones, request, _hidden_words(hidden))
    if zones is None or not zones.eligible:
        return _without_zones(kill, request)
    if request is None:
        return _without_request(kill, zones)
    order = kill.invoker.order if kill.invoker and kill.invoker.order else 0
    found = _by_watermarks(zones, request, order)
    if ends_early(kill):
        return found._replace(
            confidence=min(found.confidence, Confidence.MEDIUM, key=_CONFIDENCE.index),
            uncertain="The log ends before it shows whether a cpuset or memory policy applied, and possibly "
            "before all zones; other zones may have had free memory.",
        )
    if kill.memory.mem_info_pages or found.confidence is not Confidence.HIGH:
        return found
    # An excerpt: which zones it leaves out is not known.
    return found._replace(
        confidence=Confidence.MEDIUM,
        uncertain="The log shows only part of the memory state; other zones may have had free memory.",
    )


def ends_early(kill: Kill) -> bool:
    """Return whether the report ends before its outcome: the evidence that distinguishes the causes may be
    in the missing part."""
    outcome = kill.kill_lines or kill.victims or kill.panic or kill.no_killable or kill.already_exiting
    return kill.constraint is None and not outcome


def _numa(kill: Kill, node: NodeFacts | None) -> Cause | None:
    if kill.constraint == "CONSTRAINT_MEMORY_POLICY":
        return Cause.NUMA_MEMORY_POLICY
    if kill.constraint == "CONSTRAINT_CPUSET":
        return Cause.NUMA_CPUSET
    if kill.constraint is not None:
        return None
    have = nodes_with_memory(kill.memory, node)
    if have is None:
        return None
    for text, cause in ((kill.nodemask, Cause.NUMA_MEMORY_POLICY), (kill.mems_allowed, Cause.NUMA_CPUSET)):
        allowed = parse_nodes(text)
        if allowed and not have <= allowed:
            return cause
    return None


def _hidden_bytes(kill: Kill, request: Request | None) -> int:
    """Return the memory of NUMA nodes that a panic's report omits because the request could not use them:
    show_mem() filters by nodemask or mems_allowed (SHOW_MEM_FILTER_NODES), but not its `pages RAM`. Without a
    panic the constraint line says more; the kernel prints it only with a victim (dump_oom_summary())."""
    memory = kill.memory
    if kill.panic is None or kill.constraint is not None or not kill.complete:
        return 0
    # Zones that the request cannot use are omitted too (6.1, 974f4367dd31); only this one can use all.
    if request is None or request.highest_zone != "Movable" or not memory.node_fields_bytes:
        return 0
    if memory.ram_pages is None or not memory.zones:
        return 0
    hidden = memory.ram_pages * memory.page_size_bytes - sum(
        zone.fields_bytes.get("present", 0) for zone in memory.zones
    )
    return hidden if hidden > memory.ram_pages * memory.page_size_bytes * _HIDDEN_SHARE else 0


def _hidden_words(hidden_bytes: int) -> str:
    return (
        f"The report omits {bytes_text(hidden_bytes)} on other NUMA nodes, which the allocation could not "
        "use; the kernel names the memory policy or cpuset that excludes them only when it kills a process."
    )


def zones_of(kill: Kill) -> ZonesState | None:
    """Return the zones of `judge_allocator`, which a verdict is not needed for if the request is known."""
    request = parse_request(kill.invoker.gfp if kill.invoker else None)
    return judge_allocator(kill, None).zones if request is None else _zones(kill, request)


def _zones(kill: Kill, request: Request) -> ZonesState | None:
    if not kill.memory.zones:
        return None
    order = max(0, kill.invoker.order) if kill.invoker and kill.invoker.order else 0
    allowed = allowed_nodes(kill)
    seen = frozenset(zone.node for zone in kill.memory.zones)
    return judge_zones(
        kill.memory,
        request,
        order=order,
        nodes=allowed if allowed and allowed & seen else None,
        every_node=kill.constraint == "CONSTRAINT_NONE",
    )


def _without_zones(kill: Kill, request: Request | None) -> Shortage:
    if kill.memory.slab_dumped or kill.memory.mem_info_pages:
        return Shortage(
            Cause.NODE_MEMORY,
            Confidence.MEDIUM if kill.memory.mem_info_pages else Confidence.LOW,
            None,
            request,
            "The log lacks the zone watermarks, so a shortage in a single zone cannot be ruled out.",
        )
    if kill.constraint is not None:
        return Shortage(
            Cause.NODE_MEMORY,
            Confidence.MEDIUM,
            None,
            request,
            "The log lacks the memory state, so a shortage in a single zone or fragmentation cannot be ruled "
            "out.",
        )
    policy = parse_nodes(kill.nodemask)
    if policy and 0 not in policy:
        # Node 0 has memory on nearly every machine.
        return Shortage(
            Cause.NUMA_MEMORY_POLICY,
            Confidence.MEDIUM,
            None,
            request,
            "The log lacks the memory state: whether other NUMA nodes had free memory is not known.",
        )
    if kill.victims or kill.panic:
        return Shortage(
            Cause.NODE_MEMORY,
            Confidence.LOW,
            None,
            request,
            "Only the outcome was logged (the kernel prints at most 10 full reports per 5 s): a zone "
            "shortage, a cpuset, a memory policy or fragmentation cannot be ruled out.",
        )
    return Shortage(Cause.UNKNOWN, Confidence.LOW, None, request, "The log ends before the memory state.")


def _without_request(kill: Kill, zones: ZonesState) -> Shortage:
    """Decide without the header and its gfp mask. If every zone had been allowed, none could have had room;
    so where only the lower zones are short, the request was restricted to them."""
    if any(not state.short for state in zones.eligible):
        confined = _zones(kill, _LOW)
        if (
            confined is not None
            and confined.eligible
            and all(state.short for state in confined.eligible)
            and _plenty_elsewhere(confined)
        ):
            return Shortage(
                Cause.ZONE_MEMORY,
                Confidence.MEDIUM,
                confined,
                _LOW,
                "The line with the gfp mask is missing; free memory elsewhere shows that the allocation was "
                "restricted to the low zones.",
            )
    found = _by_watermarks(zones, _ANY, 0)
    return found._replace(confidence=min(found.confidence, Confidence.MEDIUM, key=_CONFIDENCE.index))


def _by_watermarks(zones: ZonesState, request: Request, order: int) -> Shortage:
    if all(state.short for state in zones.eligible):
        cause = Cause.ZONE_MEMORY if _plenty_elsewhere(zones) else Cause.NODE_MEMORY
        return Shortage(cause, Confidence.HIGH, zones, request)
    above = [state for state in zones.eligible if not state.short]
    if order > 0 and all(state.has_block is False for state in above):
        note = (
            None
            if order <= _COSTLY_ORDER
            else (
                f"Allocations of order {order} normally fail without an OOM kill; this one was not allowed "
                "to fail."
            )
        )
        return Shortage(
            Cause.FRAGMENTATION, Confidence.HIGH if note is None else Confidence.MEDIUM, zones, request, note
        )
    clear = [state for state in above if not state.near]
    if order > 0 and clear and all(state.has_block is False for state in clear):
        return Shortage(
            Cause.FRAGMENTATION,
            Confidence.MEDIUM,
            zones,
            request,
            "When the report was printed, a zone with a block of that size was just above its min watermark "
            "again; free memory in other zones is in smaller blocks.",
        )
    if not clear:
        return Shortage(
            Cause.NODE_MEMORY,
            Confidence.MEDIUM,
            zones,
            request,
            "When the report was printed, at least one zone was just above its min watermark again.",
        )
    return Shortage(
        Cause.NODE_MEMORY,
        Confidence.LOW,
        zones,
        request,
        "When the report was printed, free memory was above the watermarks: other processes freed or used "
        "memory at the same time.",
    )


def _plenty_elsewhere(zones: ZonesState) -> bool:
    marks = sum(state.mark_bytes for state in zones.eligible)
    return zones.unusable_free_bytes >= max(marks, int(zones.managed_bytes * _PLENTY_SHARE), 1)
