"""The bracketed stamps that printk, util-linux and vendors put before the text.

[  123.456789] text                         printk.time=1 (kernel/printk/printk.c print_time()), dmesg,
                                            /proc/kmsg, consoles
[   49.921978][ T6736] text                 CONFIG_PRINTK_CALLER, since 5.1 (15ff2069cb7f); dmesg of
                                            util-linux 2.40 puts a blank between
[  766.096069 <    0.000005>] text          dmesg -d
[<    0.000005>] text                       dmesg -d -t
[  +0.000005], [Nov23 09:09], [Dec 1 05:21]             dmesg -e
[Mon Nov 23 09:09:20 2026] text             dmesg -T, weekday and month in the words of the locale
2026-11-23T09:09:20,096069+00:00 text       dmesg --time-format iso; syslog daemons write no comma there
[  123.456789] (2)[4251:binder] text        Android vendors: CPU and task between stamp and text
[  123.456789]  [0:  swapper/0:    0] text
[  123.456789,0] text                       Android vendors: CPU inside the stamp
kern  :warn  : [  123.456789] text          dmesg -x, before any of these
"""

from oomkeeper.model.log import LogRecord

from ...escapes import decode_dmesg
from ...facility import LEVELS
from ...lazy import lazy
from .frame import Frame, Kind
from .timestamps import WORD, normalise

_STAMP = lazy(
    rb"\[(?:"
    rb" *(\d+\.\d{1,9})(?:,\d+)?(?: <\ *\d+\.\d+>)?"
    rb"| *[+<] *\d+\.\d+>?"
    rb"|([^\[\]]{0,40}?\d\d:\d\d:\d\d \d{4})(?: <\ *\d+\.\d+>)?"
    rb"|(" + WORD + rb" ?\d{1,2} \d\d:\d\d)"
    rb")\](?: ?\[ *([TC]\d+)\])?"
    rb"(?: *(?:\(\d+\)\[\d+:[^\]]{1,16}\]|\[\d+: *[^\]\n:]{1,16}: *\d+\]))? ?"
)
USUAL_STAMP_TEXT = rb"\[ *(\d+)\.(\d{6})\](?:\[ *([TC]\d+)\])? (?! *\(| *\[ *[TC]\d| *\[\d+:)"
_USUAL_STAMP = lazy(USUAL_STAMP_TEXT)
"""The stamp of nearly every line, to read it in half the time. Where it matches, `_STAMP` matches with the
same end, uptime and caller (test_usual_stamp_is_read_as_the_general_pattern_reads_it)."""
_ISO = lazy(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}(?:Z|[+-]\d\d:?\d\d)) ?")
_DECODED = lazy(
    rb"(kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local[0-7]|res\d+) *:(\w+) *: ?"
)
HOST_TEXT = rb"[\w.-]+ (?:kernel|[\w@./-]+\[\d+\]): "
"""Host and tag after a stamp, as `journalctl -o short-monotonic` prints them."""
_MONOTONIC = lazy(rb"([\w.-]+) (kernel(?=: )|[\w@./-]+(?=\[\d+\]: ))(?:\[\d+\])?: ")


_new = tuple.__new__
"""Creates a NamedTuple in half the time of its own constructor."""


def parse_dmesg(line: bytes) -> Frame | None:
    """Return the line's frame with its uptime and level as far as the line has them, or None if the line
    begins with none of the above."""
    if line[:1] == b"[":
        if (usual := _USUAL_STAMP.match(line)) and b"\\x" not in line:
            text = line[usual.end() :]
            if b": " not in text or _MONOTONIC.match(text) is None:
                seconds, microseconds, caller = usual.groups()
                usec = int(seconds + microseconds)
                record = _new(LogRecord, (text, usec, None, None, caller, None, True, False))
                return _new(Frame, (record, Kind.DMESG, usual.end(), False, False))
        return _stamped(line, 0, level=None, kernel=True)
    level = None
    kernel = True
    start = 0
    if decoded := _DECODED.match(line):
        start = decoded.end()
        level = LEVELS.get(decoded[2])
        kernel = decoded[1] == b"kern"
        if level is None:
            return None
        if (frame := _stamped(line, start, level=level, kernel=kernel)) is not None:
            return frame
    if stamp := _ISO.match(line, start):
        return _framed(line, stamp.end(), wall=stamp[1], level=level, kernel=kernel)
    if decoded:
        return _framed(line, start, level=level, kernel=kernel)
    return None


def strip_stamp(text: bytes) -> tuple[bytes, int | None, bytes | None]:
    """Return text, microseconds since boot and caller of what follows a syslog tag, with or without a
    stamp."""
    if text[:1] == b"[":
        if usual := _USUAL_STAMP.match(text):
            return text[usual.end() :], int(usual[1] + usual[2]), usual[3]
        if (stamp := _STAMP.match(text)) and stamp[1]:
            return text[stamp.end() :], _usec_of_uptime(stamp[1]), stamp[4]
    return text, None, None


def _stamped(line: bytes, start: int, *, level: int | None, kernel: bool) -> Frame | None:
    if stamp := _STAMP.match(line, start):
        uptime, wall, _, caller = stamp.groups()
        return _framed(
            line,
            stamp.end(),
            usec=_usec_of_uptime(uptime) if uptime else None,
            wall=wall,
            caller=caller,
            level=level,
            kernel=kernel,
        )
    return None


def _usec_of_uptime(uptime: bytes) -> int:
    # Consoles of some vendors print fewer or more digits.
    seconds, _, fraction = uptime.partition(b".")
    return int(seconds + fraction.ljust(6, b"0")[:6])


def _framed(
    line: bytes,
    start: int,
    *,
    level: int | None,
    kernel: bool,
    usec: int | None = None,
    wall: bytes | None = None,
    caller: bytes | None = None,
) -> Frame:
    text = line[start:]
    kind = Kind.DMESG
    if usec is not None and (tagged := _MONOTONIC.match(text)):
        # journalctl -o short-monotonic: host and tag follow the stamp. printk's texts have no host before the
        # name of their subsystem.
        kind = Kind.MONOTONIC
        kernel = kernel and tagged[2] == b"kernel"
        text = text[tagged.end() :]
        start += tagged.end()
    elif b"\\x" in text:
        text = decode_dmesg(text)
    wall_clock = normalise(wall) if wall else None
    return Frame(LogRecord(text, usec, wall_clock, None, caller, level, kernel), kind, start)
