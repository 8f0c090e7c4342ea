"""Parse the page allocator's state, which show_mem() prints after `Mem-Info:` (mm/show_mem.c; before 6.4
mm/page_alloc.c).

Nodes that the allocation may not use are left out: those outside the cpuset since 2.6.39, those outside the
memory policy since 4.11 (9af744d74317); zones that it may not use since 6.1 (974f4367dd31). So a line's
absence says nothing of a node. The hugepages lines and the counts right after `Mem-Info:` are never filtered.
Kernels without CONFIG_NUMA leave out `Node 0`."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...model.memory import BuddyBlock, HugePages, Zone
from ..lazy import LazySequence, lazy
from .text import KIB

_MAX_DIGITS = 20
_COUNTS = lazy(rb"\s*(?:[a-z_]+:\d{1,20}(?:\s+|\Z))+")
_COUNT = lazy(r"([a-z_]+):(\d{1,20})", re.ASCII)
_NODE = lazy(rb"Node (\d{1,20}) (?=active_anon:)")
_ZONE = lazy(rb"(?:Node (?P<node>\d{1,20}) )?(?P<zone>DMA32|DMA|Normal|HighMem|Movable|Device) free:")
_FIELD = lazy(r"([a-z_]++(?:\([a-z]++\))?+):\s*+(\d{1,20}+)[kK]B", re.ASCII)
"""Possessive: in half the time, and no part of a name or number can belong to what follows."""
_BUDDY = lazy(
    rb"(?:Node (?P<node>\d{1,20}) )?(?P<zone>DMA32|DMA|Normal|HighMem|Movable|Device): "
    rb"(?=\d{1,20}\*\d{1,20}kB)"
)
_BLOCK = lazy(rb"(\d{1,20})\*(\d{1,20})kB(?: \(([A-Z]+)\))?")
_HUGE = lazy(
    rb"(?:Node (\d{1,20}) )?hugepages_total=(\d{1,20}) hugepages_free=(\d{1,20}) "
    rb"hugepages_surp=\d{1,20} hugepages_size=(\d{1,20})kB"
)
_SWAP = lazy(rb"(Free|Total) swap\s*=\s*(\d{1,20})kB")
_PAGES = lazy(
    rb"(\d{1,20}) (?:pages (?:in )?|total )(RAM|HighMem(?:/MovableOnly)?|reserved|pagecache|swap cache)"
)


class ShowMem:
    """Collects the lines of one dump. Only the first dump of an event counts: a second one has another
    source."""

    def __init__(self) -> None:
        self.counts_pages: dict[str, int] = {}
        self.node_fields_bytes: dict[int, Fields] = {}
        self._zones: dict[tuple[int, str], Fields] = {}
        self._reserves: dict[tuple[int, str], tuple[int, ...]] = {}
        self._buddies: dict[tuple[int, str], FreeLists] = {}
        self._last_zone: tuple[int, str] | None = None
        self.huge_pages: list[HugePages] = []
        self.swap_bytes: dict[bytes, int] = {}
        self.totals_pages: dict[bytes, int] = {}

    def take(self, line: bytes) -> bool:
        """Read one line; return False if show_mem() does not print it."""
        reader = _READERS.get(line[:4])
        if reader is not None:
            return reader(self, line)
        if b" pages" in line and line[:1].isdigit():
            match = _PAGES.match(line)
            if match is not None:
                self.totals_pages.setdefault(match[2][:4], int(match[1]))
            return True
        return self._counts(line)

    def _of_node(self, line: bytes) -> bool:
        at = line.find(b" ", len("Node ")) + 1
        what = line[at : at + 4]
        if what == b"acti":
            return self._node(line)
        return self._huge(line) if what == b"huge" else self._of_zone(line)

    def _of_zone(self, line: bytes) -> bool:
        return self._zone(line) or self._buddy(line)

    def _swap(self, line: bytes) -> bool:
        match = _SWAP.match(line)
        if match is not None:
            self.swap_bytes.setdefault(match[1], int(match[2]) * KIB)
        return match is not None

    def _counts(self, line: bytes) -> bool:
        if b":" not in line or _COUNTS.fullmatch(line) is None:
            return False
        names, values = zip(*_COUNT.findall(line.decode()), strict=True)
        counts = dict(zip(names, map(int, values), strict=True))
        if not self.counts_pages and len(counts) == len(names):
            self.counts_pages = counts
            return True
        for name, value in zip(names, values, strict=True):
            self.counts_pages.setdefault(name, int(value))
        return True

    def _node(self, line: bytes) -> bool:
        match = _NODE.match(line)
        if match is None:
            return False
        self.node_fields_bytes.setdefault(int(match[1]), Fields(line))
        return True

    def _zone(self, line: bytes) -> bool:
        match = _ZONE.match(line)
        if match is None:
            return False
        key = int(match["node"] or 0), match["zone"].decode()
        self._last_zone = key if key not in self._zones else None
        self._zones.setdefault(key, Fields(line))
        return True

    def _reserve(self, line: bytes) -> bool:
        if self._last_zone is not None and line.startswith(b"lowmem_reserve[]:"):
            pages = line[17:].split()
            if not b"".join(pages).isdigit() or max(map(len, pages)) > _MAX_DIGITS:
                pages = [text for text in pages if text.isdigit() and len(text) <= _MAX_DIGITS]
            self._reserves[self._last_zone] = tuple(map(int, pages))
        self._last_zone = None
        return True

    def _buddy(self, line: bytes) -> bool:
        match = _BUDDY.match(line)
        if match is None:
            return False
        key = int(match["node"] or 0), match["zone"].decode()
        self._buddies.setdefault(key, FreeLists(line))
        return True

    def _huge(self, line: bytes) -> bool:
        match = _HUGE.match(line)
        if match is None:
            return False
        node, total, free, size = match.groups()
        self.huge_pages.append(
            HugePages(node=int(node or 0), total=int(total), free=int(free), size_bytes=int(size) * KIB)
        )
        return True

    def zones(self) -> tuple[Zone, ...]:
        """Return the zones in the order printed, each with its reserve and its free lists."""
        return tuple(
            Zone(
                node=key[0],
                name=key[1],
                fields_bytes=fields,
                lowmem_reserve_pages=self._reserves.get(key, ()),
                buddy=self._buddies.get(key, ()),
            )
            for key, fields in self._zones.items()
        )

    def page_size_bytes(self) -> int | None:
        """Return the size of the smallest block of a buddy line, or None without one."""
        return next((lists.smallest_bytes for lists in self._buddies.values()), None)


_READERS: dict[bytes, Callable[[ShowMem, bytes], bool]] = {
    b"Node": ShowMem._of_node,
    b"lowm": ShowMem._reserve,
    **dict.fromkeys((b"DMA ", b"DMA:", b"DMA3", b"Norm", b"High", b"Mova", b"Devi"), ShowMem._of_zone),
    **dict.fromkeys((b"Free", b"Tota"), ShowMem._swap),
    b"huge": ShowMem._huge,
}
"""First four bytes of a line -> its reader."""


class FreeLists(LazySequence[BuddyBlock]):
    """The blocks of a buddy line, parsed at first use: only failures of higher orders need them."""

    __slots__ = ("_line", "smallest_bytes")

    def __init__(self, line: bytes) -> None:
        """Take a line with at least one block."""
        super().__init__()
        first = _BLOCK.search(line)
        assert first is not None
        self.smallest_bytes = int(first[2]) * KIB
        self._line = line

    def _load(self) -> Iterable[BuddyBlock]:
        found = _BLOCK.findall(self._line)
        return [BuddyBlock(int(free), int(size) * KIB, types.decode()) for free, size, types in found]


class Fields(Mapping[str, int]):
    """The sizes of a line in bytes, parsed at first use: most verdicts do not need them. The first value of a
    repeated name counts."""

    __slots__ = ("_line", "_read")

    def __init__(self, line: bytes) -> None:
        self._line = line
        self._read: dict[str, int] | None = None

    def _fields(self) -> dict[str, int]:
        if self._read is None:
            self._read = _fields(self._line)
        return self._read

    def __getitem__(self, name: str) -> int:
        return self._fields()[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of `name`, or `default`."""
        return self._fields().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __eq__(self, other: object) -> bool:
        return self._fields() == (other._fields() if isinstance(other, Fields) else other)

    def __hash__(self) -> int:
        return hash(self._line)

    def __repr__(self) -> str:
        return repr(self._fields())


def _fields(line: bytes) -> dict[str, int]:
    found = _FIELD.findall(line.decode("latin-1"))
    fields = {name: int(value) * KIB for name, value in found}
    if len(fields) < len(found):
        fields = {name: int(value) * KIB for name, value in reversed(found)}
    return fields
