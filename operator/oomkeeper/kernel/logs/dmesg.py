"""The bracketed stamps that printk, util-linux and vendors put before the text.

[  123.456789] text                          printk.time=1 (kernel/printk/printk.c print_time), dmesg,
/proc/kmsg, consoles [   49.921978][ T6736] text                  CONFIG_PRINTK_CALLER, 5.1 (15ff2069cb7f);
dmesg of util-linux 2.40 adds a space between [  766.096069 <    0.000005>] text           dmesg -d;   [<
0.000005>] -d -t;   [  +0.000005] and [Nov23 09:09] dmesg -e [Mon Nov 23 09:09:20 2026] text
dmesg -T, weekday and month in the locale's words [  123.456789] (2)[4251:binder] text         Android vendors
put the CPU and the task between stamp and text, [  123.456789]  [0:  swapper/0:    0] text   and some the CPU
into the stamp, [  123.456789,0] 2026-11-23T09:09:20,096069+00:00 text        dmesg --time-format iso: the
comma tells it from a daemon's time stamp kern  :warn  : [  123.456789] text           dmesg -x before any of
these
"""

from oomkeeper.model.log import LogRecord

from ..lazy import lazy
from .escapes import decode_hex
from .frame import LEVELS, Frame, Kind
from .wall import normalise

_STAMP = lazy(
    rb"\[(?:"
    rb" *(\d+\.\d{1,9})(?:,\d+)?(?: <\ *\d+\.\d+>)?"
    rb"| *[+<] *\d+\.\d+>?"
    rb"|([^\[\]]{0,40}?\d\d:\d\d:\d\d \d{4})(?: <\ *\d+\.\d+>)?"
    rb"|([^\W\d_]{3,4}\d\d \d\d:\d\d)"
    rb")\](?: ?\[ *([TC]\d+)\])?"
    rb"(?: *(?:\(\d+\)\[\d+:[^\]]{1,16}\]|\[\d+: *[^\]\n:]{1,16}: *\d+\]))? ?"
)
_ISO = lazy(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}(?:Z|[+-]\d\d:?\d\d)) ?")
_DECODED = lazy(
    rb"(kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local[0-7]|res\d+) *:(\w+) *: ?"
)
_MONOTONIC = lazy(rb"([\w.-]+) (kernel(?=: )|[\w@./-]+(?=\[\d+\]: ))(?:\[\d+\])?: ")


def parse_dmesg(line: bytes) -> Frame | None:
    """The line's frame, or None where it begins with none of the above. Uptime and level come out as the line
    has them."""
    level = None
    kernel = True
    start = 0
    if decoded := _DECODED.match(line):
        start = decoded.end()
        level = LEVELS.get(decoded[2])
        kernel = decoded[1] == b"kern"
        if level is None:
            return None
    if stamp := _STAMP.match(line, start):
        uptime, wall, _, caller = stamp.groups()
        return _framed(line, stamp.end(), uptime=uptime, wall=wall, caller=caller, level=level, kernel=kernel)
    if stamp := _ISO.match(line, start):
        return _framed(line, stamp.end(), wall=stamp[1], level=level, kernel=kernel)
    if decoded:
        return _framed(line, start, level=level, kernel=kernel)
    return None


def strip_stamp(text: bytes) -> tuple[bytes, int | None, bytes | None]:
    """Text, microseconds since boot, caller: of what follows a syslog tag, where the stamp is there or
    not."""
    if text[:1] == b"[" and (stamp := _STAMP.match(text)) and stamp[1]:
        return text[stamp.end() :], to_usec(stamp[1]), stamp[4]
    return text, None, None


def to_usec(uptime: bytes) -> int:
    """`123.456789` in microseconds; consoles of some vendors print fewer or more digits."""
    seconds, _, fraction = uptime.partition(b".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, b"0")[:6])


def _framed(
    line: bytes,
    start: int,
    *,
    level: int | None,
    kernel: bool,
    uptime: bytes | None = None,
    wall: bytes | None = None,
    caller: bytes | None = None,
) -> Frame:
    text = line[start:]
    kind = Kind.DMESG
    if uptime and (tagged := _MONOTONIC.match(text)):
        # journalctl -o short-monotonic: host and tag follow the stamp. printk texts have no host before their
        # subsystem's name.
        kind = Kind.MONOTONIC
        kernel = kernel and tagged[2] == b"kernel"
        text = text[tagged.end() :]
        start += tagged.end()
    elif b"\\x" in text:
        text = decode_hex(text)
    record = LogRecord(
        text=text,
        usec=to_usec(uptime) if uptime else None,
        wall=normalise(wall) if wall else None,
        caller=caller,
        level=level,
        kernel=kernel,
    )
    return Frame(record, kind, start)
