"""Find free blocks that are large enough and of a type that the request can use."""

from ..model.memory import Zone

_USABLE = frozenset("UME")
"""Every request can use unmovable, movable and reclaimable blocks (by fallback). H (highatomic), C (CMA, for
movable requests only) and I (isolated) are reserved."""


def has_block(zone: Zone, *, order: int, page_size_bytes: int, movable: bool) -> bool | None:
    """Return whether the zone's free lists hold a block of 2^order pages; None where they were not printed.
    Kernels before 3.10 print no types, and all their blocks count."""
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
    """Return the largest free block that the request could use; None without one or without a free list."""
    sizes = [
        block.size_bytes
        for block in zone.buddy
        if block.free and (not block.types or set(block.types) & _USABLE or (movable and "C" in block.types))
    ]
    return max(sizes, default=None)
