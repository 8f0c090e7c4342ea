"""Takes apart what lost its line ends: several stamped messages on one line, as chat windows and consoles
leave them.

A task may be named `[ 1.000000] x`, so a stamp inside a text proves nothing. The line is parted only where
the message before the stamp is whole and a report's own line begins after it; 15 bytes of comm and what the
kernel prints around them cannot make both true.
"""

from oomkeeper.model.log import LogRecord

from ..lazy import lazy
from .dmesg import parse_dmesg
from .grammar import KNOWN_START, MEM_INFO_REST, find_line

_TAG = (
    rb"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    rb"|\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:?\d\d)) (?:\S*[^\s:] )?kernel: "
)
"""As a syslog daemon or journalctl begins a line."""
_DATE = (
    rb"(?:\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?"
    rb"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}[+-]\d\d:\d\d ?)"
)
"""As dmesg -T and --time-format iso do."""
_INNER = lazy(
    rb" ?(?:" + _TAG + rb"|<[0-7]>|kern +:\w+ *: )?(?=\[ *\d+\.\d{6}\](?: ?\[ *[TC]\d+\])? )"
    rb"|(?<=\S) ?(?:" + _TAG + rb"(?!\[ *\d+\.\d{6}\])|" + _DATE + rb")"
)

RUN_ON_MAX_BYTES = 16 * 1024
"""A longer line is no paste of a report, and taking it apart would cost its length times its stamps."""
_STAMP_END = lazy(rb"\](?:(?<=\.\d{6}\])|(?<=:\d\d \d{4}\]))(?: ?\[ *[TC]\d+\])? ")
"""Begins with a fixed byte, which is searched for at many times the speed of a class of them."""
_ISO_END = lazy(rb",\d{6}[+-]\d\d:\d\d ")


def split_run_on(record: LogRecord) -> list[LogRecord]:
    """The record itself, or the several that its text holds."""
    text = record.text
    if len(text) > RUN_ON_MAX_BYTES or not may_run_on(text):
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


def may_run_on(text: bytes) -> bool:
    """Quickly: whether something ends inside the text, or one of several on lines of their own, as a stamp, a
    tag or a date does."""
    if b" kernel: " in text:
        return True
    return _ISO_END.search(text) is not None or _STAMP_END.search(text) is not None


def _whole(text: bytes) -> bool:
    line = find_line(text)
    return line is None or line.is_whole(text)
