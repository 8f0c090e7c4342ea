"""Log lines: one event per line, parseable whatever the values hold."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.logformat import (
    MAX_VALUE_LENGTH,
    EventLogger,
    JSONFormatter,
    LogfmtFormatter,
    LogFormat,
    configure_logging,
    get_logger,
)
from oomkeeper.model.cause import Cause
from tests.loglines import LineCheck, parse_json, parse_log, parse_logfmt


class Captured:
    """A logger of its own, and its lines in both formats."""

    def __init__(self) -> None:
        self.logfmt, self.json = io.StringIO(), io.StringIO()
        logger = logging.Logger("oomkeeper.test", level=logging.DEBUG)
        for stream, formatter in ((self.logfmt, LogfmtFormatter()), (self.json, JSONFormatter())):
            handler = logging.StreamHandler(stream)
            handler.setFormatter(formatter)
            logger.addHandler(handler)
        self.log = EventLogger(logger)

    def fields(self) -> dict[str, str]:
        (line,) = self.logfmt.getvalue().split("\n")[:-1]
        return {key: value for key, value in parse_logfmt(line).items() if key not in ("time", "logger")}

    def members(self) -> dict[str, object]:
        (line,) = self.json.getvalue().split("\n")[:-1]
        return {key: value for key, value in parse_json(line).items() if key not in ("time", "logger")}


@pytest.fixture
def captured() -> Captured:
    return Captured()


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def test_event_is_one_line_with_message_and_fields(captured: Captured) -> None:
    captured.log.info("incident published", namespace="web", kills=3, cpu=1.23456, x=True, pod=None)
    assert captured.logfmt.getvalue().endswith(
        'Z level=info logger=oomkeeper.test msg="incident published" namespace=web kills=3 cpu=1.235 x=true\n'
    )
    assert captured.members() == {
        "level": "info",
        "msg": "incident published",
        "namespace": "web",
        "kills": 3,
        "cpu": 1.235,
        "x": True,
    }


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("one\ntwo", '"one\\ntwo"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("\u202eright to left", '"\\u202eright to left"'),
        ("\udcff", '"\\udcff"'),
        ("naïve", "naïve"),
        ("no\u00a0break", '"no\\u00a0break"'),
        (("vm.swappiness", "kernel.panic"), "vm.swappiness,kernel.panic"),
        ((), '""'),
        (Cause.POD_LIMIT, "PodLimit"),
        (Path("/proc/1"), "/proc/1"),
        (OSError(2, "No such file", "/x"), "\"[Errno 2] No such file: '/x'\""),
        (TimeoutError(), "TimeoutError"),
        (float("inf"), "inf"),
    ],
)
def test_value_is_quoted_where_needed(value: object, printed: str, captured: Captured) -> None:
    captured.log.info("tried", value=value)
    assert captured.logfmt.getvalue().endswith(f" msg=tried value={printed}\n")
    captured.fields()
    captured.members()


@given(st.text(), st.text())
def test_any_text_comes_back_as_it_was(message: str, value: str) -> None:
    captured = Captured()
    captured.log.warning(message, value=value)
    assert captured.fields() == {"level": "warning", "msg": message, "value": value}
    assert captured.members() == {"level": "warning", "msg": message, "value": value}


def test_long_value_is_cut(captured: Captured) -> None:
    captured.log.info("read", value="x" * (MAX_VALUE_LENGTH + 1))
    value = captured.fields()["value"]
    assert len(value) == MAX_VALUE_LENGTH
    assert value.endswith("x...")


def test_traceback_is_one_field(captured: Captured) -> None:
    try:
        raise ValueError("of\nno use")
    except ValueError as error:
        captured.log.exception("thread died", error, name="watcher")
    found = captured.fields()
    assert found["error"] == "of\nno use"
    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert found["name"] == "watcher"
    assert found["level"] == "error"


def test_percent_sign_in_a_message_is_no_placeholder(captured: Captured) -> None:
    captured.log.info("100 % of %s", value="50 %")
    assert captured.fields()["msg"] == "100 % of %s"


@pytest.mark.usefixtures("_root_logger")
@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_records_of_other_libraries_have_the_same_format(log_format: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(level=logging.INFO, log_format=log_format, stream=stream)
    logging.getLogger("kopf").warning("Watching %s\nfailed", "pods")
    logging.getLogger("kopf").debug("not at this level")
    get_logger("oomkeeper.test").info("started", node="n1")
    foreign, own = (
        json.loads(line) if log_format == "json" else parse_logfmt(line)
        for line in stream.getvalue().splitlines()
    )
    assert foreign["msg"] == "Watching pods\nfailed"
    assert foreign["logger"] == "kopf"
    assert own["node"] == "n1"


@pytest.mark.usefixtures("_root_logger")
def test_stderr_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level=logging.INFO)
    get_logger("oomkeeper.test").info("started")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line["msg"] for line in parse_log(err)] == ["started"]
    assert sys.stderr is not None


@pytest.mark.parametrize(
    "line",
    [
        "plain text",
        "time=2026-11-27T14:00:00.123Z level=info logger=a",
        'time=2026-11-27T14:00:00.123Z level=info logger=a msg="not closed',
        "time=2026-11-27T14:00:00.123Z level=info logger=a msg=a msg=b",
        "time=2026-11-27T14:00:00.123Z level=info logger=a msg=a b",
        "time=2026-11-27T14:00:00.123 level=info logger=a msg=a",
        "time=2026-11-27T14:00:00.123Z level=loud logger=a msg=a",
        "time=2026-11-27T14:00:00.123Z level=info logger=a msg=a\x1b",
    ],
)
def test_parser_of_the_tests_rejects_broken_lines(line: str) -> None:
    with pytest.raises(ValueError):
        parse_logfmt(line)


def test_check_of_every_test_finds_a_reserved_field() -> None:
    check = LineCheck()
    logger = logging.Logger("oomkeeper.test")
    logger.addHandler(check)
    EventLogger(logger).info("set", level=3)
    assert len(check.problems) == 1
