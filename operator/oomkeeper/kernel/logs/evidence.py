"""What a line that the scan found proves about the lines around it.

Only a line whose own framing shows that the kernel wrote it proves anything: were a process able to feign the
end of a report, it could hide the rest. An indented line may belong to the record before, and a bare one to
anybody.
"""

from enum import Enum, auto

from ..lazy import lazy
from .frame import Kind
from .framing import find_frame

_KINDS = (Kind.DMESG, Kind.SYSLOG, Kind.KMSG, Kind.MONOTONIC)
_HEAD = lazy(rb"[^\n]{0,15} invoked oom-killer: ")
"""comm is at most 15 bytes (TASK_COMM_LEN); an escaped one may be longer, and then proves nothing."""
_KILL = lazy(
    rb"(?:Memory cgroup out of memory: |Out of memory(?: \(oom_kill_allocating_task\))?: )?"
    rb"Killed process \d"
)
_REAPED = b"oom_reaper: reaped process "


class Trace(Enum):
    """What the line is."""

    HEAD = auto()
    """A report begins here, so nothing before has to do with it."""
    KILL = auto()
    """A report ends here: oom_lock is held from its header to the last of its kills (mm/oom_kill.c), so none
    is open any more."""
    REAPED = auto()
    """Printed by a thread of its own some time after the kill, and perhaps amid the next report."""


def trace_of(line: bytes) -> Trace | None:
    """The kind of a line, or None where it proves nothing. A JSON entry of journald's counts whole only."""
    if line[:1].isspace() or (frame := find_frame(line)) is None or not frame.record.kernel:
        return None
    if frame.kind not in _KINDS and line[:1] != b"{":
        return None
    text = frame.record.text
    if _KILL.match(text):
        return Trace.KILL
    if text.startswith(_REAPED):
        return Trace.REAPED
    return Trace.HEAD if _HEAD.match(text) else None
