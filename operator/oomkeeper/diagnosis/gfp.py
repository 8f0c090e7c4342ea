"""Decode the zones that an allocation can use from its gfp mask.

The four zone bits have kept their values since 2.6.31 (include/linux/gfp_types.h, GFP_ZONEMASK): 0x01 DMA,
0x02 HIGHMEM, 0x04 DMA32, 0x08 MOVABLE; so the number is
enough, and the flags' names, which change, are not needed."""

from typing import NamedTuple

from oomkeeper.kernel.lazy import lazy

_DMA, _HIGHMEM, _DMA32, _MOVABLE = 0x01, 0x02, 0x04, 0x08
ZONES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")
_MASK = lazy(r"(?:0x)?([0-9a-fA-F]+)")


class Request(NamedTuple):
    """The zones and page blocks that an allocation can use."""

    highest_zone: str
    movable: bool
    """It can use CMA and movable page blocks."""
    mask: int

    def may_use(self, zone: str) -> bool:
        """Return whether the allocation can use a zone of that name (gfp_zone(); fallback goes to lower
        zones)."""
        return zone in ZONES and ZONES.index(zone) <= ZONES.index(self.highest_zone)


def parse_request(gfp: str | None) -> Request | None:
    """Decode `0xcc0(GFP_KERNEL)` or `d0`; None where there is no mask."""
    match = _MASK.match(gfp) if gfp else None
    if match is None:
        return None
    mask = int(match[1], 16)
    movable = bool(mask & _MOVABLE)
    if mask & _DMA:
        zone = "DMA"
    elif mask & _DMA32:
        zone = "DMA32"
    elif mask & _HIGHMEM:
        zone = "Movable" if movable else "HighMem"
    else:
        zone = "Normal"
    return Request(highest_zone=zone, movable=movable, mask=mask)
