"""Compare the zones that an allocation could use with the mark that each has to stay above
(__zone_watermark_ok())."""

from typing import NamedTuple

from ..model.memory import MemoryFacts, Zone
from .buddy import has_block
from .gfp import Request

HIGHER_ZONES = "higher zones"
"""Stands for zones that the report does not print because the request could not use them (6.1 and newer)."""


class ZoneState(NamedTuple):
    """One eligible zone."""

    zone: Zone
    usable_free_bytes: int
    """Free memory without the parts that this request cannot use (CMA unless movable, the highatomic reserve)
    and without all but one page of the requested block, which must not come from the reserve."""
    mark_bytes: int
    """min watermark plus the reserve kept from requests that could use a higher zone (lowmem_reserve)."""
    low_mark_bytes: int
    has_block: bool | None
    """A free block of the requested order, where that is above 0; None where not printed."""

    @property
    def short(self) -> bool:
        """Nothing left above the mark."""
        return self.usable_free_bytes <= self.mark_bytes

    @property
    def near(self) -> bool:
        """Between min and low: reclaim was running, and a few frees afterwards raise a zone this far."""
        return self.usable_free_bytes <= self.low_mark_bytes

    @property
    def shortfall_bytes(self) -> int:
        """Bytes missing to the mark."""
        return max(0, self.mark_bytes - self.usable_free_bytes)


class ZonesState(NamedTuple):
    """All zones of a report, split by whether the request could use them."""

    eligible: tuple[ZoneState, ...]
    unusable_free_bytes: int
    """Free memory that the request could not use: higher zones above their own watermark, and CMA."""
    unusable_names: tuple[str, ...]
    managed_bytes: int


def judge_zones(
    memory: MemoryFacts, request: Request, *, order: int, nodes: frozenset[int] | None, every_node: bool
) -> ZonesState:
    """Compare every zone with its mark. `nodes` excludes the zones of other nodes, which kernels before 4.11
    print although the memory policy excludes them; `every_node`: the request could use all nodes."""
    eligible: list[ZoneState] = []
    unusable, managed = 0, 0
    names: list[str] = []
    for zone in memory.zones:
        if nodes is not None and zone.node not in nodes:
            continue
        fields = zone.fields_bytes
        free, cma = fields.get("free", 0), fields.get("free_cma", 0)
        managed += fields.get("managed", fields.get("present", 0))
        if not request.may_use(zone.name):
            spare = free - fields.get("high", 0)
            if spare > 0:
                unusable += spare
                names.append(zone.name)
            continue
        # __zone_watermark_ok() subtracts 2^order - 1 pages from free memory before it compares.
        usable = free - fields.get("reserved_highatomic", 0) - (memory.page_size_bytes << order)
        usable += memory.page_size_bytes
        if not request.movable:
            usable -= cma
            if cma:
                unusable += cma
                names.append("CMA")
        reserve = _reserve_pages(zone, request, memory) * memory.page_size_bytes
        eligible.append(
            ZoneState(
                zone=zone,
                usable_free_bytes=usable,
                mark_bytes=fields.get("min", 0) + reserve,
                low_mark_bytes=fields.get("low", fields.get("min", 0)) + reserve,
                # (Any free page is a block of order 0.)
                has_block=has_block(
                    zone, order=order, page_size_bytes=memory.page_size_bytes, movable=request.movable
                )
                if order
                else None,
            )
        )
    hidden = _hidden_free_bytes(memory, managed) if every_node else 0
    if hidden:
        unusable += hidden
        names.append(HIGHER_ZONES)
    return ZonesState(
        eligible=tuple(eligible),
        unusable_free_bytes=unusable,
        unusable_names=tuple(dict.fromkeys(names)),
        managed_bytes=managed,
    )


def _hidden_free_bytes(memory: MemoryFacts, managed_bytes: int) -> int:
    """Return free memory that no zone line accounts for: since 6.1 (974f4367dd31) zones that the request
    cannot use are not printed, but the count after Mem-Info includes them. The two are read one after the
    other; small differences mean nothing."""
    free = memory.mem_info_pages.get("free")
    if free is None or not memory.zones:
        return 0
    listed = sum(zone.fields_bytes.get("free", 0) for zone in memory.zones)
    hidden = free * memory.page_size_bytes - listed
    return hidden if hidden > max(managed_bytes // 50, 16 << 20) else 0


def _reserve_pages(zone: Zone, request: Request, memory: MemoryFacts) -> int:
    reserve = zone.lowmem_reserve_pages
    if not reserve:
        return 0
    at = _index(request.highest_zone, len(reserve), memory)
    return reserve[at] if 0 <= at < len(reserve) else max(reserve)


def _index(name: str, zones: int, memory: MemoryFacts) -> int:
    """Return the position of a zone in `enum zone_type`, which has only the zones the kernel was built with.
    32-bit kernels have HighMem and no DMA32; the last two are Movable and, since 4.3 where built so,
    Device."""
    highmem = any(zone.name == "HighMem" for zone in memory.zones)
    if name == "DMA":
        return 0
    if highmem:
        return {"DMA32": 1, "Normal": 1, "HighMem": 2, "Movable": 3}.get(name, zones - 1)
    normal = 2 if zones >= 4 else max(0, zones - 2)
    if name == "DMA32":
        return min(1, normal)
    if name in ("Normal", "HighMem"):
        return normal
    return min(normal + 1, zones - 1)
