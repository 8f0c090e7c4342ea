"""Kill lines that other programs quote: node-problem-detector's events, a container runtime's log, a chat.

A quoted kill of a process that is already known to be killed is the same kill. The kernel's own lines always
count: pids are reused.
"""

from collections import OrderedDict

from ...model.log import LogRecord
from .killline import parse_chosen, parse_killed
from .oomkill import parse_summary

_MOST_KILLS = 10_000


class QuotedKills:
    """The kills of one text so far."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, str], None] = OrderedDict()

    def is_echo(self, record: LogRecord) -> bool:
        """Return True for a quoted line about a kill that is already known; remember other kills."""
        process = _killed(record.text)
        if process is None:
            return record.quoted and _chosen(record.text) in self._known
        if process in self._known and record.quoted:
            return True
        self._known[process] = None
        self._known.move_to_end(process)
        if len(self._known) > _MOST_KILLS:
            self._known.popitem(last=False)
        return False


def _killed(text: bytes) -> tuple[int, str] | None:
    if b"Killed process " in text[:64] and (victim := parse_killed(text)) is not None:
        return victim.pid, victim.comm
    return None


def _chosen(text: bytes) -> tuple[int, str] | None:
    if text.startswith(b"oom-kill:"):
        summary = parse_summary(text)
        if summary is not None and summary.pid is not None:
            return summary.pid, summary.comm or ""
    return parse_chosen(text) if b"ill process " in text[:64] else None
