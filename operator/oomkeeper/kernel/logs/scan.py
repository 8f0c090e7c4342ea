"""Finds the few OOM reports in a log of many other lines without looking at each line.

Two searches for fixed bytes run over everything: a report's header, and its `oom-kill:` line since 5.0, hold
`oom-kill`, and every kill, panic and failure to kill holds `ut of memory`, in all kernels since 2.6. Where
one of them is found the log is read in full.

How far back: to the line itself where that is the header of a report and its own framing says that the kernel
wrote it, for nothing before it has to do with it. Else as far as is remembered: the header may be lost, the
lines be broken or be the further lines of another's record, which only its beginning tells.

How far on: until nothing came for longer than the longest report is; after a kill line of the kernel's own,
which ends its report, a little is enough.
"""

from collections.abc import Iterator

from oomkeeper.model.log import Logged, LogRecord, count_newlines, singly

from ..lazy import lazy
from .assemble import Assembler
from .blocks import ByteStream, LineBlocks
from .counts import LogCounts
from .evidence import Trace
from .history import History

NEEDLES = (b"oom-kill", b"ut of memory")
JSON_NEEDLES = (b"111,111,109,45,107,105,108,108", b"117,116,32,111,102,32,109,101,109,111,114,121")
"""The same two as journald spells texts that are not UTF-8 in JSON: one number a byte."""
OF_A_REPORT = lazy(
    rb"oom-kill(?:er)?(?::|\s*[\r\n]|\Z)"
    rb"|ut of memory(?:: (?:Kill|compulsory|system-wide|OOM victim)| \(oom_kill_| and no killable"
    rb"|:?\s*\n[\s>]*Kill|:?\s*\Z)"
    rb"|1\d\d,"
)
"""What a needle goes on with in the kernel's words; programs say that they are out of memory too."""
_NEAR_NEEDLES = (
    b" invoked oom",
    b"Killed process ",
    b"Kill process ",
    b"killed as a result of limit",
    b"limit reached of cgroup",
    b"are going to be killed",
    b"Kernel panic - not syncing",
)
"""Searched only while a report is near: what shows that it goes on where the two are cut off or broken
apart."""
_REAPER = b"oom_reaper: "
_KILLS = (b"ut of memory: Kill", b"Killed process ")
ALWAYS_BYTES = 1024 * 1024
"""The beginning of a log is read in full: a pasted report needs no search, and its counts are exact."""
AHEAD_BYTES = 2 * 1024 * 1024
"""Read after a trace of an open report: more than the longest there is, with 20,000 tasks."""
AFTER_BYTES = 64 * 1024
"""Read after the kill that ends one: what belongs to it follows within a few lines, and the next kill,
report or panic is found by itself."""


def read_relevant_records(stream: ByteStream, *, counts: LogCounts | None = None) -> Iterator[LogRecord]:
    """The records of `stream` around everything that has to do with an OOM; all of a log shorter than
    `ALWAYS_BYTES`.

    Gives the same records as `read_records` wherever it gives any, and leaves out none of an OOM report's.
    `counts.lines` counts all lines, `counts.skipped` those that were passed over. Raises what reading the
    stream raises.
    """
    return singly(read_relevant_log(stream, counts=counts))


def read_relevant_log(stream: ByteStream, *, counts: LogCounts | None = None) -> Iterator[Logged]:
    """The same records, the plain ones many at once: for `parse_records`, which is the quicker for it."""
    counts = LogCounts() if counts is None else counts
    history = History(stream)
    blocks = LineBlocks(counts)
    near: Assembler | None = Assembler(counts)
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
            near, pieces = Assembler(counts), _recall(history, found)
            counts.skipped += lines - sum(map(count_newlines, pieces))
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
    """What is read in full of what was passed over, beginning with a line."""
    if history.trace(found) is Trace.HEAD and not history.remembers(b"__CURSOR="):
        # (What journalctl exports may hold a whole log as one entry's text.)
        return [history.from_line(found)]
    return history.recall()


def _until(history: History, needles: tuple[bytes, ...], size: int, *, read: int, until: int) -> int:
    """To where in the stream the log is to be read in full, after the last `size` bytes of the `read`."""
    start, end = history.window(size)
    done = history.last_line(_KILLS, Trace.KILL, start, end)
    if done is not None:
        start, until = done, read - end + done + AFTER_BYTES
    if history.holds(_NEAR_NEEDLES, start, end) or history.holds_any_of(needles, OF_A_REPORT, start, end):
        return max(until, read + AHEAD_BYTES)
    if history.holds((_REAPER,), start, end):
        reaped = history.last_line((_REAPER,), Trace.REAPED, start, end)
        return max(until, read + AHEAD_BYTES if reaped is None else read - end + reaped + AFTER_BYTES)
    return until
