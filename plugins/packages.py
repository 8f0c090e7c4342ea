"""The packages that the plugin needs: from the registry, at the versions and hashes of requirements.lock, for
several platforms; or those of the running environment, for it alone."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[1]
PURE = (
    "annotated-types", "click", "jinja2", "markupsafe", "pydantic", "pyyaml", "typing-extensions",
    "typing-inspection", "urllib3",
)  # fmt: skip
"""Packages that work without parts in C, or have none."""
NATIVE = ("msgspec", "pydantic-core")
"""Packages with a part in C or Rust, for each platform and Python."""
NATIVE_BEFORE_3_14 = ("backports-zstd",)
"""Python 3.14 has it in its standard library."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_COMPILED = (".so", ".pyd", ".dylib", ".pyx", ".pyi", ".c", ".h")


class Platform(NamedTuple):
    """A platform as the archive and as pip call it."""

    name: str
    tags: tuple[str, ...]


PLATFORMS = (
    Platform("linux-x86_64", ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64")),
    Platform("linux-aarch64", ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_28_aarch64")),
    Platform("darwin-x86_64", ("macosx_10_9_x86_64", "macosx_10_13_x86_64", "macosx_10_15_x86_64")),
    Platform("darwin-aarch64", ("macosx_11_0_arm64",)),
)


def fill(folder: Path, *, installed: bool) -> None:
    """Write the packages into FOLDER/pure and FOLDER/native/TAG.

    `installed`: take those of this environment, without a network. Raises CalledProcessError."""
    if installed:
        machine = {"arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
        tag = f"cp{sys.version_info.major}{sys.version_info.minor}-{sys.platform}-{machine}"
        for name in PURE:
            _copy(name, folder / "pure", compiled=False)
        for name in _native(f"{sys.version_info.major}.{sys.version_info.minor}"):
            _copy(name, folder / "native" / tag, compiled=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch)
        _download(PURE, wheels / "pure", python=PYTHONS[0], platform=PLATFORMS[0])
        _unzip(wheels / "pure", folder / "pure", compiled=False)
        for python in PYTHONS:
            for platform in PLATFORMS:
                tag = f"cp{python.replace('.', '')}-{platform.name}"
                _download(_native(python), wheels / tag, python=python, platform=platform)
                _unzip(wheels / tag, folder / "native" / tag, compiled=True)


def _native(python: str) -> tuple[str, ...]:
    return NATIVE if python == "3.14" else NATIVE + NATIVE_BEFORE_3_14


def _download(wanted_names: Sequence[str], folder: Path, *, python: str, platform: Platform) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(map(_locked, wanted_names)))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--require-hashes",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={python}",
    ]
    command += [f"--platform={tag}" for tag in platform.tags]
    subprocess.run([*command, f"--dest={folder}", "-r", str(wanted)], check=True)


def _locked(name: str) -> str:
    """Return the lines of requirements.lock for one package, with its hashes."""
    text = (CHECKOUT / "requirements.lock").read_text()
    match = re.search(rf"^{re.escape(name)}==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise LookupError(f"{name} is not in requirements.lock")
    return match[0]


def _unzip(wheels: Path, folder: Path, *, compiled: bool) -> None:
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if _wanted(name, compiled=compiled):
                    archive.extract(name, folder)


def _copy(name: str, folder: Path, *, compiled: bool) -> None:
    for source, relative in _files(name):
        if _wanted(relative, compiled=compiled):
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _files(name: str) -> Iterator[tuple[Path, str]]:
    for file in importlib.metadata.files(name) or ():
        path = Path(str(file.locate()))
        if path.is_file() and not str(file).startswith(".."):
            yield path, str(file)


def _wanted(name: str, *, compiled: bool) -> bool:
    """Return whether a package's file is needed: its modules, and licences."""
    if "__pycache__" in name or name.endswith(
        (".pyc", "/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json")
    ):
        return False
    if ".dist-info/" in name:
        return "licen" in name.lower() or name.endswith("/METADATA")
    native = name.endswith(_COMPILED)
    return name.endswith(".py") or (compiled and native and name.endswith((".so", ".dylib")))


def names() -> Sequence[str]:
    """Return all packages of the plugin."""
    return (*PURE, *NATIVE, *NATIVE_BEFORE_3_14)
