"""Check that tag, package, chart and changelog have one version: `python -m tests.testbed.release vX.Y.Z`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import yaml

_CHECKOUT = Path(__file__).parents[2]


def problems(tag: str, *, checkout: Path = _CHECKOUT) -> list[str]:
    """Return what does not have the version of `tag`, a sentence each; empty when everything matches."""
    wanted = tag.removeprefix("v")
    chart = yaml.safe_load((checkout / "charts" / "oomkeeper" / "Chart.yaml").read_text())
    package = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"]
    changelog = re.findall(r"^## (\d\S*)", (checkout / "CHANGELOG.md").read_text(), re.MULTILINE)
    found = {
        "pyproject.toml": package,
        "version in Chart.yaml": chart["version"],
        "appVersion in Chart.yaml": chart["appVersion"],
        "newest version in CHANGELOG.md": changelog[0] if changelog else "missing",
    }
    return [f"{where}: {value}, not {wanted}" for where, value in found.items() if str(value) != wanted]


def main(arguments: list[str]) -> int:
    """Print what differs and return the exit code."""
    [tag] = arguments
    wrong = problems(tag)
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
