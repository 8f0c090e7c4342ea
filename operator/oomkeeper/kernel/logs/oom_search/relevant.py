"""Read the records near OOM reports, and skip the rest of a large log.

Two searches for fixed bytes run over the whole log: the header of a report, and its `oom-kill:` line since
5.0, contain `oom-kill`; every kill, panic and failure to kill contains `ut of memory`, in all kernels since
2.6. Near a match the log is read in full.

How far back: to the matching line itself if it is the header of a report and its own framing shows that the
kernel wrote it. Otherwise as far as the history reaches: the header may be missing, the lines may be broken,
or they may be the further lines of another record, which only its beginning shows.

How far forward: until no match came for longer than the longest report; a little is enough after a kill line
of the kernel, which ends its report.
"""

from collections.abc import Iterator

from oomkeeper.model.log import LogRecord

from ...lazy import lazy
from ..assembler import Assembler
from ..counts import LogCounts
from ..line_blocks import ByteStream, LineBlocks
from ..tolerant.reading import TolerantReading
from .history import History, count_newlines
from .landmarks import Landmark

NEEDLES = (b"oom-kill", b"ut of memory")
JSON_NEEDLES = (b"111,111,109,45,107,105,108,108", b"117,116,32,111,102,32,109,101,109,111,114,121")
"""The same two as journald writes texts that are not UTF-8 in JSON: one number a byte."""
OF_A_REPORT = lazy(
    rb"oom-kill(?:er)?(?::|'|\s*[\r\n]|\Z)"
    rb"|ut of memory(?:: (?:Kill|compulsory|system-wide|OOM victim)| \(oom_kill_| and no killable| in UB "
    rb"|:?\s*\n[\s>]*Kill|:?\s*\Z)"
    rb"|1\d\d,"
)
"""How the kernel's text continues after a needle; programs report that they are out of memory, too."""
_NEAR_NEEDLES = (
    b" invoked oom",
    b"Killed process ",
    b"Kill process ",
    b"killed as a result of limit",
    b"limit reached of cgroup",
    b"are going to be killed",
    b"Kernel panic - not syncing",
)
"""Searched only near a report: they show that it continues where the two needles were cut or broken."""
_REAPER = b"oom_reaper: "
_KILLS = (b"ut of memory: Kill", b"Killed process ")
ALWAYS_BYTES = 512 * 1024
"""The beginning of a log is read in full: a pasted report needs no search, and its counts are exact."""
AHEAD_BYTES = 2 * 1024 * 1024
"""Read in full after a match in an open report: more than the longest report, with 20,000 tasks."""
AFTER_BYTES = 16 * 1024
"""Read in full after the kill that ends a report: the lines that belong to it follow soon, and the next kill,
report or panic is found by itself."""


def read_relevant_records(
    stream: ByteStream, *, counts: LogCounts | None = None, tolerant: TolerantReading | None = None
) -> Iterator[LogRecord]:
    """Yield the records of `stream` near OOM reports; all records of a log shorter than `ALWAYS_BYTES`. Reads
    strictly unless `tolerant` is given, which is for files that a person hands in.

    They are the records that `read_records` yields there, and no record of an OOM report is missing.
    `counts.lines` counts all lines, `counts.skipped` those that were skipped. Raises what reading the stream
    raises.
    """
    counts = LogCounts() if counts is None else counts
    history = History(stream)
    blocks = LineBlocks(counts)
    near: Assembler | None = Assembler(counts, tolerant=tolerant)
    needles: tuple[bytes, ...] = NEEDLES
    read = 0
    until = ALWAYS_BYTES
    while (size := history.read()) > 0:
        lines = history.newlines(size)
        counts.lines += lines
        if read == 0 and history.newest(size)[:1] == b"{":
            needles = (*NEEDLES, *JSON_NEEDLES)
        read += size
        if near is None:
            if (found := history.first(needles, OF_A_REPORT, size)) is None:
                counts.skipped += lines
                continue
            pieces = _recall(history, found)
            recalled = sum(map(count_newlines, pieces))
            near = Assembler(counts, tolerant=tolerant, first_line=counts.lines - recalled + 1)
            counts.skipped += lines - recalled
        else:
            pieces = [history.newest(size)]
        until = max(ALWAYS_BYTES, _until(history, needles, size, read=read, until=until))
        left = history.cut(read - until) if until < read else 0
        if left:
            counts.skipped += count_newlines(pieces[-1][-left:])
            pieces[-1] = pieces[-1][:-left]
        for data in pieces:
            if (block := blocks.push(data)) is not None:
                yield from near.feed(block)
        if until < read:
            yield from near.finish()
            near = None
            history.forget(left=left, begun_line=blocks.rest())
    begun = read > 0 and not history.ends_a_line()
    counts.lines += begun
    if near is not None:
        if rest := blocks.rest():
            yield from near.feed(rest + b"\n")
        yield from near.finish()
    else:
        counts.skipped += begun


def _recall(history: History, found: int) -> list[bytes]:
    """Return the part of the history that is to be read in full, from the beginning of a line on."""
    if history.landmark(found) is Landmark.HEADER and not history.holds_anywhere(b"__CURSOR="):
        # (An export of journalctl may hold a whole log as the text of one entry.)
        return [history.from_line(found)]
    return history.recall()


def _until(history: History, needles: tuple[bytes, ...], size: int, *, read: int, until: int) -> int:
    """Return the offset in the stream up to which the log is to be read in full, after the last `size` of the
    `read` bytes."""
    start, end = history.window(size)
    done = history.last_line(_KILLS, Landmark.KILL, start, end)
    if done is not None:
        start, until = done, read - end + done + AFTER_BYTES
    if history.holds(_NEAR_NEEDLES, start, end) or history.holds_any_of(needles, OF_A_REPORT, start, end):
        return max(until, read + AHEAD_BYTES)
    if history.holds((_REAPER,), start, end):
        reaped = history.last_line((_REAPER,), Landmark.REAPED, start, end)
        return max(until, read + AHEAD_BYTES if reaped is None else read - end + reaped + AFTER_BYTES)
    return until
