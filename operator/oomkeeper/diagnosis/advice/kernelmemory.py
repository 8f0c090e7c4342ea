"""Advice about kernel memory: slab, page tables, stacks, sockets, and memory that no counter accounts for."""

from ...model.cause import ContributorName, Remedy, Scope
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.memory import SlabCache
from ...model.units import bytes_text, share_text
from ..case import NO_SHORTAGE, Case

_SHARE = 0.3
_KERNEL = (
    ContributorName.KERNEL_SLAB,
    ContributorName.PAGE_TABLES,
    ContributorName.KERNEL_STACK,
    ContributorName.SOCKETS,
)


def free_kernel_memory(case: Case) -> Advice | None:
    """Point to kernel memory, with the slab cache's name where the report has it."""
    share, used = case.share(*_KERNEL), case.size(*_KERNEL)
    if case.cause in NO_SHORTAGE or used == 0:
        return None
    cache = case.largest_slab()
    # Without counters, the kernel prints the slab table only if slab outweighs everything else.
    if share < _SHARE and not (share == 0 and cache is not None):
        return _unexplained(case)
    shown = f"{bytes_text(used)} ({share_text(share)})" if share else bytes_text(used)
    if case.size(ContributorName.PAGE_TABLES) * 2 > used:
        what, how = (
            f", {bytes_text(case.size(ContributorName.PAGE_TABLES))} of it page tables",
            "Page tables grow with the mapped address space: use huge pages where many processes share a "
            "large area, and map less where a large area is used sparsely.",
        )
    else:
        what = _cache(cache, used) if cache is not None else ""
        how = (
            "Compare the output of `slabtop` over time: a cache that only grows indicates a leak in a "
            "driver or file system, or objects (sockets, open files, dentries) that a process keeps."
        )
    return Advice(
        remedy=Remedy.FREE_KERNEL_MEMORY,
        message=f"{shown} is kernel memory{what}; killing other processes does not free it. {how}",
    )


def _cache(cache: SlabCache, used_bytes: int) -> str:
    name, held = printable(cache.name), bytes_text(cache.total_bytes)
    if cache.total_bytes * 2 > used_bytes:
        return f", most of it ({held}) in slab cache {name}"
    return f", {held} of it in {name}, the largest slab cache that cannot be reclaimed"


def _unexplained(case: Case) -> Advice | None:
    """Point to pages of the whole machine that a driver or pipe allocated directly, which no counter
    shows."""
    share = case.share(ContributorName.UNACCOUNTED)
    if case.scope is not Scope.GLOBAL or share < _SHARE:
        return None
    return Advice(
        remedy=Remedy.FREE_KERNEL_MEMORY,
        message=(
            f"{bytes_text(case.size(ContributorName.UNACCOUNTED))} ({share_text(share)}) is not accounted "
            "for by any counter: pages that pipes, network, graphics, balloon or other drivers allocated "
            "directly. Compare MemTotal with the sum of the other counters in /proc/meminfo over time; on a "
            "debug kernel, page_owner shows what allocated them."
        ),
    )
