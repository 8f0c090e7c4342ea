"""Parse `Unreclaimable slab info:`, printed since 4.15 (852d8be0ad8b) when unreclaimable slab outweighs every
page on the LRU lists (should_dump_unreclaim_slab()): its mere presence says that the kernel's own caches fill
the node.

    Name                      Used          Total
    kmemleak_object       878221KB     879281KB
"""

from ...model.memory import SlabCache
from ..lazy import lazy
from .text import KIB, readable

_ROW_BYTES = 200
_ROW = lazy(rb"(\S.*?)\s+(\d{1,20})KB\s+(\d{1,20})KB\s*")


def is_slab_title(line: bytes) -> bool:
    """Return True for the title of the table."""
    return line.startswith(b"Unreclaimable slab info:")


def parse_slab_row(line: bytes) -> SlabCache | None:
    """Return one cache, or None if the line is not a row (the column names, or the end of the table)."""
    match = _ROW.fullmatch(line) if len(line) <= _ROW_BYTES else None
    if match is None:
        return None
    return SlabCache(name=readable(match[1]), used_bytes=int(match[2]) * KIB, total_bytes=int(match[3]) * KIB)
