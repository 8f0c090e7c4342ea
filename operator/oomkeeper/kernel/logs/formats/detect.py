"""Find the format of a line. Each line is examined by itself, because one stream may mix formats."""

from ...lazy import lazy
from .dmesg import parse_dmesg
from .euleros import parse_euleros
from .frame import Frame
from .journal_json import parse_json_line
from .kmsg_text import parse_kmsg_line
from .logcat import parse_logcat
from .syslog import parse_syslog
from .talos import parse_talos
from .timestamps import MONTH, WORD

_MAY_BEGIN = lazy(
    rb"[\[{\x1e<\d]|data: \{|kernel|[A-Z][a-z]{2} "
    rb"|" + WORD + rb" (?:\d{4}-\d| ?\d{1,2} (?:\d{4} )?\d\d:|" + MONTH + rb" +\d{1,2} \d)"
    rb"|(?:kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local|res)[\d ]*:"
)
"""How a framed line begins, except those whose fields `|` or `: [` separates. Nearly all bare lines of a
report fail here, before any format is tried."""
_PIPE = ord("|")
"""A byte as a number is found in a fifth of the time."""
_QUOTE = lazy(rb"(?:>[ \t]?|\|[ \t])+")


def strip_quote(line: bytes) -> bytes:
    """Return the line without a mail's `> ` marks: no kernel line and no framing begins with one."""
    if line[:1] in (b">", b"|") and (quote := _QUOTE.match(line)):
        return line[quote.end() :]
    return line


def find_frame(line: bytes) -> Frame | None:
    """Return the frame of a line that begins a record, or None for a bare line.

    Leading blanks are ignored. Do not call it for a line whose blanks are the indentation of a record's
    further line.
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
    first = line[:1]
    if first == b"[":
        return parse_dmesg(line)
    if _MAY_BEGIN.match(line) is None and _PIPE not in line and line.find(b": [") < 0:
        return None
    if first in (b"{", b"\x1e") or line.startswith(b"data: {"):
        return parse_json_line(line.removeprefix(b"data: "))  # journalctl -o json-sse
    if first.isdigit():
        return (
            parse_kmsg_line(line)
            or parse_logcat(line)
            or parse_dmesg(line)
            or parse_syslog(line)
            or parse_euleros(line)
            or parse_talos(line)
        )
    return parse_dmesg(line) or parse_syslog(line) or parse_euleros(line) or parse_talos(line)
