"""Lines that prove where an OOM report begins or ends.

Only a line whose own framing shows that the kernel wrote it proves anything: a process that could fake the
end of a report could hide the rest of it. An indented line may belong to the record before, and a bare line
to any program.
"""

from enum import Enum, auto

from ...lazy import lazy
from ..formats.detect import find_frame
from ..formats.frame import Kind

_KINDS = (Kind.DMESG, Kind.SYSLOG, Kind.KMSG, Kind.MONOTONIC)
_HEADER = lazy(rb"[^\n]{0,15} invoked oom-killer: ")
"""comm is at most 15 bytes (TASK_COMM_LEN); an escaped one may be longer, and then proves nothing."""
_KILL = lazy(
    rb"(?:Memory cgroup out of memory: |Out of memory(?: \(oom_kill_allocating_task\))?: )?"
    rb"Killed process \d"
)
_REAPED = b"oom_reaper: reaped process "


class Landmark(Enum):
    """What the line proves."""

    HEADER = auto()
    """A report begins here, so it has nothing to do with the lines before."""
    KILL = auto()
    """A report ends here: oom_lock is held from its header to the last of its kills (mm/oom_kill.c), so no
    report is open any more."""
    REAPED = auto()
    """Printed by a separate thread some time after the kill, possibly inside the next report."""


def landmark_of(line: bytes) -> Landmark | None:
    """Return the landmark that a line is, or None if it proves nothing. A JSON entry of journald counts only
    if it is complete."""
    if line[:1].isspace() or (frame := find_frame(line)) is None or not frame.record.kernel:
        return None
    if frame.kind not in _KINDS and line[:1] != b"{":
        return None
    text = frame.record.text
    if _KILL.match(text):
        return Landmark.KILL
    if text.startswith(_REAPED):
        return Landmark.REAPED
    return Landmark.HEADER if _HEADER.match(text) else None
