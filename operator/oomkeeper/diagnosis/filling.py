"""What filled the memory, in words."""

from ..model.cause import ContributorName
from .case import Case
from .names import printable
from .units import percent, size

_FILLED = {
    ContributorName.SHARED_MEMORY: "shared memory and tmpfs",
    ContributorName.DIRTY_PAGE_CACHE: "page cache not yet written to disk",
    ContributorName.KERNEL_SLAB: "kernel memory",
    ContributorName.PAGE_TABLES: "page tables",
    ContributorName.HUGE_PAGES: "huge pages set aside",
    ContributorName.SOCKETS: "socket buffers",
    ContributorName.UNACCOUNTED: "memory that no counter explains",
}


def filled(case: Case) -> str:
    """Named only where it is not what everybody expects, the processes' own memory."""
    if not case.contributors:
        return ""
    top = case.contributors[0]
    phrase = _FILLED.get(top.name)
    if phrase is None or (top.share < 0.3 and not (top.share == 0 and top.detail)):
        return ""
    share = f" ({percent(top.share)})" if top.share else ""
    detail = ""
    if top.name is ContributorName.KERNEL_SLAB and (cache := case.largest_slab()) is not None:
        detail = f", {size(cache.total_bytes)} of it in slab cache {printable(cache.name)}"
    return f", mostly filled by {phrase}: {size(top.bytes)}{share}{detail}"
