"""Runs the commands as a user does: as a process of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DATA = Path(__file__).parent / "data"
POD_LOG = DATA / "pod-limit-6.18-cgroup-v1.log"
"""A real report of kernel 6.18 on cgroup v1: a container's `tail` met its pod's limit."""
CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus"
"""Real logs from public sources, beside the checkout; not part of it."""


def environment(**changes: str) -> dict[str, str]:
    """The environment of a run: a UTF-8 locale and no colour settings unless `changes` says so."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))}
    for key in ("NO_COLOR", "COLUMNS", "TERM"):
        env.pop(key, None)
    return {**env, "LANG": "C.UTF-8", **changes}


def oomkeeper(
    *words: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, module: str = "oomkeeper"
) -> "subprocess.CompletedProcess[bytes]":
    """One run to its end, with what it wrote."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        input=stdin,
        capture_output=True,
        env=environment() if env is None else dict(env),
        timeout=60,
        check=False,
    )
