"""Programs that the demo starts, and that end with it for any reason."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from .narration import DemoError

OOMKEEPER = (sys.executable, "-m", "oomkeeper")
CHECKOUT = Path(__file__).parents[1]
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

T = TypeVar("T")


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the demo ends, by SIGKILL too (prctl(2)); for preexec_fn."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def running(
    command: Sequence[str], *, stdout: int | IO[bytes] | None = None, stderr: int | IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; then send SIGTERM, and SIGKILL if that takes too long.

    In its own session: a Ctrl-C in the terminal is for the demo, which ends things in order.
    """
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"}, preexec_fn=end_with_parent,
    )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], *, seconds: float = 15.0) -> int:
    """End one program in order and return its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def oomkeeper_output(*arguments: str) -> str:
    """Return the output of one run of `oomkeeper`. Raises DemoError with its error message."""
    done = subprocess.run([*OOMKEEPER, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"oomkeeper {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def eventually(look: Callable[[], T | None], *, what: str, seconds: float = 30.0, every: float = 0.1) -> T:
    """Return the first true result of `look`. Raises DemoError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise DemoError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
