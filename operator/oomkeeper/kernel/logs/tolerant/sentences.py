"""Find the kernel's messages inside a line of other text."""

from collections.abc import Iterator
from itertools import pairwise

from ...lazy import lazy
from .markup import strip_closers

_SENTENCE = lazy(
    rb"(?:Memory cgroup out of memory|Out of memory(?: \(oom_kill_allocating_task\))?): "
    rb"(?:[Kk]ill(?:ed)? process \d|OOM victim \d)"
    rb"|(?:(?<![\w:])(?<!memory: )|(?<=\\n))Kill(?:ed)? process \d+(?:, UID \d+,)? \(.{0,64}?\),?"
    rb"(?: UID \d+,)? (?:total-vm|vsz|score )"
    rb"|Out of memory and no killable processes"
    rb"|Kernel panic - not syncing: (?:[Oo]ut of memory|System is deadlocked on memory)"
    rb"|oom-kill:(?:constraint=|,cpuset=)"
    rb"|oom_reaper: reaped process \d+ \("
    rb"|Tasks in /\S{1,4096} are going to be killed due to memory\.oom\.group set"
    rb"|Task in /\S{0,4096} killed as a result of limit of /"
    rb"|(?:memory|memory\+swap): usage \d+kB, limit \d+kB"
    rb"|Memory cgroup stats for /"
    rb"|[^\s\"'`<>|,;:(]{1,15} invoked oom-killer: gfp_mask="
)
_SUMMARY_END = lazy(rb",pid=\d+,uid=\d+")
LINE_MAX_BYTES = 64 * 1024
"""Longer lines are not searched."""


def sentences_in(line: bytes) -> list[tuple[int, bytes]]:
    """Return (offset, text) of every kernel message in the line, without the text around it."""
    if len(line) > LINE_MAX_BYTES:
        return []
    starts = [found.start() for found in _SENTENCE.finditer(line)]
    return list(_cut(line, starts))


def holds_sentence(line: bytes) -> bool:
    """Return True if the line contains a kernel message."""
    return _SENTENCE.search(line) is not None


def _cut(line: bytes, starts: list[int]) -> Iterator[tuple[int, bytes]]:
    for start, end in pairwise((*starts, len(line))):
        text = line[start:end]
        if text.startswith(b"oom-kill:") and (found := _SUMMARY_END.search(text)):
            text = text[: found.end()]
        yield start, strip_closers(text)
