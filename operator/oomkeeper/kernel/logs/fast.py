"""Patterns that take whole blocks of one framing apart in one call.

A pattern is made from a sample line, with everything that does not vary spelled out: the host's name, whether
there is a stamp, a caller, a level. That is three times as fast as one pattern for all. Lines that it does
not fit come out whole, in the last group.
"""

import re
import string
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .escapes import decode_hex, decode_octal
from .frame import Kind

_SYSLOG_DATE = rb"[A-Z][a-z]{2} [ \d]\d [\d:]{8}(?:\.\d{6})?"
_ISO_DATE = rb"\d{4}-\d\d-\d\dT[^ \n,]+"
_CTIME = rb"[^\[\]\n]*\d\d:\d\d:\d\d \d{4}"
_DMESG_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}[+-]\d\d:\d\d"
_HOST = rb"(?![a-z]+[0-7]?\.(?:emerg|alert|crit|err|warn|notice|info|debug) )[^ \n]*[^ :\n] "
_CALLER = rb" ?\[ *([TC]\d+)\]"

_SAMPLE = re.compile(
    rb"(?P<pri><[0-7]>)?(?P<dec>kern +:\w+ *: )?(?:"
    rb"(?:(?P<sys>" + _SYSLOG_DATE + rb")|(?P<sysiso>" + _ISO_DATE + rb")) (?P<host>" + _HOST + rb")?kernel: "
    rb"|(?P<tag>kernel: )|\[(?P<ctime>" + _CTIME + rb")\] |(?P<iso>" + _DMESG_ISO + rb") )?"
    rb"(?P<stamp>\[ *\d+\.\d{6}\](?P<caller>" + _CALLER + rb")? )?"
)
_FOREIGN_TEXT = rb"(?!kernel[:\[])[\w@./()-]+(?:\[\d+\])?: .*"
_FOREIGN_SAMPLE = re.compile(
    rb"(?:(?P<sys>" + _SYSLOG_DATE + rb")|(?P<sysiso>" + _ISO_DATE + rb")) "
    rb"(?P<host>" + _HOST + rb")" + _FOREIGN_TEXT
)
_KMSG = re.compile(rb"([0-7]),(\d+),(\d+),-(?:,caller=([TC]\d+))?;(?!,)(.*)\n|(.*)\n")
_KMSG_SAMPLE = re.compile(rb"[0-7],\d+,\d+,-(?:,caller=[TC]\d+)?;")

# What must be looked at singly: pr_cont() pieces, Android's prefixes, journalctl's host and tag behind a
# stamp, a stamp or caller that the sample did not have.
_SINGLY = rb"[,(]| \(| ?\[\d+: | ?\[ *[TC]\d+\] "
_SINGLY_STAMPED = rb"|[\w.-]+ (?:kernel: |[\w@./-]+\[\d)"
_SINGLY_UNSTAMPED = rb"|\[ *\d+\.\d"


_DIGITS, _LETTERS, _BLANK = frozenset(b"0123456789"), frozenset(string.ascii_letters.encode()), ord(" ")


class Fast(NamedTuple):
    """A block's pattern. Groups: level, date, uptime, caller, text, then date and text of another program's
    line, other; for kmsg: level, seq, usec, caller, text, other."""

    kind: Kind
    pattern: re.Pattern[bytes]
    escape: bytes
    decode: Callable[[bytes], bytes]
    """Undoes the escapes of a text that holds `escape`."""
    foreign: bool = False
    """Made from a line of another program than the kernel."""


def fast_for(line: bytes) -> Fast | None:
    """The pattern for lines like this one, or None where there is none. `line` has no newline."""
    if _KMSG_SAMPLE.match(line):
        return Fast(Kind.KMSG, _KMSG, b"", decode_hex)
    found = _SAMPLE.match(line)
    if found is None:
        return None
    if not found[0] and (other := _FOREIGN_SAMPLE.match(line)):
        date = "sys" if other["sys"] else "sysiso"
        shape = _shape(other[date])
        return _build(False, False, date, shape, other["host"], False, False)._replace(foreign=True)
    parts = found.groupdict()
    dated = next((name for name in ("sys", "sysiso", "tag", "ctime", "iso") if parts[name]), None)
    if (dated is None or dated == "tag") and not parts["stamp"]:
        return None
    return _build(
        bool(parts["pri"]),
        bool(parts["dec"]),
        dated,
        _shape(parts[dated]) if dated in ("sys", "sysiso") else b"",
        parts["host"] or b"",
        bool(parts["stamp"]),
        bool(parts["caller"]),
    )


def _shape(date: bytes) -> bytes:
    """A pattern for dates of exactly this layout, so that every line it takes has a prefix of one width:
    that is how far journalctl indents a record's further lines."""
    classes = (
        rb"\d"
        if char in _DIGITS
        else rb"[ \d]"
        if char == _BLANK
        else rb"[A-Za-z]"
        if char in _LETTERS
        else re.escape(bytes([char]))
        for char in date
    )
    return b"".join(classes)


@lru_cache(maxsize=64)
def _build(
    priority: bool, decoded: bool, dated: str | None, shape: bytes, host: bytes, stamped: bool, caller: bool
) -> Fast:
    head = rb"<([0-7])>" if priority else rb"()"
    if decoded:
        head = rb"kern +:(\w+) *: " if not priority else rb"<([0-7])>kern +:\w+ *: "
    tag = re.escape(host) + rb"kernel: "
    head += {
        "sys": rb"(" + shape + rb") " + tag,
        "sysiso": rb"(" + shape + rb") " + tag,
        "tag": rb"()kernel: ",
        "ctime": rb"\[(" + _CTIME + rb")\] ",
        "iso": rb"(" + _DMESG_ISO + rb") ",
        None: rb"()",
    }[dated]
    head += rb"\[ *(\d+\.\d{6})\]" if stamped else rb"()"
    head += _CALLER if caller else rb"()"
    head += rb" " if stamped else rb""
    singly = (
        _SINGLY
        + (_SINGLY_STAMPED if stamped and dated is None else b"")
        + (b"" if stamped else _SINGLY_UNSTAMPED)
    )
    foreign = rb"()()"
    if dated in ("sys", "sysiso") and host:
        foreign = rb"(" + shape + rb") " + re.escape(host) + rb"(" + _FOREIGN_TEXT + rb")\n"
        foreign += rb"|"
    pattern = re.compile(head + rb"(?!" + singly + rb")(.*)\n|" + foreign + rb"(.*)\n")
    if dated in ("sys", "sysiso", "tag"):
        return Fast(Kind.SYSLOG, pattern, b"#0", decode_octal)
    return Fast(Kind.DMESG, pattern, b"\\x", decode_hex)
