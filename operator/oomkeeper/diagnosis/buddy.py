"""Is there a free block large enough, of a type that the request may have?"""

from ..model.memory import Zone

_USABLE = frozenset("UME")
"""Unmovable, movable and reclaimable blocks can be had by every request (by fallback). Reserved are H
(highatomic), C (CMA, for movable requests only) and I (isolated)."""


def has_block(zone: Zone, *, order: int, page_size_bytes: int, movable: bool) -> bool | None:
    """Whether the zone's free lists hold a block of 2^order pages; None where they were not printed. Kernels
    before 3.10 print no types, and all their blocks count."""
    if not zone.buddy:
        return None
    wanted = page_size_bytes << order
    for block in zone.buddy:
        if block.free and block.size_bytes >= wanted:
            types = set(block.types)
            if not types or types & _USABLE or (movable and "C" in types):
                return True
    return False


def largest_block_bytes(zone: Zone, *, movable: bool) -> int | None:
    """The largest free block that the request could have; None where there is none or no list was printed."""
    sizes = [
        block.size_bytes
        for block in zone.buddy
        if block.free and (not block.types or set(block.types) & _USABLE or (movable and "C" in block.types))
    ]
    return max(sizes, default=None)
