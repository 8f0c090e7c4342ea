"""Advice about NUMA nodes, fragmentation, and oom_score_adj."""

from ...model.cause import Cause, Remedy, Scope
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.units import bytes_text
from ..buddy import largest_block_bytes
from ..case import Case, task_pages
from ..contributors import managed_bytes
from ..nodes import allowed_nodes, nodes_with_memory
from ..why_node import free_elsewhere_bytes

_NUMA = frozenset({Cause.NUMA_MEMORY_POLICY, Cause.NUMA_CPUSET})
_MOST_MIN_FREE = 20
"""vm.min_free_kbytes is not advised above a twentieth of the memory: what it keeps free is not available
(Documentation/admin-guide/sysctl/vm.rst warns of instant OOM where it is too high)."""


def spread_numa(case: Case) -> Advice | None:
    """Advise other NUMA nodes, with what the allowed ones lacked and others had free."""
    if case.cause not in _NUMA:
        return None
    known = allowed_nodes(case.kill)
    # A report that ends in a panic does not name them, but show_mem() prints only these.
    allowed = sorted(known or case.kill.memory.node_fields_bytes)
    have = nodes_with_memory(case.kill.memory, case.node)
    others = sorted(have - set(allowed)) if have else []
    elsewhere = free_elsewhere_bytes(case)
    room = f" {bytes_text(elsewhere)} was free elsewhere." if elsewhere else ""
    listed = (
        f" ({', '.join(map(str, allowed))} of {', '.join(map(str, sorted(have)))})"
        if others and allowed and have
        else ""
    )
    policy = "use numactl --preferred or --interleave instead of --membind"
    cpuset = "widen cpuset.mems; on Kubernetes, check where Memory Manager and Topology Manager pin pods"
    how = policy if case.cause is Cause.NUMA_MEMORY_POLICY else cpuset
    if known is None:
        how = f"{policy}, or {cpuset}"
    return Advice(
        remedy=Remedy.SPREAD_NUMA,
        message=(
            f"The process can use only some NUMA nodes{listed}.{_full(case, allowed)}{room} Allow it more "
            f"nodes: {how}."
        ),
    )


def _full(case: Case, allowed: list[int]) -> str:
    """Return ` Node 1 had 34 MiB free of 847 MiB (min watermark 31.3 MiB).` for each allowed node in the
    report."""
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
        words.append(
            f" Node {node} had {bytes_text(free)} free of {bytes_text(managed)} (min watermark "
            f"{bytes_text(mark)})."
        )
    return "".join(words[:4])


def compact_memory(case: Case) -> Advice | None:
    """Advise against fragmentation, with the largest free block and a value for vm.min_free_kbytes."""
    if case.cause is not Cause.FRAGMENTATION or case.kill.invoker is None or case.kill.invoker.order is None:
        return None
    order = case.kill.invoker.order
    block = bytes_text(case.kill.memory.page_size_bytes << order)
    largest = _largest_block(case)
    had = f", and the largest free block it could use was {bytes_text(largest)}" if largest else ""
    return Advice(
        remedy=Remedy.COMPACT_MEMORY,
        message=(
            f"{printable(case.kill.invoker.comm)} requested {block} in one block (order {order}){had}. Raise "
            f"{_min_free(case)} or vm.watermark_scale_factor so that compaction starts earlier, run `echo 1 "
            "> /proc/sys/vm/compact_memory` for immediate relief, and check whether the driver or file "
            "system can use smaller blocks (kvmalloc)."
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
    """Return the sysctl, with old and new value where the report shows all zones: their minima add up to
    it."""
    zones = case.shortage.zones if case.shortage else None
    managed = managed_bytes(case.kill.memory)
    if zones is None or not managed or case.kill.constraint != "CONSTRAINT_NONE":
        return "vm.min_free_kbytes"
    marks = (state.zone.fields_bytes for state in zones.eligible)
    # `min` includes the boost that fragmentation itself causes (5.0, 1c30844d2dfe).
    now = sum(fields.get("min", 0) - fields.get("boost", 0) for fields in marks) // 1024
    wanted = min(2 * now, managed // _MOST_MIN_FREE // 1024)
    return f"vm.min_free_kbytes from about {now} to {wanted}" if 0 < now < wanted else "vm.min_free_kbytes"


def lower_oom_score_adj(case: Case) -> Advice | None:
    """Point to a victim that was killed because of its oom_score_adj rather than its size."""
    victim = case.victim
    if case.scope is Scope.UNKNOWN or victim is None or not victim.oom_score_adj or victim.oom_score_adj < 0:
        return None
    largest = case.largest_task()
    if largest is None:
        return None
    own = next((task for task in case.kill.tasks if task.pid == victim.pid), None)
    if own is None or task_pages(own) * 2 > task_pages(largest):
        return None
    return Advice(
        remedy=Remedy.LOWER_OOM_SCORE_ADJ,
        message=(
            f"{printable(victim.comm)} was killed because of its oom_score_adj of {victim.oom_score_adj}, "
            f"not its size: it used {bytes_text(case.task_bytes(own))}, {printable(largest.comm)} (pid "
            f"{largest.pid}) used {bytes_text(case.task_bytes(largest))}. Lower the value if this process "
            "matters more; Kubernetes sets it from QoS class and request."
        ),
    )
