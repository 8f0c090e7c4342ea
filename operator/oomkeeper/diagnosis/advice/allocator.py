"""Advice about the node: its size, its NUMA nodes, its free blocks, and who dies first."""

from ...model.cause import Cause, ContributorName, Remedy, Scope
from ...model.diagnosis import Advice
from ..case import Case, task_pages
from ..names import printable
from ..nodes import allowed_nodes, nodes_with_memory
from ..units import percent, size
from ..why_node import free_elsewhere_bytes

_NUMA = frozenset({Cause.NUMA_MEMORY_POLICY, Cause.NUMA_CPUSET})


def grow_node(case: Case) -> Advice | None:
    """How much the node lacked, as far as the report shows."""
    if case.cause is Cause.ZONE_MEMORY:
        zones = case.shortage.zones if case.shortage else None
        short = (
            f" of {', '.join(dict.fromkeys(state.zone.name for state in zones.eligible))}" if zones else ""
        )
        return Advice(
            remedy=Remedy.GROW_NODE,
            message=(
                f"More RAM does not help as such: the low zones{short} are full. Use a 64-bit kernel instead "
                "of highmem, move "
                "CMA (cma=) or device memory elsewhere, or find the driver that asks for low memory."
            ),
        )
    if case.cause is not Cause.NODE_MEMORY:
        return None
    if case.share(ContributorName.HUGE_PAGES) >= 0.3:
        reserved = size(case.size(ContributorName.HUGE_PAGES))
        return Advice(
            remedy=Remedy.GROW_NODE,
            message=(
                f"{reserved} ({percent(case.share(ContributorName.HUGE_PAGES))}) are set aside as huge pages "
                "and serve nothing "
                "else: lower vm.nr_hugepages if they are not all used, or give the node that much more "
                "memory."
            ),
        )
    zones = case.shortage.zones if case.shortage else None
    lacking = sum(state.shortfall_bytes for state in zones.eligible) if zones is not None else 0
    victim = case.largest_task()
    if victim is None and not lacking and case.kill.memory.ram_pages is None:
        return None
    parts = []
    if lacking:
        parts.append(f"At the kill the zones lacked {size(lacking)} to their minimum")
    if victim is not None and case.task_bytes(victim) > 0:
        parts.append(
            f"the largest process, {printable(victim.comm)} (pid {victim.pid}), held "
            f"{size(case.task_bytes(victim))}"
        )
    swap = case.kill.memory.swap_total_bytes
    if swap == 0:
        parts.append("there is no swap to soften a peak")
    fact = "; ".join(parts)
    lead = f"{fact[:1].upper()}{fact[1:]}. " if fact else ""
    return Advice(
        remedy=Remedy.GROW_NODE,
        message=(
            f"{lead}Give the node more memory, run less on it, or limit the largest users so that they meet "
            "their own limit first."
        ),
    )


def spread_numa(case: Case) -> Advice | None:
    """Other nodes had room."""
    if case.cause not in _NUMA:
        return None
    allowed = sorted(allowed_nodes(case.kill) or ())
    have = nodes_with_memory(case.kill.memory, case.node)
    others = sorted(have - set(allowed)) if have else []
    elsewhere = free_elsewhere_bytes(case)
    room = f" {size(elsewhere)} were free elsewhere." if elsewhere else ""
    listed = (
        f" (node {', '.join(map(str, allowed))} only, of {', '.join(map(str, sorted(have)))})"
        if others and have
        else ""
    )
    how = (
        "use numactl --preferred or --interleave instead of --membind"
        if case.cause is Cause.NUMA_MEMORY_POLICY
        else "widen cpuset.mems; on Kubernetes, see where Memory Manager and Topology Manager pin pods"
    )
    return Advice(
        remedy=Remedy.SPREAD_NUMA,
        message=(f"The process may use only some NUMA nodes{listed}.{room} Let it use more of them: {how}."),
    )


def compact_memory(case: Case) -> Advice | None:
    """Free memory in pieces too small."""
    if case.cause is not Cause.FRAGMENTATION or case.kill.invoker is None or case.kill.invoker.order is None:
        return None
    order = case.kill.invoker.order
    block = size(case.kill.memory.page_size_bytes << order)
    return Advice(
        remedy=Remedy.COMPACT_MEMORY,
        message=(
            f"{printable(case.kill.invoker.comm)} wanted {block} in one piece (order {order}). Raise "
            "vm.min_free_kbytes or "
            "vm.watermark_scale_factor so that compaction starts earlier, write 1 to "
            "/proc/sys/vm/compact_memory as first aid, and "
            "see whether the driver or file system can do with smaller pieces (kvmalloc)."
        ),
    )


def match_requests(case: Case) -> Advice | None:
    """A pod on a full node that uses more than it asked the scheduler for."""
    if case.cause is not Cause.NODE_MEMORY or case.pod is None or case.victim is None:
        return None
    container = case.container
    if container is None or case.victim.anon_rss_bytes is None:
        return None
    used = case.victim.anon_rss_bytes + (case.victim.shmem_rss_bytes or 0)
    asked = container.request_bytes or 0
    if used <= asked:
        return None
    return Advice(
        remedy=Remedy.MATCH_REQUESTS,
        message=(
            f"Container {container.name} used {size(used)} and requests {size(asked)}: the scheduler counted "
            "on the smaller figure. "
            "Raise the request to what it uses, or set it equal to the limit."
        ),
    )


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
