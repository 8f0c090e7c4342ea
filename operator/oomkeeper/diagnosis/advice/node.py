"""Advice about the node as a whole: its size, and who is let onto it."""

from ...model.cause import Cause, ContributorName, Remedy
from ...model.diagnosis import Advice
from ..case import Case
from ..contributors import managed_bytes
from ..names import printable
from ..units import percent, size

_HUGE_SHARE = 0.3
_SWAPPED_SHARE = 0.01
"""Of the managed memory: less in swap is what the kernel had put aside anyway."""


def grow_node(case: Case) -> Advice | None:
    """How much the node lacked, as far as the report shows."""
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
            f"the largest process, {printable(victim.comm)} (pid {victim.pid}), held "
            f"{size(case.task_bytes(victim))}"
        )
    if case.kill.memory.swap_total_bytes == 0:
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


def _short(case: Case) -> str | None:
    """The shortfall: what the zones lacked to their marks, and what had been swapped out to get that far."""
    zones = case.shortage.zones if case.shortage else None
    lacking = sum(state.shortfall_bytes for state in zones.eligible) if zones is not None else 0
    memory = case.kill.memory
    managed = managed_bytes(memory)
    swapped = 0
    if memory.swap_total_bytes and memory.swap_free_bytes is not None:
        swapped = memory.swap_total_bytes - memory.swap_free_bytes
    if managed is None or swapped < managed * _SWAPPED_SHARE:
        return f"at the kill the zones lacked {size(lacking)} to their minimum" if lacking else None
    marks = f"{size(lacking)} to the zones' minimum and " if lacking else ""
    return (
        f"at the kill the node was short of at least {size(lacking + swapped)}: {marks}{size(swapped)} that "
        "was swapped out"
    )


def _huge_pages(case: Case) -> Advice:
    reserved = size(case.size(ContributorName.HUGE_PAGES))
    share = percent(case.share(ContributorName.HUGE_PAGES))
    return Advice(
        remedy=Remedy.GROW_NODE,
        message=(
            f"{reserved} ({share}) are set aside as huge pages and serve nothing else: lower vm.nr_hugepages "
            "if they are not all used, or give the node that much more memory."
        ),
    )


def _other_zone(case: Case) -> Advice:
    """What keeps the free memory from this request, by the zones that had it."""
    zones = case.shortage.zones if case.shortage else None
    short = list(dict.fromkeys(state.zone.name for state in zones.eligible)) if zones else []
    had = zones.unusable_names if zones else ()
    request = case.shortage.request if case.shortage else None
    how = []
    if "HighMem" in had:
        how.append("run a 64-bit kernel, which needs no highmem")
    if "CMA" in had:
        how.append("reserve less for CMA (cma=)")
    if "Movable" in had or ("zones above" in had and request and request.highest_zone != "DMA32"):
        how.append(
            "keep less memory for movable pages alone (movablecore=, kernelcore=, blocks onlined as "
            "online_movable)"
        )
    if request is not None and request.highest_zone in ("DMA", "DMA32"):
        how.append("find the driver that asks for memory at low addresses")
    if not how:
        how.append("find what asks for memory of these zones")
    named = f" (here {' and '.join(short)})" if short else ""
    free = f" while {size(zones.unusable_free_bytes)} were free outside them" if zones else ""
    return Advice(
        remedy=Remedy.GROW_NODE,
        message=(
            f"More RAM does not help as such: the zones that this request could use{named} were full{free}. "
            f"{_first_upper(', or '.join(how))}."
        ),
    )


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


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
