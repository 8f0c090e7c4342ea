"""Advice about where and in what pieces memory may be had, and about who dies first."""

from ...model.cause import Cause, Remedy, Scope
from ...model.diagnosis import Advice
from ..buddy import largest_block_bytes
from ..case import Case, task_pages
from ..contributors import managed_bytes
from ..names import printable
from ..nodes import allowed_nodes, nodes_with_memory
from ..units import size
from ..why_node import free_elsewhere_bytes

_NUMA = frozenset({Cause.NUMA_MEMORY_POLICY, Cause.NUMA_CPUSET})
_MOST_MIN_FREE = 20
"""vm.min_free_kbytes is not advised above a twentieth of the memory: what it keeps free nobody can use
(Documentation/admin-guide/sysctl/vm.rst warns of instant OOM where it is too high)."""


def spread_numa(case: Case) -> Advice | None:
    """Which nodes were full, by how much, and what others had."""
    if case.cause not in _NUMA:
        return None
    known = allowed_nodes(case.kill)
    # A report that ends in a panic does not name them; show_mem() prints no others.
    allowed = sorted(known or case.kill.memory.node_fields_bytes)
    have = nodes_with_memory(case.kill.memory, case.node)
    others = sorted(have - set(allowed)) if have else []
    elsewhere = free_elsewhere_bytes(case)
    room = f" {size(elsewhere)} were free elsewhere." if elsewhere else ""
    listed = (
        f" (node {', '.join(map(str, allowed))} only, of {', '.join(map(str, sorted(have)))})"
        if others and allowed and have
        else ""
    )
    policy = "use numactl --preferred or --interleave instead of --membind"
    cpuset = "widen cpuset.mems; on Kubernetes, see where Memory Manager and Topology Manager pin pods"
    how = policy if case.cause is Cause.NUMA_MEMORY_POLICY else cpuset
    if known is None:
        how = f"{policy}, or {cpuset}"
    return Advice(
        remedy=Remedy.SPREAD_NUMA,
        message=(
            f"The process may use only some NUMA nodes{listed}.{_full(case, allowed)}{room} Let it use more "
            f"of them: {how}."
        ),
    )


def _full(case: Case, allowed: list[int]) -> str:
    """` Node 1 had 34 MiB free of 847 MiB, at a minimum of 31.3 MiB.` for each node allowed that the report
    shows."""
    zones = case.shortage.zones if case.shortage else None
    if zones is None:
        return ""
    words = []
    for node in allowed:
        states = [state for state in zones.eligible if state.zone.node == node]
        managed = sum(state.zone.fields_bytes.get("managed", 0) for state in states)
        if not states or not managed:
            continue
        free = max(0, sum(state.usable_free_bytes for state in states))
        mark = sum(state.mark_bytes for state in states)
        words.append(f" Node {node} had {size(free)} free of {size(managed)}, at a minimum of {size(mark)}.")
    return "".join(words[:4])


def compact_memory(case: Case) -> Advice | None:
    """Free memory in pieces too small, and how far vm.min_free_kbytes may go against it."""
    if case.cause is not Cause.FRAGMENTATION or case.kill.invoker is None or case.kill.invoker.order is None:
        return None
    order = case.kill.invoker.order
    block = size(case.kill.memory.page_size_bytes << order)
    largest = _largest_block(case)
    had = f", and the largest free block it could use was {size(largest)}" if largest else ""
    return Advice(
        remedy=Remedy.COMPACT_MEMORY,
        message=(
            f"{printable(case.kill.invoker.comm)} wanted {block} in one piece (order {order}){had}. Raise "
            f"{_min_free(case)} or vm.watermark_scale_factor so that compaction starts earlier, write 1 to "
            "/proc/sys/vm/compact_memory as first aid, and see whether the driver or file system can do with "
            "smaller pieces (kvmalloc)."
        ),
    )


def _largest_block(case: Case) -> int | None:
    zones = case.shortage.zones if case.shortage else None
    request = case.shortage.request if case.shortage else None
    if zones is None or request is None:
        return None
    sizes = [largest_block_bytes(state.zone, movable=request.movable) for state in zones.eligible]
    return max((found for found in sizes if found), default=None)


def _min_free(case: Case) -> str:
    """The sysctl, with from and to where the report shows all zones: their minima add up to it."""
    zones = case.shortage.zones if case.shortage else None
    managed = managed_bytes(case.kill.memory)
    if zones is None or not managed or case.kill.constraint != "CONSTRAINT_NONE":
        return "vm.min_free_kbytes"
    marks = (state.zone.fields_bytes for state in zones.eligible)
    # `min` is printed with the boost that fragmentation itself has caused (5.0, 1c30844d2dfe).
    now = sum(fields.get("min", 0) - fields.get("boost", 0) for fields in marks) // 1024
    wanted = min(2 * now, managed // _MOST_MIN_FREE // 1024)
    return f"vm.min_free_kbytes from about {now} to {wanted}" if 0 < now < wanted else "vm.min_free_kbytes"


def lower_oom_score_adj(case: Case) -> Advice | None:
    """A victim that died for its oom_score_adj rather than its size."""
    victim, largest = case.victim, case.largest_task()
    if (
        case.scope is Scope.UNKNOWN
        or victim is None
        or largest is None
        or not victim.oom_score_adj
        or victim.oom_score_adj < 0
    ):
        return None
    own = next((task for task in case.kill.tasks if task.pid == victim.pid), None)
    if own is None or task_pages(own) * 2 > task_pages(largest):
        return None
    return Advice(
        remedy=Remedy.LOWER_OOM_SCORE_ADJ,
        message=(
            f"{printable(victim.comm)} died for its oom_score_adj of {victim.oom_score_adj}, not its size: "
            f"{printable(largest.comm)} (pid {largest.pid}) used {size(case.task_bytes(largest))} against "
            f"{size(case.task_bytes(own))}. Lower it if this process matters more; Kubernetes sets it by QoS "
            "class and request."
        ),
    )
