"""Lines of Huawei Cloud EulerOS: fields separated by `|`, with or without a date before them.

    warning|kernel[-]|[2919920.414131] text
    2026-11-23T09:09:20.096069+00:00 warning|kernel[-]|text

`kernel[-]` is the kernel; a pid between the brackets shows a process.
"""

from ...facility import LEVELS
from ...lazy import lazy
from .frame import Frame
from .syslog_record import syslog_frame

_PIPED = lazy(
    rb"(?:[^|\[]{1,80}\|){0,4}(emerg|panic|alert|crit|err|error|warn|warning|notice|info|"
    rb"debug)\|([\w./-]+)\[([\d-]*)\]\|"
)


def parse_euleros(
    line: bytes, start: int = 0, *, wall: str | None = None, kernel: bool = True
) -> Frame | None:
    """Return the line's frame, or None for another format. The caller has read `wall` from the `start` bytes
    before, and knows by `kernel` whether the kernel may have written the line."""
    piped = _PIPED.match(line, start)
    if piped is None:
        return None
    own = piped[2] == b"kernel" and piped[3] == b"-"
    return syslog_frame(line, piped.end(), wall=wall, level=LEVELS[piped[1]], kernel=kernel and own)
