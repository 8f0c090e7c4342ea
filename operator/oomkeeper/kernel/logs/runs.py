"""Stretches of a block that hold nothing but plain lines, taken in one call.

What is said of a line here is said of it line by line elsewhere, with the same result and at several times
the cost: by `columns` where lines are framed, by `Assembler._line` where they are bare. So a pattern may
pass over a line that is plain, and never take one that is not.
"""

from oomkeeper.model.log import LogRecord, LogRun

from ..lazy import lazy
from .columns import LEVEL_OF, RUN_ON_BYTES
from .fast import Fast, Layout
from .grammar import MEM_INFO_REST_TEXT
from .runon import split_run_on
from .wall import normalise

LEAST_BYTES = 1024
"""A shorter stretch is not worth it."""
RECORD_MAX_BYTES = 64 * 1024
"""Continuation lines beyond it are dropped; printk's own bound is 1 KiB, the largest memcg statistics are 5
KiB."""
KEPT_RECORDS = 6
"""As many of the last records of a stretch are given singly: a fragment that follows looks for the line that
it belongs to among them."""


def framed_run(block: bytes, layout: Layout, fast: Fast) -> LogRun | None:
    """The records of a block, all of whose lines `layout.pattern` took; None where a line holds several."""
    lines = block[:-1].split(b"\n")
    width = layout.width
    texts = [line[width:] for line in lines]
    if fast.escape in block:
        escape, decode = fast.escape, fast.decode
        texts = [decode(text) if escape in text else text for text in texts]
    longest = max(map(len, lines)) - width
    walls: dict[bytes, str] = {}
    level, date, uptime, caller = layout.level, layout.date, layout.uptime, layout.caller

    def record(at: int) -> LogRecord:
        line = lines[at]
        wall = None
        if date is not None and (wall := walls.get(line[date])) is None:
            wall = walls[line[date]] = normalise(line[date])
        return LogRecord(
            texts[at],
            int(line[uptime].replace(b".", b"")) if uptime is not None else None,
            wall,
            None,
            caller,
            LEVEL_OF[line[1:2]] if level else None,
        )

    if longest >= RUN_ON_BYTES:
        for at, line in enumerate(lines):
            if len(line) - width >= RUN_ON_BYTES and len(split_run_on(record(at))) > 1:
                return None
    return LogRun(texts, caller=caller, record=record)


def foreign_run(block: bytes, layout: Layout) -> LogRun:
    """The records of a block, all of whose lines `layout.foreign` took."""
    lines = block[:-1].split(b"\n")
    date_end = layout.date.stop - layout.date.start if layout.date is not None else 0
    walls: dict[bytes, str] = {}
    texts = [line[layout.foreign_width :] for line in lines]

    def record(at: int) -> LogRecord:
        date = lines[at][:date_end]
        if (wall := walls.get(date)) is None:
            wall = walls[date] = normalise(date)
        return LogRecord(text=texts[at], wall=wall, kernel=False)

    return LogRun(texts, kernel=False, record=record)


_ROW = rb"\[ *\d+\] +\d+ +\d+ +\d+ +\d+ .*[^\s\d-]"
_FRAME = rb" (?:\? )?[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x| \[<[0-9a-f]{8}"
BARE_ROW = lazy(_ROW + rb"\Z|" + _FRAME)
"""The bulk of an unstamped report: table rows and the call trace."""
_PLAIN = (
    rb"(?:Node \d+ |lowmem_reserve\[\]:|active_anon:\d+ |\d+ (?:total pagecache|pages )"
    rb"|(?:Free|Total) swap\b)[^|#\\\[\n]*"
)
BARE_PLAIN = lazy(_PLAIN + rb"\Z")
"""What else begins as only a report's line does, and has nothing in it that a framing, a quote or an escape
is told by: `_line` could but take it as it is."""

# The same in stretches, with three things more. Lines that `KNOWN_START` knows and no framing begins with,
# without the two kinds after which a line may be theirs (`Assembler._announced`).
_KNOWN = (
    rb"(?:CPU: \d+ (?:UID|PID): |(?:Hardware name|Workqueue|Mem-Info|Swap cache stats): ?"
    rb"|Tasks state |oom-kill:constraint=|(?:memory|memory\+swap|kmem|swap): usage \d)"
    rb"[^|#\\\[\n]*(?:#(?!0)[^|#\\\[\n]*)*"
    rb"|\[ *pid *\](?: +[a-z_]+)*|\[ *\d+\] +\d+ +\d+ [^|#\\\[\n]*"
)
# The rest of a call trace: after one of its functions nothing can be the rest of a broken line.
_FUNCTION = rb" (?:\? )?[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?"
_TRACE = (
    rb"(?:" + _FUNCTION + rb"|Call Trace:)\n"
    rb"(?:(?:" + _FUNCTION + rb"| </?[A-Z]+>"
    rb"|R[A-Z\d]{2}: [0-9a-f]+(?::[0-9a-f]+)?(?: [A-Z\d_]+: [0-9a-f]+)*|RIP: [0-9a-f]{4}:[\w.+/]+"
    rb"|Code: (?:[0-9a-f<> ]+|Unable to access opcode bytes at (?:RIP )?0x[0-9a-f]+\.))\n)*+"
)
# The counts after Mem-Info, which are one record.
_COUNTS = (
    rb"active_anon:\d+(?: [a-z_]+:\d+)+\n"
    rb"(?:(?= [a-z])" + MEM_INFO_REST_TEXT + rb"(?: [a-z_]+:\d+)*\n)*+"
)
_COUNTS_RECORD = lazy(_COUNTS)
_BARE_RUN = lazy(
    rb"(?:(?:"
    + _KNOWN
    + rb"|(?!active_anon:)"
    + _PLAIN
    + rb"|"
    + _ROW
    + rb"| \[<[0-9a-f]{8}.*)\n|"
    + _TRACE
    + rb"|"
    + _COUNTS
    + rb")++"
)


def bare_run(block: bytes, at: int) -> tuple[LogRun | None, int]:
    """The records of the plain bare lines from `at` on, and where the line after them begins; where they are
    too few to be worth it, None, and from where on it may be worth to ask again.

    The last plain line is never among them, so that it leaves behind whatever it does."""
    found = _BARE_RUN.match(block, at)
    if found is None:
        return None, at + 1
    end = block.rfind(b"\n", at, found.end() - 1) + 1
    last = block.rfind(b"\nactive_anon:", at, end) + 1 or at
    if (counts := _COUNTS_RECORD.match(block, last)) and counts.end() > end:
        end = last
    if end - at < LEAST_BYTES:
        return None, found.end()
    texts = _bare_texts(block, at, end)
    return (LogRun(texts), end) if texts else (None, found.end())


def _bare_texts(block: bytes, at: int, end: int) -> list[bytes]:
    """Nothing where a record is longer than any may be."""
    texts: list[bytes] = []
    begin = at
    while (begin := block.find(b"active_anon:", begin, end)) >= 0:
        if begin > at and block[begin - 1 : begin] != b"\n":
            begin += 1  # a node's line has the same word further on
            continue
        counts = _COUNTS_RECORD.match(block, begin)
        if counts is None or counts.end() - begin >= RECORD_MAX_BYTES:
            return []
        if at < begin:
            texts += block[at : begin - 1].split(b"\n")
        texts.append(counts[0][:-1])
        at = begin = counts.end()
    if at < end:
        texts += block[at : end - 1].split(b"\n")
    return texts
