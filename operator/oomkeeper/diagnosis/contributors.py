"""Break memory down by the counters that the report prints, largest first.

Shares are of the usage at the limit (memcg), or of the memory that the kernel manages (global).
"""

from collections.abc import Mapping

from ..model.cause import BindingCounter, ContributorName, Scope
from ..model.diagnosis import Contributor
from ..model.kill import Kill
from ..model.memory import MemoryFacts
from ..model.node import NodeFacts
from .nodes import leaves_out_nodes

_WORTH_NAMING = 0.005
_UNACCOUNTED = 0.03
"""Less than this is rounding, per-CPU batches and struct page."""

_WHOLE_MEM_INFO = frozenset({"active_anon", "inactive_anon", "active_file", "inactive_file", "free"})
"""Counters at the beginning, in the middle and at the end of a whole Mem-Info; all kernels since 2.6.28 have
them."""

Parts = dict[ContributorName, tuple[int, str | None]]


def contributors_of(
    kill: Kill,
    *,
    scope: Scope,
    usage_bytes: int | None,
    binding: BindingCounter | None,
    node: NodeFacts | None,
) -> tuple[Contributor, ...]:
    """Return the parts of the memory that ran out: a cgroup's or the machine's."""
    if scope is Scope.MEMCG:
        usage = usage_bytes
        if usage is None:
            counter = kill.memory.memory or kill.memory.memory_swap
            usage = counter.usage_bytes if counter else None
        return _ranked(_memcg_parts(kill, usage, binding), usage)
    if scope is Scope.GLOBAL:
        managed = managed_bytes(kill.memory) or (node.memory_bytes if node else None)
        return _ranked(_global_parts(kill.memory, managed), managed)
    return ()


def managed_bytes(memory: MemoryFacts) -> int | None:
    """Return RAM minus the memory that the kernel reserved at boot, in bytes."""
    if memory.ram_pages is None:
        return None
    return (memory.ram_pages - (memory.reserved_pages or 0)) * memory.page_size_bytes


def _ranked(parts: Parts, total: int | None) -> tuple[Contributor, ...]:
    found = [
        Contributor(
            name=name,
            bytes=size,
            share=round(min(1.0, size / total), 4) if total and total > 0 else 0.0,
            detail=detail,
        )
        for name, (size, detail) in parts.items()
        if size > 0
    ]
    found.sort(key=lambda part: (-part.bytes, part.name))
    whole = total or sum(part.bytes for part in found)
    return tuple(part for part in found if part.bytes >= whole * _WORTH_NAMING)


# Memory cgroups


def _memcg_parts(kill: Kill, usage: int | None, binding: BindingCounter | None) -> Parts:
    memory = kill.memory
    stats = memory.stats_bytes
    if not stats:
        return {}
    parts = _v1_parts(memory) if "rss" in stats or "total_rss" in stats else _v2_parts(stats)
    if binding is BindingCounter.MEMORY_SWAP and memory.memory_swap and memory.memory:
        swapped = memory.memory_swap.usage_bytes - memory.memory.usage_bytes
        parts[ContributorName.SWAP] = (max(0, swapped), None)
    if usage:
        rest = usage - sum(size for size, _ in parts.values())
        if rest > usage * _UNACCOUNTED:
            parts[ContributorName.UNACCOUNTED] = (rest, None)
    return parts


def _v2_parts(stats: Mapping[str, int]) -> Parts:
    get = stats.get
    shmem, file = get("shmem", 0), get("file", 0)
    dirty = min(get("file_dirty", 0) + get("file_writeback", 0), max(0, file - shmem))
    # `anon` counts mapped pages; pages in the swap cache are on the LRU lists alone.
    anon = max(get("anon", 0), get("inactive_anon", 0) + get("active_anon", 0) - shmem)
    slab = get("slab", get("slab_reclaimable", 0) + get("slab_unreclaimable", 0))
    return {
        ContributorName.ANONYMOUS: (anon, None),
        ContributorName.SHARED_MEMORY: (shmem, None),
        ContributorName.DIRTY_PAGE_CACHE: (dirty, None),
        ContributorName.PAGE_CACHE: (max(0, file - shmem - dirty), None),
        ContributorName.KERNEL_SLAB: (slab, None),
        ContributorName.PAGE_TABLES: (get("pagetables", 0) + get("sec_pagetables", 0), None),
        ContributorName.KERNEL_STACK: (get("kernel_stack", 0), None),
        ContributorName.SOCKETS: (get("sock", 0), None),
        ContributorName.HUGE_PAGES: (get("hugetlb", 0), None),
    }


def _v1_parts(memory: MemoryFacts) -> Parts:
    get = _v1_totals(memory).get
    cache, rss = get("cache", 0), get("rss", 0)
    # `shmem` is printed since about 4.18 (el7 and others lack it); before that, it is what the anonymous LRU
    # lists hold beyond rss.
    shmem = get("shmem", max(0, get("inactive_anon", 0) + get("active_anon", 0) - rss - get("swapcached", 0)))
    shmem = min(shmem, cache)
    dirty = min(get("dirty", 0) + get("writeback", 0), cache - shmem)
    kmem = memory.kmem.usage_bytes if memory.kmem else 0
    return {
        ContributorName.ANONYMOUS: (rss, None),
        ContributorName.SHARED_MEMORY: (shmem, None),
        ContributorName.DIRTY_PAGE_CACHE: (dirty, None),
        ContributorName.PAGE_CACHE: (cache - shmem - dirty, None),
        ContributorName.KERNEL_SLAB: (
            kmem,
            "all kernel memory (slab, stacks, page tables)" if kmem else None,
        ),
    }


def _v1_totals(memory: MemoryFacts) -> dict[str, int]:
    """Return the statistics of the whole subtree: `total_*` where printed (6.5 and newer), else the sum over
    each cgroup's line."""
    stats = memory.stats_bytes
    if "total_rss" in stats:
        return {
            name.removeprefix("total_"): value for name, value in stats.items() if name.startswith("total_")
        }
    totals = dict(stats)
    for child in memory.child_stats_bytes.values():
        for name, value in child.items():
            totals[name] = totals.get(name, 0) + value
    return totals


# The page allocator


def _global_parts(memory: MemoryFacts, managed: int | None) -> Parts:
    pages = memory.mem_info_pages
    unit = memory.page_size_bytes
    top = max(memory.slabs, key=lambda cache: cache.total_bytes, default=None)
    if not pages:
        total = sum(cache.total_bytes for cache in memory.slabs)
        return {ContributorName.KERNEL_SLAB: (total, _cache_name(memory))} if top else {}

    def get(*names: str) -> int:
        return sum(pages.get(name, 0) for name in names) * unit

    shmem = get("shmem")
    file = get("active_file", "inactive_file", "isolated_file")
    unevictable = get("unevictable")
    # tmpfs is on the anonymous lists. Memory locked by mlock(), and ramfs, is on `unevictable`: file pages as
    # far as the page cache exceeds what the file lists and tmpfs hold.
    cached = (memory.pagecache_pages or 0) * unit
    locked_file = min(unevictable, max(0, cached - shmem - file))
    file += locked_file
    dirty = min(get("dirty", "writeback", "unstable"), file)
    lru = get("active_anon", "inactive_anon", "isolated_anon")
    anon = max(0, lru + unevictable - locked_file - shmem)
    huge = sum(line.total * line.size_bytes for line in memory.huge_pages)
    parts: Parts = {
        ContributorName.ANONYMOUS: (anon, None),
        ContributorName.SHARED_MEMORY: (shmem, None),
        ContributorName.DIRTY_PAGE_CACHE: (dirty, None),
        ContributorName.PAGE_CACHE: (file - dirty, None),
        ContributorName.KERNEL_SLAB: (get("slab_unreclaimable", "slab_reclaimable"), _cache_name(memory)),
        ContributorName.PAGE_TABLES: (get("pagetables", "sec_pagetables"), None),
        ContributorName.KERNEL_STACK: (_kernel_stack(memory), None),
        ContributorName.HUGE_PAGES: (huge, None),
    }
    if managed and not leaves_out_nodes(memory) and pages.keys() >= _WHOLE_MEM_INFO:
        # Otherwise counters, or huge pages of nodes, that are not shown would count as unaccounted memory.
        rest = managed - get("free", "free_pcp") - sum(size for size, _ in parts.values())
        if rest > managed * _UNACCOUNTED:
            parts[ContributorName.UNACCOUNTED] = (rest, None)
    return parts


def _kernel_stack(memory: MemoryFacts) -> int:
    """Return kernel stack bytes, which are printed per node since 4.8 and per zone before."""
    nodes = sum(fields.get("kernel_stack", 0) for fields in memory.node_fields_bytes.values())
    return nodes or sum(zone.fields_bytes.get("kernel_stack", 0) for zone in memory.zones)


def _cache_name(memory: MemoryFacts) -> str | None:
    top = max(memory.slabs, key=lambda cache: cache.total_bytes, default=None)
    return top.name if top is not None else None
