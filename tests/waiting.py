"""Wait for what happens elsewhere: in a kernel, an API server, another process."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable
from typing import TypeVar

from tests.testbed.errors import TestbedError

T = TypeVar("T")

NOT_YET: tuple[type[Exception], ...] = (
    AssertionError,
    LookupError,
    ValueError,
    TestbedError,
    urllib.error.HTTPError,
)
"""Failures of a look that may pass: an object is missing, half written, or refused for now."""


def eventually(
    look: Callable[[], T],
    *,
    seconds: float = 60.0,
    interval_seconds: float = 0.1,
    also: tuple[type[Exception], ...] = (),
) -> T:
    """Return the first true result of `look`, called again while it is false or raises NOT_YET or `also`.

    Raises AssertionError with the last result or failure after `seconds`; any other exception passes through.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := look():
                return found
            problem = f"still {found!r}"
        except (*NOT_YET, *also) as error:
            problem = f"{type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {problem}")
        time.sleep(interval_seconds)
