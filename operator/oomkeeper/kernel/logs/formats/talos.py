"""Lines of Talos Linux (`talosctl dmesg`): node, facility, level, and the time in brackets.

10.0.0.2: kern: warning: [2026-11-23T09:09:20.096069Z]: text
"""

from ...facility import LEVELS
from ...lazy import lazy
from .frame import Frame
from .syslog_record import syslog_frame
from .timestamps import normalise

_TALOS = lazy(rb"(?:\S+: +)?(kern|user|daemon): +(\w+): \[(\d{4}-[^\]]{1,40})\]: ?")


def parse_talos(line: bytes) -> Frame | None:
    """Return the line's frame, or None for another format."""
    talos = _TALOS.match(line)
    if talos is None:
        return None
    return syslog_frame(
        line,
        talos.end(),
        wall=normalise(talos[3]),
        level=LEVELS.get(talos[2]),
        kernel=talos[1] == b"kern",
    )
