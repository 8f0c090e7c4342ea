"""Lines of syslog daemons, of journalctl's short formats, and of log shippers. The tag shows the writer.

    Nov 23 09:09:20 host kernel: [  123.456789] text      rsyslog, journalctl -o short; host, stamp optional
    2026-11-23T09:09:20.096069+00:00 host kernel: text    rsyslog's newer default, journalctl -o short-iso
    Mon 2026-11-23 09:09:20 UTC host kernel: text         journalctl -o short-full, short-precise, short-unix
    5月 29 09:09:20 host kernel: text                     journalctl in any language
    <6>Nov 23 09:09:20 host kernel: text                  as sent (RFC 3164; RFC 5424: <6>1 2026-..)
    <4>[  123.456789] text                                syslog(2), dmesg -r, pstore, netconsole
    Mon Nov 23 09:09:20 2026 kern.warn kernel: text       OpenWrt, busybox
    kernel: [  123.456789] text                           pasted without its beginning

`kernel[123]:` is a process that took the name: the kernel has no pid. A local process can also send the bare
tag (`logger -t kernel`), and plain text cannot show that; journald's own fields do (`_TRANSPORT`, see
journal_json.py), and so does /dev/kmsg.
"""

import re

from oomkeeper.model.log import LogRecord

from ...facility import LEVELS, split_priority
from ...lazy import lazy
from .dmesg import parse_dmesg
from .euleros import parse_euleros
from .frame import Frame, Kind
from .syslog_record import syslog_frame
from .timestamps import MONTH, WORD, normalise

_DATE = (
    rb"(?:\d{4} )?(?:" + WORD + rb" +)?" + MONTH + rb" +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?"
    rb"(?: \d{4})?"
    rb"|(?:" + WORD + rb" )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[A-Z]{3,5}|"
    rb"[+-]\d\d:?\d\d))?"
    rb"|\d{10}\.\d{6}"
)
_DATED = lazy(rb"(" + _DATE + rb") +")
_SELECTOR = rb"([a-z]+[0-7]?)\.(emerg|alert|crit|err|warn|notice|info|debug) +"
"""`facility.level`, as busybox prints it between host and tag."""
# A host never ends with the colon that ends a tag: `app: kernel: ...` without a host is app's text.
_KERNEL_TAG = lazy(rb"(?!" + _SELECTOR + rb")(?:[^\s]*[^\s:] +)?(?:" + _SELECTOR + rb")?kernel(?:\[-\])?: ?")
_SELECTED_TAG = lazy(_SELECTOR + rb"kernel(?:\[-\])?: ?")
_OTHER_HOST = lazy(rb"[^\s]*[^\s:] (?=(?!kernel[:\[])[\w@./()-]+(?:\[\d+\])?: )")
_PRIORITY = lazy(rb"<(\d{1,3})>")
_RFC5424 = lazy(rb"1 (-|\S+) (\S+) (\S+) (\S+) (\S+) (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?(?:\xef\xbb\xbf)?")
_ANY_TAG = lazy(rb"(?:\S+ )?[\w@./()-]+\[\d+\]: |[\w@./()-]+: ")
OTHER_PROGRAM_TEXT = (
    rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) [^\s:|]+ (?=(?!kernel[:\[])[\w@./()-]+(?:\[\d+\])?: )"
)
_OTHER_PROGRAM = lazy(OTHER_PROGRAM_TEXT)
_BARE_TAG = lazy(rb"kernel(?:\[-\])?: ?")


def parse_other_program(line: bytes) -> Frame | None:
    """Return the frame of the most frequent line of a syslog, `Nov 23 09:09:20 host tag[pid]: `, or None.

    The same as `parse_syslog` returns for it, in a third of the time
    (test_line_of_other_program_is_read_as_by_the_general_parser).
    """
    found = _OTHER_PROGRAM.match(line)
    if found is None or b"|" in line:
        return None
    record = LogRecord(line[found.end() :], None, normalise(found[1]), kernel=False)
    return Frame(record, Kind.SYSLOG, found.end())


def parse_syslog(line: bytes) -> Frame | None:
    """Return the line's frame, or None if it begins with none of the above."""
    start = 0
    level: int | None = None
    kernel = True
    priority = _PRIORITY.match(line)
    if priority:
        start = priority.end()
        level, kernel = split_priority(int(priority[1]))
        if new := _RFC5424.match(line, start):
            wall = None if new[1] == b"-" else normalise(new[1])
            kernel = kernel and new[3] == b"kernel" and new[4] == b"-"
            return syslog_frame(line, new.end(), wall=wall, level=level, kernel=kernel)
        if inner := parse_dmesg(line[start:]):
            record = inner.record._replace(level=level, kernel=kernel and inner.record.kernel)
            return Frame(record, inner.kind, inner.prefix_bytes + start)
    if dated := _DATED.match(line, start):
        return _tagged(line, dated, level=level, kernel=kernel)
    if tag := _BARE_TAG.match(line, start):
        return syslog_frame(line, tag.end(), wall=None, level=level, kernel=kernel)
    if priority:
        return syslog_frame(line, start, wall=None, level=level, kernel=kernel)
    return None


def _tagged(line: bytes, dated: re.Match[bytes], *, level: int | None, kernel: bool) -> Frame:
    wall = normalise(dated[1])
    if b"|" in line and (piped := parse_euleros(line, dated.end(), wall=wall, kernel=kernel)):
        return piped
    tag = _SELECTED_TAG.match(line, dated.end()) or _KERNEL_TAG.match(line, dated.end())
    if (
        tag is None
        and line[dated.end() : dated.end() + 1] == b"["
        and (inner := parse_dmesg(line[dated.end() :]))
    ):
        # A console logger's date before printk's own stamp: syslog daemons put host and tag there.
        own = kernel and inner.record.kernel and inner.record.usec is not None
        return Frame(
            inner.record._replace(wall=wall, kernel=own), Kind.OTHER, inner.prefix_bytes + dated.end()
        )
    if tag is None:
        host = _OTHER_HOST.match(line, dated.end())
        frame = syslog_frame(line, host.end() if host else dated.end(), wall=wall, level=level, kernel=False)
        unknown = host is None and _ANY_TAG.match(line, dated.end()) is None
        return frame._replace(unknown_writer=True) if unknown else frame
    *_, facility, name = tag.groups()
    if facility is not None:
        kernel = kernel and facility == b"kern"
        level = LEVELS.get(name, level)
    return syslog_frame(line, tag.end(), wall=wall, level=level, kernel=kernel)
