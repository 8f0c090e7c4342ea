"""The text behind a syslog tag: printk's stamp, if any, and the escapes of syslog daemons."""

from oomkeeper.model.log import LogRecord

from ...escapes import decode_rsyslog
from .dmesg import strip_stamp
from .frame import Frame, Kind


def syslog_frame(line: bytes, start: int, *, wall: str | None, level: int | None, kernel: bool) -> Frame:
    """Return the frame of a line whose text begins at `start`."""
    text = line[start:]
    usec = caller = None
    if kernel:
        text, usec, caller = strip_stamp(text)
        if b"#0" in text:
            text = decode_rsyslog(text)
    return Frame(LogRecord(text, usec, wall, None, caller, level, kernel), Kind.SYSLOG, start)
