"""The state of memory as one OOM report prints it. Bytes unless the name says otherwise; None where it was
not printed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Counter(NamedTuple):
    """One of a memory cgroup's counters: `memory: usage 81920kB, limit 81920kB, failcnt 30`."""

    usage_bytes: int
    limit_bytes: int | None
    """None when the limit is one of the kernel's "unlimited" values (PAGE_COUNTER_MAX printed in kB)."""
    failcnt: int | None = None


class Zone(NamedTuple):
    """One zone's line of show_mem(): `Node 0 DMA32 free:22324kB min:44676kB ...`."""

    node: int
    """NUMA node; 0 where the kernel prints none (no CONFIG_NUMA)."""
    name: str
    """DMA, DMA32, Normal, HighMem, Movable, Device."""
    fields_bytes: Mapping[str, int]
    """Every `name:<n>kB` of the line, in bytes: free, min, low, high, boost, reserved_highatomic, managed,
    free_cma..."""
    lowmem_reserve_pages: tuple[int, ...] = ()
    buddy: Sequence["BuddyBlock"] = ()
    """The zone's free lists, smallest block first."""


class BuddyBlock(NamedTuple):
    """One entry of a buddy line: `3*32kB (UME)`."""

    free: int
    """How many blocks of that size."""
    size_bytes: int
    types: str
    """Migrate types with a free block: U unmovable, M movable, E reclaimable, H highatomic, C CMA, I
    isolated."""


class HugePages(NamedTuple):
    """`Node 0 hugepages_total=4 hugepages_free=4 hugepages_surp=0 hugepages_size=1048576kB`."""

    node: int
    total: int
    free: int
    size_bytes: int


class SlabCache(NamedTuple):
    """One line of `Unreclaimable slab info:`."""

    name: str
    used_bytes: int
    total_bytes: int


class MemoryFacts(NamedTuple):
    """Everything a report says of memory, unjudged."""

    page_size_bytes: int = 4096
    """From the smallest block of a buddy line where there is one (64 KiB on ppc64le and some arm64)."""
    memory: Counter | None = None
    memory_swap: Counter | None = None
    """cgroup v1 memory+swap."""
    kmem: Counter | None = None
    swap: Counter | None = None
    """cgroup v2 swap alone."""
    stats_bytes: Mapping[str, int] = {}
    """The OOM cgroup's statistics by the kernel's own names, in bytes: v2 `anon`, `file`,
    `slab_unreclaimable`...; v1 `cache`, `rss`, `shmem`... (v1 names as printed in `Memory cgroup stats for
    /x: cache:0KB rss:...`). Counts of events (pgfault...) are left out."""
    child_stats_bytes: Mapping[str, Mapping[str, int]] = {}
    """cgroup v1 prints one statistics line per descendant: path -> statistics."""
    mem_info_pages: Mapping[str, int] = {}
    """The counts after `Mem-Info:` in pages: active_anon, slab_unreclaimable, free, free_cma..."""
    node_fields_bytes: Mapping[int, Mapping[str, int]] = {}
    """The per-node line of show_mem() (4.8 and newer): node -> fields in bytes."""
    zones: tuple[Zone, ...] = ()
    huge_pages: tuple[HugePages, ...] = ()
    swap_free_bytes: int | None = None
    swap_total_bytes: int | None = None
    ram_pages: int | None = None
    highmem_pages: int | None = None
    reserved_pages: int | None = None
    pagecache_pages: int | None = None
    """`total pagecache pages` without those in swap cache: files, tmpfs and ramfs, on whatever list."""
    slabs: tuple[SlabCache, ...] = ()
    slab_dumped: bool = False
    """`Unreclaimable slab info:` was printed, with or without rows left: since 4.15 (852d8be0ad8b) the
    kernel does so when unreclaimable slab outweighs all pages of processes and files."""
