"""`python -m tests.testbed.hostpackages FOLDER [--architecture amd64|arm64]`: write the packages."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from oomkeeper import __version__

from .. import recipes
from ..binaries import binaries
from ..cache import Say
from ..errors import TestbedError
from .stage import MACHINES, PACKAGING, PYTHONS, ROOT, stage

FORMATS = ("deb", "rpm")
_CONFIGURATION = ("etc/oomkeeper/policy.yaml", "etc/oomkeeper/oomkeeper.env")


def build(target: Path, *, architecture: str, pythons: tuple[str, ...] = PYTHONS, say: Say) -> list[Path]:
    """Build the packages into `target`; return their paths. Raises TestbedError."""
    nfpm = binaries((recipes.NFPM,), say=say)["nfpm"]
    target.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory(prefix="oomkeeper-packages-") as scratch:
        root = Path(scratch) / "root"
        stage(root, architecture=architecture, pythons=pythons, say=say)
        for format in FORMATS:
            file = Path(scratch) / f"{format}.yaml"
            file.write_text(yaml.safe_dump(_description(root, architecture=architecture, format=format)))
            name = target / f"oomkeeper-{__version__}.{MACHINES[architecture]}.{format}"
            command = [nfpm, "package", "--config", file, "--packager", format, "--target", name]
            environment = {**os.environ, "SOURCE_DATE_EPOCH": _commit_time()}
            done = subprocess.run(
                [*map(str, command)], capture_output=True, text=True, check=False, env=environment
            )
            if done.returncode != 0:
                raise TestbedError(f"nfpm: {done.stdout}{done.stderr}")
            made.append(name)
    return made


def _description(root: Path, *, architecture: str, format: str) -> dict[str, object]:
    contents = [{"src": str(root / "usr"), "dst": "/usr", "type": "tree"}]
    contents += [
        {"src": str(root / name), "dst": f"/{name}", "type": "config|noreplace"} for name in _CONFIGURATION
    ]
    return {
        "name": "oomkeeper",
        "arch": architecture,
        "platform": "linux",
        "version": __version__,
        "section": "admin",
        "priority": "optional",
        "maintainer": "oomkeeper maintainers <maintainers@oomkeeper.dev>",
        "description": (
            "Enforces OOM settings on this host and explains every OOM kill\n"
            "The sysctls and oom_score_adj values of a policy are kept in force, and every kill of the\n"
            "kernel's OOM killer is recorded with its cause."
        ),
        "license": "Apache-2.0",
        "depends": ["python3 (>= 3.11)"] if format == "deb" else ["python3"],
        "contents": contents,
        "scripts": {
            "postinstall": str(PACKAGING / "postinstall.sh"),
            "preremove": str(PACKAGING / "preremove.sh"),
            "postremove": str(PACKAGING / "postremove.sh"),
        },
    }


def _commit_time() -> str:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return given
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "0"


def main() -> int:
    """Build, and print the paths."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed.hostpackages", description=__doc__)
    own = "arm64" if platform.machine() == "aarch64" else "amd64"
    parser.add_argument("folder", type=Path)
    parser.add_argument("--architecture", choices=tuple(MACHINES), default=own)
    parser.add_argument("--python", action="append", choices=PYTHONS, help="default: all of them")
    options = parser.parse_args()
    try:
        made = build(
            options.folder,
            architecture=options.architecture,
            pythons=tuple(options.python or PYTHONS),
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except TestbedError as error:
        print(error, file=sys.stderr)
        return 1
    for path in made:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
