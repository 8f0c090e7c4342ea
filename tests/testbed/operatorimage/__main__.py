"""Build the image of oomkeeper if need be, and print its name and its archive's path, a tab between."""

from __future__ import annotations

import sys

from ..errors import TestbedError
from .making import operator_image


def main() -> int:
    """Give the exit code."""
    try:
        image = operator_image(say=_say)
    except TestbedError as error:
        _say(f"error: {error}")
        return 1
    print(f"{image.name}\t{image.archive}")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
