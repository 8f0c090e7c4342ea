"""Log events of the agent and the controller: one per line on stderr, as logfmt or JSON.

Use:

    from oomkeeper.logformat import get_logger

    log = get_logger(__name__)
    log.info("incident published", namespace=namespace, name=name, kills=3)
    log.warning("watch failed", path=path, error=error, retry_seconds=1.5)

prints

    time=2026-11-27T14:00:00.123Z level=info logger=oomkeeper.agent.publisher msg="incident published"
    namespace=web name=api-1 kills=3

The message is a constant phrase in the past tense ("sysctl set") or a noun, without values, so that it can be
searched for. Everything that varies is a field, passed by keyword: names are snake_case and carry the unit,
`error` is the problem (an exception or a text). A field that is None is left out. `time`, `level`, `logger`,
`msg` and `exception` are taken. Keys are those of Go's log/slog.

Records of other libraries, which use `logging` directly, come out in the same format without fields. Standard
library only: the agent imports this module.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Literal, TextIO, get_args

LogFormat = Literal["logfmt", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)

MAX_VALUE_LENGTH = 8192
"""Characters of one value; a longer one is cut and ends in three dots."""

_BARE = re.compile(r'[^\s="\\]+')
_FIELDS = "oomkeeper_fields"

_Scalar = str | int | float | bool
_Value = _Scalar | list[_Scalar]


class EventLogger:
    """A logger whose calls take a constant message and fields by keyword."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, /, **fields: object) -> None:
        """Log what helps to follow a single run."""
        self._emit(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        """Log what an operator wants to see in normal operation."""
        self._emit(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        """Log a problem that is retried or worked around."""
        self._emit(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """Log a problem that needs a person."""
        self._emit(logging.ERROR, message, fields)

    def exception(self, message: str, error: BaseException, /, **fields: object) -> None:
        """Log an unexpected exception with its traceback, which becomes one field."""
        self._emit(logging.ERROR, message, {"error": error, **fields}, error)

    def log(self, level: int, message: str, /, **fields: object) -> None:
        """Log at a level of `logging`."""
        self._emit(level, message, fields)

    def _emit(
        self, level: int, message: str, fields: Mapping[str, object], error: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, exc_info=error, extra={_FIELDS: fields})


def get_logger(name: str) -> EventLogger:
    """Return the logger of a module; pass `__name__`."""
    return EventLogger(logging.getLogger(name))


def configure_logging(*, level: int, log_format: LogFormat = "logfmt", stream: TextIO | None = None) -> None:
    """Send every log record of the process to `stream` (stderr by default) in this format.

    Replaces what was configured before. Warnings of the `warnings` module become log records too.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONFormatter() if log_format == "json" else LogfmtFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


class LogfmtFormatter(logging.Formatter):
    """Format a record as `key=value` pairs.

    A value is quoted, with JSON's escapes, where it is empty, holds white space, `=`, `"` or a backslash, or
    anything that cannot be printed.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        return " ".join(f"{key}={_logfmt_value(value)}" for key, value in _pairs(record))


class JSONFormatter(logging.Formatter):
    """Format a record as one JSON object; numbers, booleans and lists keep their type."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        members = ", ".join(f"{_quoted(key)}: {_json_value(value)}" for key, value in _pairs(record))
        return f"{{{members}}}"


def _pairs(record: logging.LogRecord) -> Iterable[tuple[str, _Value]]:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    yield "time", f"{moment}.{int(record.created * 1000) % 1000:03d}Z"
    yield "level", record.levelname.lower()
    yield "logger", record.name
    yield "msg", _cut(record.getMessage())
    for key, value in getattr(record, _FIELDS, {}).items():
        if value is not None:
            yield key, _plain(value)
    if record.exc_info and record.exc_info[0] is not None:
        yield "exception", _cut(_traceback.formatException(record.exc_info))


_traceback = logging.Formatter()


def _plain(value: object) -> _Value:
    """Return the value as a type that JSON has; a StrEnum member becomes its text."""
    if isinstance(value, (list, tuple, set, frozenset)):
        listed = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [_scalar(item) for item in listed]
    return _scalar(value)


def _scalar(value: object) -> _Scalar:
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        # JSON knows no infinity and no NaN.
        return round(value, 3) if abs(value) < float("inf") else str(value)
    if isinstance(value, BaseException):
        return _cut(str(value) or type(value).__name__)
    if isinstance(value, Mapping):
        return _cut(json.dumps(value, default=str))
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 3] + "..."


def _logfmt_value(value: _Value) -> str:
    text = ",".join(map(_text, value)) if isinstance(value, list) else _text(value)
    return text if text.isprintable() and _BARE.fullmatch(text) else _quoted(text)


def _text(value: _Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_value(value: _Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_json_value(item) for item in value)}]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    """Return a JSON string in which everything that a terminal could act on is escaped.

    A byte that was no UTF-8 (a lone surrogate, by surrogateescape) comes out as `\\udcNN`.
    """
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    return json.dumps(char, ensure_ascii=not char.isprintable())[1:-1]
