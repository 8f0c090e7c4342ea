"""The way of `explain` around click."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from oomkeeper.cli import explain_logs
from oomkeeper.cli.explain import command
from oomkeeper.cli.plain_explain import plain_explain

from .running import POD_LOG

Call = tuple[tuple[str, ...], str]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-"],
        [str(POD_LOG)],
        [str(POD_LOG), "-o", "json"],
        ["--output", "html", str(POD_LOG)],
        ["-o", "json", "-o", "text", "missing", "-"],
        [str(POD_LOG.parent), ""],
    ],
)
def test_plain_explain_is_what_click_would_call(words: list[str]) -> None:
    calls: list[Call] = []

    def record(names: list[str] | tuple[str, ...], *, output: str) -> int:
        calls.append((tuple(names), output))
        return 7

    with (
        patch.object(explain_logs, "explain_logs", record),
        patch("oomkeeper.cli.explain.explain_logs", record),
    ):
        work = plain_explain(words)
        assert work is not None
        assert work() == 7
        with command.make_context("explain", list(words)) as context:
            assert command.invoke(context) == 7
    assert calls[0] == calls[1]


@pytest.mark.parametrize(
    "words",
    [["--help"], ["-h"], ["--", "x"], ["-ojson"], ["-o"], ["-o", "yaml"], ["--output=json"], ["--unknown"]],
)
def test_words_with_other_options_are_left_to_click(words: list[str]) -> None:
    assert plain_explain(words) is None


def test_unreadable_file_is_left_to_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.F_OK)  # root may read everything
    assert plain_explain([str(log)]) is None
