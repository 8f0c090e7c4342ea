"""The files of the packages, as they lie below /."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ..cache import Say
from ..errors import BuildError
from .manpage import pages

ROOT = Path(__file__).parents[3]
PACKAGING = ROOT / "packaging"
LOCK = ROOT / "requirements-image.lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
HOST_PACKAGES = (
    "annotated-types",
    "backports-zstd",
    "click",
    "jinja2",
    "markupsafe",
    "msgspec",
    "prometheus-client",
    "pydantic",
    "pydantic-core",
    "pyyaml",
    "typing-extensions",
    "typing-inspection",
    "urllib3",
)
"""What `oomkeeper node` needs of the image's dependencies: without those of the controller."""
_IN_STDLIB = {"3.14": ("backports-zstd",)}


def stage(folder: Path, *, architecture: str, pythons: tuple[str, ...], say: Say) -> None:
    """Fill `folder`. `architecture`: one of MACHINES. Raises BuildError where a wheel cannot be had."""
    shutil.rmtree(folder, ignore_errors=True)
    library = folder / "usr/lib/oomkeeper"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "operator/oomkeeper", library / "app/oomkeeper", ignore=skip)
    for python in pythons:
        say(f"dependencies for Python {python} on {architecture}")
        _install(library / f"python{python}", python=python, machine=MACHINES[architecture])
    _put(PACKAGING / "launcher.sh", folder / "usr/bin/oomkeeper", mode=0o755)
    _put(PACKAGING / "systemd/oomkeeper.service", folder / "usr/lib/systemd/system/oomkeeper.service")
    _put(PACKAGING / "etc/policy.yaml", folder / "etc/oomkeeper/policy.yaml")
    _put(PACKAGING / "etc/oomkeeper.env", folder / "etc/oomkeeper/oomkeeper.env")
    for name in ("README.md", "CHANGELOG.md", "docs/oompolicy.md", "docs/host-packages.md"):
        _put(ROOT / name, folder / "usr/share/doc/oomkeeper" / Path(name).name)
    _put(ROOT / "LICENSE", folder / "usr/share/doc/oomkeeper/copyright")
    for name, text in pages().items():
        page = folder / f"usr/share/man/man8/{name}.gz"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(gzip.compress(text.encode(), mtime=0))


def host_requirements(python: str) -> str:
    """Return the part of the lock file that a host needs, for one version of Python."""
    blocks = re.split(r"\n(?=[a-z])", LOCK.read_text())
    found = {block.partition("==")[0]: block for block in blocks if "==" in block.splitlines()[0]}
    names = [name for name in HOST_PACKAGES if name not in _IN_STDLIB.get(python, ())]
    # pip evaluates markers for the Python that it runs on.
    return "\n".join(re.sub(r" ; [^\\\n]*", " ", found[name], count=1).rstrip() for name in names) + "\n"


def _install(target: Path, *, python: str, machine: str) -> None:
    target.mkdir(parents=True)
    requirements = (
        target.with_suffix(".txt") if "." not in target.name else target.parent / "requirements.txt"
    )
    requirements.write_text(host_requirements(python))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    wheels = ["--only-binary", ":all:", "--require-hashes", "--no-compile", "--implementation", "cp"]
    platforms = [f"manylinux{kind}_{machine}" for kind in ("2014", "_2_17", "_2_28")]
    options = [option for platform in platforms for option in ("--platform", platform)]
    command = [*pip, *wheels, *options, "--python-version", python, "--target", target, "-r", requirements]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    requirements.unlink()
    if done.returncode != 0:
        raise BuildError(f"dependencies for Python {python}: {done.stderr.strip()[-800:]}")
    shutil.rmtree(target / "bin", ignore_errors=True)


def _put(source: Path, target: Path, *, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)
