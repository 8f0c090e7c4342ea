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

from oomkeeper.model.log import RUN_TEXT_MAX_BYTES

from ..lazy import lazy
from .escapes import decode_hex, decode_kmsg, decode_octal
from .frame import Kind

_SYSLOG_DATE = rb"[A-Z][a-z]{2} [ \d]\d [\d:]{8}(?:\.\d{6})?"
_ISO_DATE = rb"\d{4}-\d\d-\d\dT[^ \n,]+"
_CTIME = rb"[^\[\]\n]*\d\d:\d\d:\d\d \d{4}"
_DMESG_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}[+-]\d\d:\d\d"
_HOST = rb"(?![a-z]+[0-7]?\.(?:emerg|alert|crit|err|warn|notice|info|debug) )[^ \n]*[^ :\n] "
_CALLER = rb" ?\[ *([TC]\d+)\]"

_SAMPLE = lazy(
    rb"(?P<pri><[0-7]>)?(?P<dec>kern +:\w+ *: )?(?:"
    rb"(?:(?P<sys>" + _SYSLOG_DATE + rb")|(?P<sysiso>" + _ISO_DATE + rb")) (?P<host>" + _HOST + rb")?kernel: "
    rb"|(?P<tag>kernel: )|\[(?P<ctime>" + _CTIME + rb")\] |(?P<iso>" + _DMESG_ISO + rb") )?"
    rb"(?P<stamp>\[ *\d+\.\d{6}\](?P<caller>" + _CALLER + rb")? )?"
)
_FOREIGN_HEAD = rb"(?!kernel[:\[])[\w@./()-]+(?:\[\d+\])?: "
_FOREIGN_TEXT = _FOREIGN_HEAD + rb".*"
_FOREIGN_SAMPLE = lazy(
    rb"(?:(?P<sys>" + _SYSLOG_DATE + rb")|(?P<sysiso>" + _ISO_DATE + rb")) "
    rb"(?P<host>" + _HOST + rb")" + _FOREIGN_TEXT
)
_KMSG_SAMPLE = lazy(rb"[0-7],\d+,\d+,-(,caller=[TC]\d+)?;")

# What must be looked at singly: pr_cont() pieces, Android's prefixes, journalctl's host and tag behind a
# stamp, a stamp or caller that the sample did not have.
_SINGLY = rb"[,(]| (?:\(|\[\d+: |\[ *[TC]\d+\] )|\[(?:\d+: | *[TC]\d+\] )"
_SINGLY_STAMPED = rb"|[\w.-]++ (?:kernel: |[\w@./-]++\[\d)"
_SINGLY_UNSTAMPED = rb"|\[ *\d+\.\d"

_MAX_SECONDS_WIDTH = 10
"""Three hundred years since boot."""
_MAX_HOST_BYTES = 256
"""A domain name has 253 at most (RFC 1035 2.3.4)."""

_DIGITS, _LETTERS, _BLANK = frozenset(b"0123456789"), frozenset(string.ascii_letters.encode()), ord(" ")


class Fast(NamedTuple):
    """A block's pattern."""

    kind: Kind
    pattern: re.Pattern[bytes]
    fields: tuple[str, ...]
    """What its groups are, of: level, seq, date, uptime (with a point) or usec, caller, text, then the date
    and text of another program's line (foreign_date, foreign), and last a line that it does not fit (other).
    A group more is a fifth of the time, so what the sample does not have is not among them."""
    mark: str
    """The field that is empty in no line of the framing, and in every other."""
    escape: bytes
    decode: Callable[[bytes], bytes]
    """Undoes the escapes of a text that holds `escape`."""
    foreign: bool = False
    """Made from a line of another program than the kernel."""

    def takes(self, line: bytes) -> bool:
        """Whether the pattern takes the line apart; not even its own sample need be among those."""
        found = self.pattern.match(line + b"\n")
        return found is not None and not found[len(self.fields)]


def fast_for(line: bytes) -> Fast | None:
    """The pattern for lines like this one, or None where there is none. `line` has no newline."""
    if sample := _KMSG_SAMPLE.match(line):
        return _build_kmsg(caller=sample[1] is not None)
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
    shape = b""
    if dated in ("sys", "sysiso"):
        shape = _shape(parts[dated])
    elif dated == "ctime":
        shape = _as_wide(parts[dated])
    return _build(
        bool(parts["pri"]),
        bool(parts["dec"]),
        dated,
        shape,
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


def _as_wide(date: bytes) -> bytes:
    """The same for dates of dmesg -T, whose names of days and months are of any language."""
    return rb"(?=[^\[\]\n]{%d}\])" % len(date) + _CTIME


@lru_cache(maxsize=64)
def _build(
    priority: bool, decoded: bool, dated: str | None, shape: bytes, host: bytes, stamped: bool, caller: bool
) -> Fast:
    fields = []
    head = b""
    if priority:
        fields, head = ["level"], rb"<([0-7])>" + (rb"kern +:\w+ *: " if decoded else b"")
    elif decoded:
        fields, head = ["level"], rb"kern +:(\w+) *: "
    tag = re.escape(host) + rb"kernel: "
    head += {
        "sys": rb"(" + shape + rb") " + tag,
        "sysiso": rb"(" + shape + rb") " + tag,
        "tag": rb"kernel: ",
        "ctime": rb"\[(" + shape + rb")\] ",
        "iso": rb"(" + _DMESG_ISO + rb") ",
        None: rb"",
    }[dated]
    if dated is not None and dated != "tag":
        fields.append("date")
    if stamped:
        fields.append("uptime")
        head += rb"\[ *(\d+\.\d{6})\]"
        if caller:
            fields.append("caller")
            head += _CALLER
        head += rb" "
    fields.append("text")
    foreign = b""
    if dated in ("sys", "sysiso") and host:
        fields += ["foreign_date", "foreign"]
        foreign = rb"(" + shape + rb") " + re.escape(host) + rb"(" + _FOREIGN_TEXT + rb")\n|"
    singly = _singly(stamped=stamped, dated=dated)
    pattern = lazy(head + singly + rb"(.*)\n|" + foreign + rb"(.*)\n")
    kind, escape, decode = Kind.DMESG, b"\\x", decode_hex
    if dated in ("sys", "sysiso", "tag"):
        kind, escape, decode = Kind.SYSLOG, b"#0", decode_octal
    return Fast(kind, pattern, (*fields, "other"), "uptime" if stamped else "date", escape, decode)


def _singly(*, stamped: bool, dated: str | None) -> bytes:
    return (
        rb"(?!"
        + _SINGLY
        + (_SINGLY_STAMPED if stamped and dated is None else b"")
        + (b"" if stamped else _SINGLY_UNSTAMPED)
        + rb")"
    )


class Layout(NamedTuple):
    """How lines begin that all have a prefix of one width, and where its parts stand."""

    pattern: re.Pattern[bytes]
    """As many such lines as follow one another, each of which `Fast.pattern` takes for the kernel's."""
    width: int
    level: bool
    """`<4>` stands first."""
    date: slice | None
    uptime: slice | None
    """Blanks, seconds, a point, six digits."""
    caller: bytes | None
    """That of every line."""
    foreign: re.Pattern[bytes] | None
    """As many lines of the same date and host as follow one another, each of which `Fast.pattern` takes for
    another program's; None where those are not told from the kernel's."""
    foreign_date: slice
    foreign_width: int


def layout_for(line: bytes) -> Layout | None:
    """The layout of lines like this one, or None where such lines have prefixes of several widths."""
    found = _SAMPLE.match(line)
    if found is not None and not found[0] and (other := _FOREIGN_SAMPLE.match(line)):
        date = other["sys"] or other["sysiso"]
        return _layout(False, "sys", _shape(date), len(date), other["host"], 0, b"")
    if found is None or found["dec"] or found["ctime"] or found["iso"]:
        return None
    dated = next((name for name in ("sys", "sysiso", "tag") if found[name]), None)
    if not found["stamp"] and dated in (None, "tag"):
        return None
    date = found[dated] if dated in ("sys", "sysiso") else b""
    stamp, caller = found["stamp"] or b"", found["caller"] or b""
    seconds_width = stamp.index(b".") - 1 if stamp else 0
    if seconds_width > _MAX_SECONDS_WIDTH:
        return None
    return _layout(
        bool(found["pri"]),
        dated,
        _shape(date),
        len(date),
        found["host"] or b"",
        seconds_width,
        caller,
    )


@lru_cache(maxsize=64)
def _layout(
    priority: bool,
    dated: str | None,
    shape: bytes,
    date_width: int,
    host: bytes,
    seconds_width: int,
    caller: bytes,
) -> Layout | None:
    if len(host) > _MAX_HOST_BYTES:
        return None
    head, width, date, uptime = b"", 0, None, None
    if priority:
        head, width = rb"<[0-7]>", 3
    if date_width:
        date = slice(width, width + date_width)
        head, width = head + shape + rb" " + re.escape(host), date.stop + 1 + len(host)
    if dated is not None:
        head, width = head + rb"kernel: ", width + len("kernel: ")
    if seconds_width:
        # ` *\d+` of one width: as many blanks as there may be, the most digits first.
        seconds = (rb" " * blanks + rb"\d" * (seconds_width - blanks) for blanks in range(seconds_width))
        head += rb"\[(?:" + b"|".join(seconds) + rb")\.\d{6}\]" + re.escape(caller) + rb" "
        uptime = slice(width + 1, width + 1 + seconds_width + len(".123456"))
        width = uptime.stop + 1 + len(caller) + 1
    text = rb".{0,%d}\n" % RUN_TEXT_MAX_BYTES
    line = head + _singly(stamped=bool(seconds_width), dated=dated) + text
    return Layout(
        pattern=lazy(rb"(?:" + line + rb")++"),
        width=width,
        level=priority,
        date=date,
        uptime=uptime,
        caller=caller.strip(b" []") or None,
        foreign=lazy(rb"(?:" + shape + rb" " + re.escape(host) + _FOREIGN_HEAD + text + rb")++")
        if date_width and host
        else None,
        foreign_date=slice(date_width),
        foreign_width=date_width + 1 + len(host),
    )


@lru_cache(maxsize=2)
def _build_kmsg(*, caller: bool) -> Fast:
    by = rb",caller=([TC]\d+)" if caller else b""
    pattern = lazy(rb"([0-7]),(\d+),(\d+),-" + by + rb";(?!,)(.*)\n|(.*)\n")
    fields = ("level", "seq", "usec", *(("caller",) if caller else ()), "text", "other")
    return Fast(Kind.KMSG, pattern, fields, "level", b"\\x", decode_kmsg)
