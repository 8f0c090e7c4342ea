"""Stretches of plain lines, read in one loop each: most lines of a log, and of a report.

A plain line begins a record of its own, whatever the lines before it are, and nothing in its text needs a
second look. `Assembler` reads the same records from such lines one by one, in three times the time
(test_plain_lines_are_read_as_one_by_one). Each function reads from `lines[at]` to the first line that is not
plain, which may be that one.
"""

from collections.abc import Sequence

from oomkeeper.model.log import LogRecord

from ..lazy import lazy
from .broken_lines.run_on import RUN_ON_MIN_BYTES
from .formats.dmesg import HOST_TEXT, USUAL_STAMP_TEXT
from .formats.frame import Kind
from .formats.syslog import OTHER_PROGRAM_TEXT
from .formats.timestamps import normalise

_HASH, _BACKSLASH = b"#\\"
"""With which escapes begin. A byte as a number is found in a fifth of the time."""
_new = tuple.__new__
"""Creates a NamedTuple in half the time of its own constructor."""

# Patterns instead of searches for fixed bytes: one of those takes as long as a whole match.
_STAMPED = lazy(USUAL_STAMP_TEXT + rb"(?!" + HOST_TEXT + rb")((?:\[ *\d+\] |[^\[,\\])[^\\]*)\Z")
"""The usual stamp and a text that has no escapes, is no piece of a line (`,`), and in brackets only a row."""
_REPORT_LINE = lazy(
    rb"\[ *\d+\] +\d+ +\d+ +\S"
    rb"|(?:Node \d+ [A-Za-z]|lowmem_reserve\[\]:|(?:Free|Total) swap +=)[^|\[]*\Z"
    rb"|\d+ (?:total pagecache pages|pages (?:RAM|reserved|HighMem/MovableOnly|cma reserved|hwpoisoned))\Z"
)
"""The most frequent of `KNOWN_START`. None of them begins as the lines of any format do."""
_TRACE = lazy(
    rb" (?:\? )?[a-z_][\w.]*\+0x[0-9a-f]+/0x[0-9a-f]+\Z"
    rb"|(?:R(?:[A-D]X|[SD]I|[BS]P|\d\d): [0-9a-f]{16} ?){1,3}\Z"
)
"""A call trace and the registers below it."""
_OTHER_PROGRAM = lazy(OTHER_PROGRAM_TEXT + rb"((?!\[)[^|]*)\Z")


def read_plain_lines(
    lines: Sequence[bytes], at: int, *, kind: Kind | None, kernel: bool, last: bytes | None
) -> list[LogRecord]:
    """Read lines of the same kind as the line before them, whose framing and writer `kind` and `kernel` are.
    `last` is the text of the last record, or None if a bare line may be a part of it."""
    if kind is Kind.DMESG:
        return _stamped(lines, at)
    if kind is Kind.SYSLOG and not kernel:
        return _of_other_programs(lines, at)
    return _bare(lines, at, last) if kind is None and last is not None else []


def _stamped(lines: Sequence[bytes], at: int) -> list[LogRecord]:
    """Read lines with printk's usual stamp."""
    records: list[LogRecord] = []
    match = _STAMPED.match
    for number in range(at, len(lines)):
        line = lines[number]
        found = match(line)
        if found is None:
            break
        seconds, microseconds, caller, text = found.groups()
        if len(text) >= RUN_ON_MIN_BYTES:
            break
        usec = int(seconds + microseconds)
        records.append(_new(LogRecord, (text, usec, None, None, caller, None, True, False)))
    return records


def _bare(lines: Sequence[bytes], at: int, last: bytes) -> list[LogRecord]:
    """Read lines of a report without a stamp. Those of a call trace are plain only after one of their
    kind, which the text of the `last` record shows."""
    records: list[LogRecord] = []
    match = (_TRACE if _TRACE.match(last) else _REPORT_LINE).match
    for number in range(at, len(lines)):
        line = lines[number]
        if match(line) is None or _HASH in line or _BACKSLASH in line:
            break
        records.append(_new(LogRecord, (line, None, None, None, None, None, True, False)))
    return records


def _of_other_programs(lines: Sequence[bytes], at: int) -> list[LogRecord]:
    """Read lines `Nov 23 09:09:20 host tag[pid]: `."""
    records: list[LogRecord] = []
    match = _OTHER_PROGRAM.match
    for number in range(at, len(lines)):
        line = lines[number]
        found = match(line)
        if found is None:
            break
        stamp, text = found.groups()
        records.append(_new(LogRecord, (text, None, normalise(stamp), None, None, None, False, False)))
    return records
