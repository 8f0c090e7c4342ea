"""Parse a memory cgroup's counters and statistics as mem_cgroup_print_oom_meminfo() prints them.

    memory: usage 81920kB, limit 81920kB, failcnt 30                both hierarchies
    memory+swap: usage 0kB, limit 9007199254740988kB, failcnt 0     cgroup v1
    kmem: usage 0kB, limit 9007199254740988kB, failcnt 0            cgroup v1
    swap: usage 0kB, limit 0kB, failcnt 0                           cgroup v2 (since 4.19)
    Memory cgroup stats for /x: cache:0KB rss:20260KB ...           v1 until 5.2: a line per cgroup below B
    Memory cgroup stats for /x:                                     since 5.3 (c8713d0b2312)
    anon 534147072                                                  and so on, in bytes, for the subtree of B

The block that follows the last is one record until 6.4 and a record per line since (seq_buf_do_printk()).
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter

from ...model.memory import Counter
from ..lazy import lazy
from .text import KIB, readable

_COUNTER = lazy(
    rb"(memory\+swap|memory|kmem|swap): usage (\d{1,20})kB, limit (\d{1,20})kB(?:, failcnt (\d{1,20}))?"
)
_LINE_STATS = lazy(rb"Memory cgroup stats for (?P<path>.*?):(?P<stats>(?: \w+:\d{1,20}[kK]B)+)\s*", re.DOTALL)
_LINE_STAT = lazy(rb"(\w+):(\d{1,20})[kK]B")
_BLOCK_HEAD = lazy(rb"Memory cgroup stats for (?P<path>.*?):(?: \w+:\d.*)?\s*", re.DOTALL)
"""Without the colon the path was truncated."""
_NAME_TEXT = rb"[a-z][a-z0-9_]*(?:\([a-z]+\))?"
_NAME = lazy(_NAME_TEXT)
_BLOCK_STAT = lazy(rb"^[ \t]*(" + _NAME_TEXT + rb") (\d{1,20})[ \t\r]*$", re.MULTILINE)
_MAX_DIGITS = 20

_UNLIMITED_KIB = 1 << 50
"""PAGE_COUNTER_MAX in KiB is 9007199254740988 with 4 KiB pages, RES_COUNTER_MAX (before 3.19)
18014398509481983, and less with larger pages on 32 bits; no machine has an EiB."""

_EVENTS = lazy(r"(?:total_)?(?:pg|workingset_|zswpin|zswpout|zswpwb|swpin_|swpout_|pswp|numa_|thp_|nr_|oom_)")
"""Statistics that count events, not bytes. (`anon_thp` and its like, which are bytes, end in thp.)"""


def parse_counter(text: bytes) -> tuple[str, Counter] | None:
    """Return ("memory" | "memory+swap" | "kmem" | "swap", its counter), or None if the line is damaged."""
    match = _COUNTER.match(text)
    if match is None:
        return None
    name, usage, limit, failcnt = match.groups()
    limit_kib = int(limit)
    return name.decode(), Counter(
        usage_bytes=int(usage) * KIB,
        limit_bytes=None if limit_kib >= _UNLIMITED_KIB else limit_kib * KIB,
        failcnt=int(failcnt) if failcnt is not None else None,
    )


def parse_line_stats(text: bytes) -> tuple[str, dict[str, int]] | None:
    """Return (path, statistics in bytes) of a v1 line, or None for another line."""
    match = _LINE_STATS.fullmatch(text)
    if match is None:
        return None
    return readable(match["path"]), {
        name.decode(): int(value) * KIB for name, value in _LINE_STAT.findall(match["stats"])
    }


def parse_block_head(text: bytes) -> str | None:
    """Return the path of a `Memory cgroup stats for /x:` line that a block follows."""
    match = _BLOCK_HEAD.fullmatch(text)
    return readable(match["path"]) if match else None


def parse_block_stats(block: bytes) -> dict[str, int]:
    """Return the statistics in bytes of `name value` lines; other lines are skipped."""
    words = block.split()
    values = words[1::2]
    known = _known_block(block.translate(None, b"0123456789"), tuple(words[::2]), len(values))
    if known is not None and b"".join(values).isdigit() and max(map(len, values)) <= _MAX_DIGITS:
        places, sizes = known
        return dict(zip(sizes, map(int, places(values)), strict=True))
    stats: dict[str, int] = {}
    for name, value in _BLOCK_STAT.findall(block):
        text = _size_name(name)
        if text is not None and text not in stats:
            stats[text] = int(value)
    return stats


@lru_cache(maxsize=16)
def _known_block(
    skeleton: bytes, names: tuple[bytes, ...], values: int
) -> tuple[Callable[[Sequence[bytes]], tuple[bytes, ...]], tuple[str, ...]] | None:
    """Return (getter of the sizes among the values, their names) for a block with a statistic on each line,
    else None. `skeleton` is the block without its digits. A kernel always prints the same names."""
    if not len(names) == len(set(names)) == values or not all(map(_NAME.fullmatch, names)):
        return None
    if skeleton.split(b"\n") != [name + b" " for name in names]:
        return None
    sizes = {at: text for at, text in enumerate(map(_size_name, names)) if text is not None}
    # (Of a single place itemgetter() gives no tuple.)
    return (itemgetter(*sizes), tuple(sizes.values())) if len(sizes) > 1 else None


@lru_cache(maxsize=1024)
def _size_name(name: bytes) -> str | None:
    """Return the name as text, or None if it counts events."""
    text = name.decode()
    return None if _EVENTS.match(text) else text
