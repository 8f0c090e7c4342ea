"""One run of kubectl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .errors import KubectlError


def run_kubectl(
    program: Path, *arguments: str, kubeconfig: Path, cache: Path, input: str | None, check: bool
) -> str:
    """Give its stdout, followed by its stderr when `check` is off.

    `cache` is for its discovery, which would else stay in the home folder after the server is gone.
    Raises KubectlError when `check` is on and it fails.
    """
    command: list[str | Path] = [program, f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", *arguments]
    done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise KubectlError(arguments=arguments, returncode=done.returncode, stderr=done.stderr)
    return done.stdout if check else done.stdout + done.stderr
