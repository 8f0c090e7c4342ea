"""Prometheus and Alertmanager from Debian's packages, unpacked into the cache; nothing is installed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .cache import Say, cache_folder, locked
from .commands import run
from .errors import TestbedError

PACKAGE = "prometheus"
ALERTMANAGER_PACKAGE = "prometheus-alertmanager"
_TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
_AS_ROOT = () if os.geteuid() == 0 else ("--map-root-user",)


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """The two programs."""

    server: Path
    promtool: Path


@dataclass(frozen=True, kw_only=True)
class Alertmanager:
    """The two programs."""

    server: Path
    amtool: Path

    @property
    def command(self) -> list[str]:
        """Return the command of the server.

        Debian's build reads its default templates from /usr/share. Where they are not installed, those of the
        unpacked package are put there, in a mount namespace of its own.
        """
        share = self.server.parents[1] / "share"
        if _TEMPLATES.exists() or not (share / _TEMPLATES.relative_to("/usr/share")).exists():
            return [str(self.server)]
        mount = f'mount -t overlay overlay -o "lowerdir={share}:/usr/share" /usr/share && exec "$@"'
        unshare = ["unshare", "--mount", "--propagation=private", *_AS_ROOT]
        return [*unshare, "sh", "-c", mount, "sh", str(self.server)]


def prometheus(*, say: Say) -> Prometheus:
    """Return the programs: those on the PATH, else from the package.

    Raises TestbedError where there is no apt-get, or no mirror answers.
    """
    server, promtool = _programs(PACKAGE, names=("prometheus", "promtool"), say=say)
    return Prometheus(server=server, promtool=promtool)


def alertmanager(*, say: Say) -> Alertmanager:
    """Return the programs of Alertmanager, as `prometheus` does. Raises TestbedError."""
    names = ("prometheus-alertmanager", "amtool")
    server, amtool = _programs(ALERTMANAGER_PACKAGE, names=names, say=say)
    return Alertmanager(server=server, amtool=amtool)


def _programs(package: str, *, names: tuple[str, str], say: Say) -> tuple[Path, Path]:
    first, second = (shutil.which(name) for name in names)
    if first and second:
        return Path(first), Path(second)
    folder = cache_folder() / package
    programs = folder / "usr/bin" / names[0], folder / "usr/bin" / names[1]
    with locked(folder.with_suffix(".lock"), say=say, waiting_for=f"another process unpacks {package}"):
        if not programs[1].exists():
            _unpack(package, folder, say=say)
    return programs


def _unpack(package: str, folder: Path, *, say: Say) -> None:
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    say(f"downloading the Debian package {package}")
    try:
        run(["apt-get", "download", "--quiet", package], folder=unfinished, seconds=300)
    except TestbedError:
        run(["apt-get", "update", "--quiet"], seconds=300)  # the lists may be missing or old
        run(["apt-get", "download", "--quiet", package], folder=unfinished, seconds=300)
    [archive] = unfinished.glob("*.deb")
    run(["dpkg-deb", "--extract", archive, unfinished])
    archive.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
