"""Parse the log lines of the agent and the controller, strictly: what a collector such as Loki would read."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime
from typing import Any

_PAIR = re.compile(r'([a-z][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[^\s="\\]+)(?: |$)')
HEAD = ["time", "level", "logger", "msg"]
LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})


def parse_logfmt(line: str) -> dict[str, str]:
    """Return the fields in their order. Raises ValueError for a line that is no logfmt of ours."""
    if not line.isprintable():
        raise ValueError(f"unprintable characters: {line!r}")
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(line):
        match = _PAIR.match(line, at)
        if match is None:
            raise ValueError(f"no key=value at column {at}: {line!r}")
        key, value = match.groups()
        pairs.append((key, json.loads(value) if value.startswith('"') else value))
        at = match.end()
    return _checked(pairs, line=line)


def parse_json(line: str) -> dict[str, Any]:
    """Return the members in their order. Raises ValueError for a line that is no JSON object of ours."""
    if not line.isprintable():
        raise ValueError(f"unprintable characters: {line!r}")
    return _checked(json.loads(line, object_pairs_hook=list), line=line)


def _checked(pairs: list[tuple[str, Any]], *, line: str) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if keys[:4] != HEAD or len(set(keys)) < len(keys):
        raise ValueError(f"keys {keys}: {line!r}")
    found = dict(pairs)
    if found["level"] not in LEVELS:
        raise ValueError(f"level {found['level']}: {line!r}")
    if datetime.fromisoformat(found["time"]).tzinfo is None:
        raise ValueError(f"time without zone: {line!r}")
    return found


def parse_log(text: str) -> list[dict[str, str]]:
    """Parse every line of a process's log. Raises ValueError."""
    return [parse_logfmt(line) for line in text.splitlines()]


class LineCheck(logging.Handler):
    """Format each record in both formats, parse the lines, and collect what is wrong."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        from oomkeeper.logformat import JSONFormatter, LogfmtFormatter

        self._logfmt, self._json = LogfmtFormatter(), JSONFormatter()
        self.problems: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = parse_logfmt(self._logfmt.format(record))
            members = parse_json(self._json.format(record))
            if list(fields) != list(members):
                self.problems.append(f"logfmt has {list(fields)}, JSON has {list(members)}")
        except (ValueError, TypeError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
