"""Prometheus and promtool from Debian's package, unpacked into the cache; nothing is installed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .cache import Say, cache_folder, locked
from .commands import run
from .errors import TestbedError

PACKAGE = "prometheus"


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """The two programs."""

    server: Path
    promtool: Path


def prometheus(*, say: Say) -> Prometheus:
    """Return the programs: those on the PATH, else from the package.

    Raises TestbedError where there is no apt-get, or no mirror answers.
    """
    found = [shutil.which(name) for name in ("prometheus", "promtool")]
    if found[0] and found[1]:
        return Prometheus(server=Path(found[0]), promtool=Path(found[1]))
    folder = cache_folder() / PACKAGE
    programs = Prometheus(server=folder / "usr/bin/prometheus", promtool=folder / "usr/bin/promtool")
    with locked(folder.with_suffix(".lock"), say=say, waiting_for="another process unpacks Prometheus"):
        if not programs.promtool.exists():
            _unpack(folder, say=say)
    return programs


def _unpack(folder: Path, *, say: Say) -> None:
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    say(f"downloading the Debian package {PACKAGE}")
    try:
        run(["apt-get", "download", "--quiet", PACKAGE], folder=unfinished, seconds=300)
    except TestbedError:
        run(["apt-get", "update", "--quiet"], seconds=300)  # the lists may be missing or old
        run(["apt-get", "download", "--quiet", PACKAGE], folder=unfinished, seconds=300)
    [package] = unfinished.glob("*.deb")
    run(["dpkg-deb", "--extract", package, unfinished])
    package.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
