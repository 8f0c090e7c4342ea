"""What the agent imports beside the standard library, as files for the guest's Python. Debian has no packages
of these versions, so they are the wheels that the image's lock file pins, installed once into the cache."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from ..cache import Say, cache_folder, locked
from ..commands import run

_LOCK = Path(__file__).parents[3] / "requirements-image.lock"
_NAMES = ("click", "jinja2", "markupsafe", "msgspec", "prometheus-client", "pyyaml", "urllib3")
GUEST_PYTHON = (3, 11)


def guest_dependencies(*, say: Say) -> Path:
    """Return a folder with the packages, to be put on the guest's PYTHONPATH."""
    pins = _pins(_LOCK.read_text())
    digest = hashlib.sha256(f"{GUEST_PYTHON}\n{pins}".encode()).hexdigest()[:12]
    folder = cache_folder() / "guest-packages" / digest
    with locked(cache_folder() / "guest-packages.lock", say=say, waiting_for="the guest's packages"):
        if folder.is_dir():
            return folder
        say("installing the agent's dependencies for the guest: some seconds, once")
        unfinished = folder.with_name(f"unfinished-{digest}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        requirements = unfinished.with_suffix(".txt")
        requirements.write_text(pins)
        machine = platform.machine()
        versions = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
        platforms = [f"--platform={version}_{machine}" for version in versions]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary=:all:", "--implementation=cp", *platforms]
        command += [f"--python-version={'.'.join(map(str, GUEST_PYTHON))}", f"--target={unfinished}"]
        run([*command, "-r", requirements])
        requirements.unlink()
        unfinished.rename(folder)
    return folder


def _pins(lock: str) -> str:
    """Return the lock file's entries of the packages, with their hashes."""
    kept, keep = [], False
    for line in lock.splitlines():
        if not line.startswith((" ", "#")):
            keep = line.partition("==")[0] in _NAMES
        if keep:
            kept.append(line)
    return "\n".join(kept) + "\n"
