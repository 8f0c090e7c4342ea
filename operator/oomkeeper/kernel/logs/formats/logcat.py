"""The kernel's lines in Android's log (`logcat -b kernel`, bugreports).

    11-19 16:29:37.412     0     0 E Out of memory: Killed process 10192 (agent) ...      -v threadtime
    11-19 16:29:37.412  root     0     0 E ...                                            -v threadtime,uid

Pid and tid 0 belong to the swapper and to no process, so they mark the kernel (system/logging/logd/
LogKlog.cpp). logd takes the text up to the first `: ` for a tag if it looks like one, and pads it to 8
columns; tag and text together are the kernel's text.
"""

from oomkeeper.model.log import LogRecord

from ...lazy import lazy
from .dmesg import strip_stamp
from .frame import Frame, Kind

_THREADTIME = lazy(
    rb"((?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6})(?: +[a-z]\w*)? +(\d+) +(\d+) ([VDIWEFA]) (.*?) *: ?"
)
_LEVELS = {b"V": 7, b"D": 7, b"I": 6, b"W": 4, b"E": 3, b"F": 2, b"A": 1}


def parse_logcat(line: bytes) -> Frame | None:
    """Return the line's frame, or None for another format."""
    found = _THREADTIME.match(line)
    if found is None:
        return None
    kernel = found[2] == b"0" and found[3] == b"0"
    tag, text = found[5], line[found.end() :]
    usec = caller = None
    if kernel:
        text, usec, caller = strip_stamp(text)
        if tag and tag != b"kernel":
            text = tag + b": " + text
    record = LogRecord(
        text=text, usec=usec, wall=found[1].decode(), caller=caller, level=_LEVELS[found[4]], kernel=kernel
    )
    return Frame(record, Kind.OTHER, found.end())
