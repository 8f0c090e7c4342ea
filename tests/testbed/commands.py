"""Other programs, run to their end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import TestbedError


def run(
    command: Sequence[str | Path],
    *,
    input: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    seconds: float | None = None,
) -> str:
    """Give its stdout.

    `environment` is added to this process's own. Raises TestbedError with the end of what it printed when it
    fails, or takes longer than `seconds`.
    """
    named = " ".join(str(part) for part in command[:6])
    try:
        done = subprocess.run(
            command,
            input=input,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except FileNotFoundError as error:
        raise TestbedError(f"{named}: {error.filename} not found: install it, then try again") from error
    except subprocess.TimeoutExpired as error:
        raise TestbedError(f"{named}: not done within {seconds} s") from error
    if done.returncode != 0:
        raise TestbedError(f"{named}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


def succeeds(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, seconds: float = 30
) -> bool:
    """Whether it ends with 0 in time."""
    try:
        run(command, environment=environment, seconds=seconds)
    except TestbedError:
        return False
    return True


def run_saying(
    command: Sequence[str | Path], *, say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> None:
    """Run it, saying each line that it prints as it comes.

    Raises TestbedError with the last of them when it fails.
    """
    last: list[str] = []
    with subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if text := line.strip():
                last = [*last[-20:], text]
                say(text)
    if running.returncode != 0:
        named = " ".join(str(part) for part in command[:6])
        raise TestbedError(f"{named}: exit {running.returncode}: " + "\n".join(last))
