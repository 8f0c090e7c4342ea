"""Stretches of a block that hold nothing but plain lines, taken in one call.

What is said of a line here is said of it line by line elsewhere, with the same result and at several times
the cost: by `columns` where lines are framed, by `Assembler._line` where they are bare. So a pattern may
pass over a line that is plain, and never take one that is not.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from oomkeeper.model.log import RUN_TEXT_MAX_BYTES, Logged, LogRecord, LogRun

from ..lazy import lazy
from .columns import LEVEL_OF, RUN_ON_BYTES
from .fast import Layout
from .grammar import MEM_INFO_REST_TEXT
from .runon import may_run_on
from .wall import normalise

LEAST_BYTES = 1024
"""A shorter stretch is not worth it."""
RECORD_MAX_BYTES = 64 * 1024
"""Continuation lines beyond it are dropped; printk's own bound is 1 KiB, the largest memcg statistics are 5
KiB."""
KEPT_RECORDS = 6
"""As many of the last records of a stretch are given singly: a fragment that follows looks for the line that
it belongs to among them."""


def framed_run(block: bytes, at: int, end: int, layout: Layout) -> LogRun | None:
    """The records of the kernel's plain lines from `at` on, `end` at most; None where they are too few to be
    worth it, or one may hold several. None of the lines is escaped. Their bytes are as many as the run's."""
    found = layout.pattern.match(block, at, end)
    if found is None or found.end() - at < LEAST_BYTES:
        return None
    lines = b"\n" + block[at : found.end() - 1]
    width = layout.width
    if may_run_on(b"\n".join([line[width + 1 :] for line in _long_lines(width).findall(lines)])):
        return None
    return LogRun(
        lines,
        width=width,
        caller=layout.caller,
        uptime=layout.uptime,
        wall_and_level=_wall_and_level(layout.date, level=layout.level),
    )


@lru_cache(maxsize=64)
def _long_lines(width: int) -> re.Pattern[bytes]:
    return re.compile(rb"\n.{%d,}" % (width + RUN_ON_BYTES))


def foreign_run(block: bytes, at: int, layout: Layout) -> LogRun | None:
    """The same of another program's lines."""
    found = layout.foreign.match(block, at) if layout.foreign is not None else None
    if found is None or found.end() - at < LEAST_BYTES:
        return None
    return LogRun(
        b"\n" + block[at : found.end() - 1],
        width=layout.foreign_width,
        kernel=False,
        wall_and_level=_wall_and_level(layout.foreign_date, level=False),
    )


def _wall_and_level(date: slice | None, *, level: bool) -> Callable[[bytes], tuple[str | None, int | None]]:
    """What a line's framing says of both; lines of one second, and most of a report are, have one date."""
    walls: dict[bytes, str] = {}

    def of(line: bytes) -> tuple[str | None, int | None]:
        wall = None
        if date is not None and (wall := walls.get(line[date])) is None:
            wall = walls[line[date]] = normalise(line[date])
        return wall, LEVEL_OF[line[1:2]] if level else None

    return of


_MOST = RUN_TEXT_MAX_BYTES
_ROW = rb"\[ *\d+\] +\d+ +\d+ +\d+ +\d+ .{0,%d}[^\s\d-]" % _MOST
_FRAME = rb" (?:\? )?[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x| \[<[0-9a-f]{8}"
BARE_ROW = lazy(_ROW + rb"\Z|" + _FRAME)
"""The bulk of an unstamped report: table rows and the call trace."""
_PLAIN = (
    rb"(?:Node \d+ |lowmem_reserve\[\]:|active_anon:\d+ |\d+ (?:total pagecache|pages )"
    rb"|(?:Free|Total) swap\b)[^|#\\\[\n]{0,%d}" % _MOST
)
BARE_PLAIN = lazy(_PLAIN + rb"\Z")
"""What else begins as only a report's line does, and has nothing in it that a framing, a quote or an escape
is told by: `_line` could but take it as it is."""

# The same in stretches, with three things more. Lines that `KNOWN_START` knows and no framing begins with,
# without the two kinds after which a line may be theirs (`Assembler._announced`).
_KNOWN = (
    rb"(?:CPU: \d+ (?:UID|PID): |(?:Hardware name|Workqueue|Mem-Info|Swap cache stats): ?"
    rb"|Tasks state |oom-kill:constraint=|(?:memory|memory\+swap|kmem|swap): usage \d)"
    rb"(?=.{0,%d}\n)[^|#\\\[\n]*(?:#(?!0)[^|#\\\[\n]*)*" % _MOST + rb"|\[ *pid *\](?: +[a-z_]{1,32}){0,32}"
)
_ROW_HEAD = rb"\[ *\d+\] +\d+ +\d+ "
_ROWS = lazy(rb"(?:" + _ROW_HEAD + rb".{0,%d}\n){1,64}+" % _MOST)
"""So few that it is no loss when one of them turns out to hold what no plain row may."""
_PLAIN_ROWS = lazy(rb"(?:(?:" + _ROW_HEAD + rb"[^|#\\\[\n]{0,%d}|" % _MOST + _ROW + rb")\n)++")
_INNER_BRACKET = lazy(rb"\[(?<!\n\[)")
# The rest of a call trace: after one of its functions nothing can be the rest of a broken line.
_FUNCTION = rb" (?:\? )?[A-Za-z_][\w.]{0,512}\+0x[0-9a-f]{1,16}/0x[0-9a-f]{1,16}(?: \[\w{1,64}\])?"
_TRACE = (
    rb"(?:" + _FUNCTION + rb"|Call Trace:)\n"
    rb"(?:(?:" + _FUNCTION + rb"| </?[A-Z]{1,32}>"
    rb"|R[A-Z\d]{2}: [0-9a-f]{1,16}(?::[0-9a-f]{1,16})?(?: [A-Z\d_]{1,16}: [0-9a-f]{1,16}){0,8}"
    rb"|RIP: [0-9a-f]{4}:[\w.+/]{1,512}"
    rb"|Code: (?:[0-9a-f<> ]{1,512}|Unable to access opcode bytes at (?:RIP )?0x[0-9a-f]{1,16}\.))\n)*+"
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
    + rb"| \[<[0-9a-f]{8}.{0,%d})\n|" % _MOST
    + _TRACE
    + rb"|"
    + _COUNTS
    + rb")++"
)


def bare_run(block: bytes, at: int) -> tuple[list[Logged], int]:
    """The records of the plain bare lines from `at` on, and where the line after them begins; nothing where
    they are too few to be worth it, and from where on it may be worth to ask again.

    The last plain line is never among them, so that it leaves behind whatever it does."""
    plain_to = _plain_to(block, at)
    if plain_to == at:
        return [], at + 1
    end = block.rfind(b"\n", at, plain_to - 1) + 1
    last = block.rfind(b"\nactive_anon:", at, end) + 1 or at
    if (counts := _COUNTS_RECORD.match(block, last)) and counts.end() > end:
        end = last
    if end - at < LEAST_BYTES:
        return [], plain_to
    logged = _bare(block[at:end])
    return (logged, end) if logged else ([], plain_to)


def _plain_to(block: bytes, at: int) -> int:
    """Where the line after the plain ones from `at` on begins."""
    while True:
        begin = at
        if found := _BARE_RUN.match(block, at):
            at = found.end()
        if found := _ROWS.match(block, at):
            # To look in all of them at once for what none may hold is twice as fast as in each.
            rows = found[0]
            if b"|" in rows or b"#" in rows or b"\\" in rows or _INNER_BRACKET.search(rows, 1):
                found = _PLAIN_ROWS.match(block, at)
            at = found.end() if found else at
        if at == begin:
            return at


def _bare(block: bytes) -> list[Logged]:
    """Nothing where a record is longer than any may be."""
    lines = b"\n" + block
    logged: list[Logged] = []
    at = begin = 0
    while (begin := lines.find(b"\nactive_anon:", begin)) >= 0:
        counts = _COUNTS_RECORD.match(lines, begin + 1)
        if counts is None or counts.end() - begin >= RECORD_MAX_BYTES:
            return []
        if at < begin:
            logged.append(LogRun(lines[at:begin]))
        logged.append(LogRecord(counts[0][:-1]))
        at = begin = counts.end() - 1
    if at < len(block):
        logged.append(LogRun(lines[at:-1]))
    return logged
