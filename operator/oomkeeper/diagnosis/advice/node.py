"""Advice about the node as a whole: its size, and what is scheduled on it."""

from ...model.cause import Cause, ContributorName, Remedy
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.units import bytes_text, share_text
from ..case import Case
from ..contributors import managed_bytes
from ..names import pod_name
from ..zones import HIGHER_ZONES

_HUGE_SHARE = 0.3
_SWAPPED_SHARE = 0.01
"""Of the managed memory: the kernel swaps out less than this without any shortage."""


def grow_node(case: Case) -> Advice | None:
    """Advise more memory, with what the node lacked as far as the report shows."""
    if case.cause is Cause.ZONE_MEMORY:
        return _other_zone(case)
    if case.cause is not Cause.NODE_MEMORY:
        return None
    if case.share(ContributorName.HUGE_PAGES) >= _HUGE_SHARE:
        return _huge_pages(case)
    short = _short(case)
    victim = case.largest_task()
    if victim is None and short is None and case.kill.memory.ram_pages is None:
        return None
    parts = [short] if short is not None else []
    if victim is not None and case.task_bytes(victim) > 0:
        parts.append(
            f"the largest process, {printable(victim.comm)} (pid {victim.pid}), used "
            f"{bytes_text(case.task_bytes(victim))}"
        )
    if case.kill.memory.swap_total_bytes == 0:
        parts.append("the node has no swap")
    fact = "; ".join(parts)
    lead = f"{fact[:1].upper()}{fact[1:]}. " if fact else ""
    return Advice(
        remedy=Remedy.GROW_NODE,
        message=(
            f"{lead}Add memory to the node, run less on it, or limit the largest users so that they reach "
            "their own limits first."
        ),
    )


def _short(case: Case) -> str | None:
    """Return the shortfall: how far the zones were below their marks, and how much was swapped out."""
    zones = case.shortage.zones if case.shortage else None
    lacking = sum(state.shortfall_bytes for state in zones.eligible) if zones is not None else 0
    memory = case.kill.memory
    managed = managed_bytes(memory)
    swapped = 0
    if memory.swap_total_bytes and memory.swap_free_bytes is not None:
        swapped = memory.swap_total_bytes - memory.swap_free_bytes
    if managed is None or swapped < managed * _SWAPPED_SHARE:
        return f"free memory was {bytes_text(lacking)} below the zones' min watermarks" if lacking else None
    marks = f"{bytes_text(lacking)} below the zones' min watermarks and " if lacking else ""
    return (
        f"the node lacked at least {bytes_text(lacking + swapped)}: {marks}{bytes_text(swapped)} swapped out"
    )


def _huge_pages(case: Case) -> Advice:
    reserved = bytes_text(case.size(ContributorName.HUGE_PAGES))
    share = share_text(case.share(ContributorName.HUGE_PAGES))
    return Advice(
        remedy=Remedy.GROW_NODE,
        message=(
            f"{reserved} ({share}) is reserved for huge pages and not available for anything else: lower "
            "vm.nr_hugepages if they are not all used, or add that much memory to the node."
        ),
    )


def _other_zone(case: Case) -> Advice:
    """Advise by the zones that had free memory which this request could not use."""
    zones = case.shortage.zones if case.shortage else None
    short = list(dict.fromkeys(state.zone.name for state in zones.eligible)) if zones else []
    had = zones.unusable_names if zones else ()
    request = case.shortage.request if case.shortage else None
    how = []
    if "HighMem" in had:
        how.append("run a 64-bit kernel, which has no highmem")
    if "CMA" in had:
        how.append("reserve less for CMA (cma=)")
    if "Movable" in had or (HIGHER_ZONES in had and request and request.highest_zone != "DMA32"):
        how.append(
            "reserve less memory for movable pages (movablecore=, kernelcore=, memory blocks onlined as "
            "online_movable)"
        )
    if request is not None and request.highest_zone in ("DMA", "DMA32"):
        how.append("find the driver that allocates memory at low addresses")
    if not how:
        how.append("find what allocates memory from these zones")
    named = f" (here {' and '.join(short)})" if short else ""
    free = f" while {bytes_text(zones.unusable_free_bytes)} was free outside them" if zones else ""
    return Advice(
        remedy=Remedy.GROW_NODE,
        message=(
            f"More RAM alone does not help: the zones that this allocation could use{named} were full{free}. "
            f"{_first_upper(', or '.join(how))}."
        ),
    )


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


_SHARED_CAUSES = frozenset(
    {Cause.NODE_MEMORY, Cause.NODE_ALLOCATABLE_LIMIT, Cause.QOS_LIMIT, Cause.ENCLOSING_LIMIT}
)


def set_missing_limit(case: Case) -> Advice | None:
    """Point to a pod without any request and limit, whose memory is only bounded by the node."""
    cgroup = case.victim_cgroup
    if case.cause not in _SHARED_CAUSES or cgroup is None or cgroup.qos != "BestEffort":
        return None
    name = pod_name(case)
    return Advice(
        remedy=Remedy.MATCH_REQUESTS,
        message=(
            f"{_first_upper(name)} has neither a memory request nor a limit (QoS class BestEffort): it "
            "can use all memory of the node, and the kernel kills its processes first. Set "
            "resources.requests.memory and resources.limits.memory in the pod spec."
        ),
    )


def match_requests(case: Case) -> Advice | None:
    """Point to a container on a full node that uses more than it requests."""
    if case.cause is not Cause.NODE_MEMORY or case.pod is None or case.victim is None:
        return None
    container = case.container
    if container is None or case.victim.anon_rss_bytes is None:
        return None
    used = case.victim.anon_rss_bytes + (case.victim.shmem_rss_bytes or 0)
    asked = container.request_bytes or 0
    if used <= asked or set_missing_limit(case) is not None:
        return None
    return Advice(
        remedy=Remedy.MATCH_REQUESTS,
        message=(
            f"Container {container.name} used {bytes_text(used)} and requests {bytes_text(asked)}: the "
            "scheduler planned with the smaller figure. Raise the request to what it uses, or set it equal "
            "to the limit."
        ),
    )
