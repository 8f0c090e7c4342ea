"""Split several stamped messages on one line, as chat windows and consoles leave them.

A task may be named `[ 1.000000] x`, so a stamp inside a text proves nothing. The line is split only where the
message before the stamp is complete and a line of a report begins after it; 15 bytes of comm and the kernel's
text around them cannot make both true.
"""

from oomkeeper.model.log import LogRecord

from ...lazy import lazy
from ..formats.dmesg import parse_dmesg
from .line_kinds import KNOWN_START, MEM_INFO_REST, find_line

_TAG = (
    rb"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    rb"|\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:?\d\d)) (?:\S*[^\s:] )?kernel: "
)
"""How a syslog daemon or journalctl begins a line."""
_DATE = (
    rb"(?:\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?"
    rb"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}[+-]\d\d:\d\d ?)"
)
"""How dmesg -T and --time-format iso begin a line."""
_INNER = lazy(
    rb" ?(?:" + _TAG + rb"|<[0-7]>|kern +:\w+ *: )?(?=\[ *\d+\.\d{6}\](?: ?\[ *[TC]\d+\])? )"
    rb"|(?<=\S) ?(?:" + _TAG + rb"(?!\[ *\d+\.\d{6}\])|" + _DATE + rb")"
)

RUN_ON_MIN_BYTES = 96
"""A line that contains a second message is at least as long."""
RUN_ON_MAX_BYTES = 16 * 1024
"""A longer line is not a pasted report, and splitting it would cost its length times its stamps."""
_STAMP_END = lazy(rb"\](?:(?<=\.\d{6}\])|(?<=:\d\d \d{4}\]))(?: ?\[ *[TC]\d+\])? ")
"""Begins with a fixed byte, which is much faster to search than a character class."""
_ISO_END = lazy(rb",\d{6}[+-]\d\d:\d\d ")


def split_run_on(record: LogRecord) -> list[LogRecord]:
    """Return the record itself, or the several that its text contains."""
    text = record.text
    if not RUN_ON_MIN_BYTES <= len(text) <= RUN_ON_MAX_BYTES or not _may_run_on(text):
        return [record]
    parts: list[LogRecord] = []
    current, begin = record, 0
    for inner in _INNER.finditer(text):
        before = text[begin : inner.start()]
        rest = text[inner.end() :]
        frame = parse_dmesg(rest)
        stamped = frame.record if frame is not None and frame.record.usec is not None else None
        after = stamped.text if stamped is not None else rest
        if not before or not (KNOWN_START.match(after) or MEM_INFO_REST.match(after)) or not _whole(before):
            continue
        parts.append(current._replace(text=before))
        current = (
            record._replace(usec=None)
            if stamped is None
            else record._replace(usec=stamped.usec, caller=stamped.caller)
        )
        begin = len(text) - len(after)
    parts.append(current._replace(text=text[begin:]))
    return parts


def _may_run_on(text: bytes) -> bool:
    """Return True if a stamp, tag or date may end inside the text. A quick test."""
    if b" kernel: " in text:
        return True
    return _ISO_END.search(text) is not None or _STAMP_END.search(text) is not None


def _whole(text: bytes) -> bool:
    line = find_line(text)
    return line is None or line.is_whole(text)
