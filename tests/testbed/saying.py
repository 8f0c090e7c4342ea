"""Telling people how far a testbed is while pytest captures what tests print."""

from __future__ import annotations

import pytest

from .cache import Say


def to_terminal(request: pytest.FixtureRequest) -> Say:
    """Return a Say that writes to the terminal of the run immediately: a first build takes minutes."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    reporter = request.config.pluginmanager.getplugin("terminalreporter")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"testbed: {text}")

    return say
