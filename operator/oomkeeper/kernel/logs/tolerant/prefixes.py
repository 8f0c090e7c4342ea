"""Learn the prefix that a tool put before every line of a report: `grep -n`, a host name, a container's
name."""

import re
from collections import Counter

from ...lazy import lazy
from ..broken_lines.line_kinds import KNOWN_START
from ..formats.detect import find_frame

_MARKS = (
    b"CPU: ",
    b"Hardware name:",
    b"Call Trace:",
    b"Mem-Info:",
    b"active_anon:",
    b"lowmem_reserve[]:",
    b"Tasks state (",
    b"total_vm",
    b"oom-kill:constraint=",
    b"total pagecache pages",
    b"Memory cgroup out of memory: Kill",
    b"Out of memory: Kill",
    b"memory: usage ",
    b"Memory cgroup stats for ",
)
"""Words of a report's lines. Each is searched a few times a block, so a block without a report costs
little."""
_TRIES = 3
_PREFIX_MAX_BYTES = 120
_MOST_SHAPES = 4
_LEAST_LINES = 2
"""Lines that must have the same prefix."""
_START = lazy(
    rb"\[ *\d+\.\d{1,9}\]|CPU: \d+ (?:UID|PID): |Hardware name: |Call Trace:|Mem-Info:|active_anon:\d"
    rb"|Node \d+ \w+ free:|Node \d+ active_anon:|lowmem_reserve\[\]:|\[ *pid *\]|Tasks state \(memory"
    rb"|oom-kill:constraint=|\d+ total pagecache pages|(?:Memory cgroup out of memory|Out of memory): Kill"
    rb"|memory: usage \d+kB|Memory cgroup stats for "
)
_GREP = lazy(rb"(?:[\w./@-]{1,100}[:-])?(?:\d{1,9}[:-])?(?=.)")
_DIGITS = lazy(rb"\d+")


class Prefixes:
    """The prefixes learned from one log."""

    def __init__(self) -> None:
        self._shapes: list[re.Pattern[bytes]] = []
        self._learned: set[bytes] = set()

    def learn(self, block: bytes) -> None:
        """Learn from the lines of a block, before they are read."""
        if len(self._shapes) >= _MOST_SHAPES:
            return
        found = Counter(_shape(prefix) for prefix in _prefixes(block))
        for shape, lines in found.most_common(_MOST_SHAPES - len(self._shapes)):
            if lines >= _LEAST_LINES and shape not in self._learned:
                self._learned.add(shape)
                self._shapes.append(re.compile(shape))

    @property
    def known(self) -> bool:
        """True if a prefix was learned."""
        return bool(self._shapes)

    def strip(self, line: bytes) -> bytes:
        """Return the line without a learned prefix."""
        for shape in self._shapes:
            if found := shape.match(line):
                return line[found.end() :]
        return line


def strip_grep(line: bytes) -> bytes | None:
    """Return the line without the file name and line number of grep if a framed line follows, else None."""
    found = _GREP.match(line)
    if found is None or not found.end():
        return None
    rest = line[found.end() :]
    return rest if find_frame(rest) is not None else None


def _prefixes(block: bytes) -> list[bytes]:
    prefixes = []
    for mark in _MARKS:
        at = block.find(mark)
        for _ in range(_TRIES):
            if at < 0:
                break
            start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
            if (prefix := _prefix_of(block[start:end])) is not None:
                prefixes.append(prefix)
            at = block.find(mark, end) if end >= 0 else -1
    return prefixes


def _prefix_of(line: bytes) -> bytes | None:
    if line.lstrip()[:1] in (b"{", b'"'):
        return None  # JSON: its strings have escapes
    frame = find_frame(line)
    if KNOWN_START.match(line.lstrip()) or (frame is not None and not frame.unknown_writer):
        return None
    if (rest := strip_grep(line)) is not None:
        return line[: len(line) - len(rest)]
    start = _START.search(line, 1, _PREFIX_MAX_BYTES + 20)
    if start is None or start.start() > _PREFIX_MAX_BYTES or not line[: start.start()].strip():
        return None
    return line[: start.start()]


def _shape(prefix: bytes) -> bytes:
    """Return a pattern of the prefix with any numbers; grep writes `-` for `:` before context lines."""
    return b"\\d+".join(map(re.escape, _DIGITS.split(prefix))).replace(b"\\-", b":").replace(b":", b"[:-]")
