"""Lint the Helm chart and package it: `python -m tests.testbed.chart FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from . import recipes
from .binaries import binaries
from .commands import run
from .errors import TestbedError

CHART = Path(__file__).parents[2] / "charts" / "oomkeeper"


def main(arguments: list[str]) -> int:
    """Write FOLDER/oomkeeper-VERSION.tgz and return the exit code."""
    [folder] = arguments
    try:
        helm = binaries((recipes.HELM,), say=_say)["helm"]
        print(run([helm, "lint", "--strict", CHART]).strip())
        print(run([helm, "package", CHART, "--destination", folder]).strip())
    except TestbedError as error:
        _say(f"error: {error}")
        return 1
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
