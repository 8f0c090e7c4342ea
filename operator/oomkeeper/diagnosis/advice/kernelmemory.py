"""Advice about memory that the kernel holds for itself: slab, page tables, stacks, sockets, and what it does
not count at all."""

from ...model.cause import ContributorName, Remedy, Scope
from ...model.diagnosis import Advice
from ...model.memory import SlabCache
from ..case import NO_SHORTAGE, Case
from ..names import printable
from ..units import percent, size

_SHARE = 0.3
_KERNEL = (
    ContributorName.KERNEL_SLAB,
    ContributorName.PAGE_TABLES,
    ContributorName.KERNEL_STACK,
    ContributorName.SOCKETS,
)


def free_kernel_memory(case: Case) -> Advice | None:
    """The kernel's own memory, with the cache's name where the report has it."""
    share, used = case.share(*_KERNEL), case.size(*_KERNEL)
    if case.cause in NO_SHORTAGE or used == 0:
        return None
    cache = case.largest_slab()
    # Without the counters the table of slabs is there only where they outweighed all else.
    if share < _SHARE and not (share == 0 and cache is not None):
        return _unexplained(case)
    shown = f"{size(used)} ({percent(share)})" if share else size(used)
    if case.size(ContributorName.PAGE_TABLES) * 2 > used:
        what, how = (
            f", {size(case.size(ContributorName.PAGE_TABLES))} of it page tables",
            "Page tables grow with what processes map: many processes that share a large area want huge "
            "pages, and an area mapped sparsely wants to be smaller.",
        )
    else:
        what = _cache(cache, used) if cache is not None else ""
        how = (
            "Compare `slabtop` over time; a cache that only grows is a leak in a driver or file system, or "
            "an object (sockets, open files, dentries) that some process holds."
        )
    return Advice(
        remedy=Remedy.FREE_KERNEL_MEMORY,
        message=f"{shown} belong to the kernel{what}; no kill of another process gives them back. {how}",
    )


def _cache(cache: SlabCache, used_bytes: int) -> str:
    name, held = printable(cache.name), size(cache.total_bytes)
    if cache.total_bytes * 2 > used_bytes:
        return f", most of it ({held}) in slab cache {name}"
    return f", {held} of it in {name}, the largest slab cache that cannot be reclaimed"


def _unexplained(case: Case) -> Advice | None:
    """On a whole machine: pages that a driver or a pipe took from the allocator itself, which none counts."""
    share = case.share(ContributorName.UNACCOUNTED)
    if case.scope is not Scope.GLOBAL or share < _SHARE:
        return None
    return Advice(
        remedy=Remedy.FREE_KERNEL_MEMORY,
        message=(
            f"{size(case.size(ContributorName.UNACCOUNTED))} ({percent(share)}) no counter explains: pages "
            "that pipes, network cards, graphics, a balloon or another driver took from the page allocator "
            "itself. Compare MemTotal with the sum of /proc/meminfo over time, and with the page_owner of a "
            "debug kernel find who takes them."
        ),
    )
