"""What filled the memory, as a part of the summary."""

from ..model.cause import ContributorName
from ..model.escaping import printable
from ..model.units import bytes_text, share_text
from .case import Case

_FILLED = {
    ContributorName.SHARED_MEMORY: "shared memory and tmpfs",
    ContributorName.DIRTY_PAGE_CACHE: "page cache not yet written to disk",
    ContributorName.KERNEL_SLAB: "kernel memory",
    ContributorName.PAGE_TABLES: "page tables",
    ContributorName.HUGE_PAGES: "reserved huge pages",
    ContributorName.SOCKETS: "socket buffers",
    ContributorName.UNACCOUNTED: "not accounted for by any counter",
}
_WORTH_NAMING = 0.3


def filled(case: Case) -> str:
    """Return `, 28 MiB (35 %) of it shared memory and tmpfs`; empty where processes' own memory or ordinary
    page cache was the largest part, as everyone expects."""
    if not case.contributors:
        return ""
    top = case.contributors[0]
    phrase = _FILLED.get(top.name)
    if phrase is None or (top.share < _WORTH_NAMING and not (top.share == 0 and top.detail)):
        return ""
    share = f" ({share_text(top.share)})" if top.share else ""
    detail = ""
    cache = case.largest_slab()
    # Only unreclaimable caches are listed, which may be a small part of the kernel memory.
    if top.name is ContributorName.KERNEL_SLAB and cache is not None and cache.total_bytes * 2 >= top.bytes:
        held, all_of_it = bytes_text(cache.total_bytes), bytes_text(top.bytes)
        amount = "all" if held == all_of_it else held
        detail = f" ({amount} in slab cache {printable(cache.name)})"
    return f", {bytes_text(top.bytes)}{share} of it {phrase}{detail}"
