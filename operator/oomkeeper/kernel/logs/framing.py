"""Finds out, line by line, which framing a line has: streams mix them."""

from ..lazy import lazy
from .android import parse_logcat
from .dmesg import parse_dmesg
from .frame import Frame
from .journal import parse_json_line
from .rawkmsg import parse_kmsg_line
from .syslog import parse_syslog

_MAY_BEGIN = lazy(
    rb"[\[{\x1e<\d]|data: \{|kernel|[A-Z][a-z]{2} "
    rb"|(?:kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local|res)[\d ]*:"
)
"""What a line with a frame begins with, but for those that `|` or `: [` part into fields. Nearly all bare
lines of a report fail here, before any framing is tried."""
_QUOTE = lazy(rb"(?:>[ \t]?|\|[ \t])+")


def strip_quote(line: bytes) -> bytes:
    """The line without a mail's `> ` marks: no kernel line and no framing begins with one."""
    if line[:1] in (b">", b"|") and (quote := _QUOTE.match(line)):
        return line[quote.end() :]
    return line


def find_frame(line: bytes) -> Frame | None:
    """The frame of a line that begins a record, or None for a bare one.

    Leading blanks are passed over; a caller that knows them for a continuation's indentation does not come
    here.
    """
    margin = 0
    if line[:1] in (b" ", b"\t"):
        margin = len(line) - len(line.lstrip(b" \t"))
        line = line[margin:]
    frame = _find(line)
    if frame is not None and margin:
        return frame._replace(prefix_bytes=frame.prefix_bytes + margin)
    return frame


def _find(line: bytes) -> Frame | None:
    if _MAY_BEGIN.match(line) is None and b"|" not in line and b": [" not in line:
        return None
    first = line[:1]
    if first == b"[":
        return parse_dmesg(line)
    if first in (b"{", b"\x1e") or line.startswith(b"data: {"):
        line = line.removeprefix(b"data: ")  # journalctl -o json-sse
        return parse_json_line(line)
    if first.isdigit():
        return parse_kmsg_line(line) or parse_logcat(line) or parse_dmesg(line) or parse_syslog(line)
    return parse_dmesg(line) or parse_syslog(line)
