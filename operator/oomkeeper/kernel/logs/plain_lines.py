"""Stretches of plain lines, read in one loop each: most lines of a log, and of a report.

A plain line begins a record of its own, whatever the lines before it are, and nothing in its text needs a
second look. `Assembler` reads the same records from such lines one by one, in three times the time
(test_plain_lines_are_read_as_one_by_one). Each function reads from `lines[at]` to the first line that is not
plain, which may be the first.
"""

from collections.abc import Sequence

from oomkeeper.model.log import LogRecord

from ..lazy import lazy
from .broken_lines.line_kinds import TABLE_ROW_START
from .broken_lines.run_on import RUN_ON_MIN_BYTES
from .formats.dmesg import USUAL_STAMP_TEXT, has_host
from .formats.syslog import OTHER_PROGRAM_TEXT
from .formats.timestamps import normalise

_new = tuple.__new__
"""Creates a NamedTuple in half the time of its own constructor."""

_STAMPED = lazy(USUAL_STAMP_TEXT + rb"((?:\[ *\d+\] |[^\[,]).*)\Z")
"""The usual stamp and a text that is no piece of a line (`,`), and of those in brackets only rows."""
_OTHER_PROGRAM = lazy(OTHER_PROGRAM_TEXT + rb"((?!\[).*)\Z")


def stamped_lines(lines: Sequence[bytes], at: int) -> list[LogRecord]:
    """Read lines with printk's usual stamp."""
    records: list[LogRecord] = []
    match = _STAMPED.match
    for number in range(at, len(lines)):
        line = lines[number]
        found = match(line)
        if found is None or b"\\x" in line:
            break
        seconds, microseconds, caller, text = found.groups()
        if len(text) >= RUN_ON_MIN_BYTES or (b": " in text and has_host(text)):
            break
        usec = int(seconds + microseconds)
        records.append(_new(LogRecord, (text, usec, None, None, caller, None, True, False)))
    return records


def bare_rows(lines: Sequence[bytes], at: int) -> list[LogRecord]:
    """Read rows of the task table without a stamp."""
    records: list[LogRecord] = []
    match = TABLE_ROW_START.match
    for number in range(at, len(lines)):
        line = lines[number]
        if match(line) is None or b"#0" in line or b"\\x0a" in line:
            break
        records.append(_new(LogRecord, (line, None, None, None, None, None, True, False)))
    return records


def lines_of_other_programs(lines: Sequence[bytes], at: int) -> list[LogRecord]:
    """Read lines `Nov 23 09:09:20 host tag[pid]: `."""
    records: list[LogRecord] = []
    match = _OTHER_PROGRAM.match
    for number in range(at, len(lines)):
        line = lines[number]
        found = match(line)
        if found is None or b"|" in line:
            break
        stamp, text = found.groups()
        records.append(_new(LogRecord, (text, None, normalise(stamp), None, None, None, False, False)))
    return records
