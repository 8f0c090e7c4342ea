"""Debian's stock cloud kernels of several suites: fetched by apt, unpacked in the cache, never installed.

apt reads a throw-away sources list that names the suite on the mirror the machine already uses; the host's
own lists, packages and sources stay untouched, and apt's signatures are checked as always.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..cache import Say, cache_folder, locked, silent
from ..errors import TestbedError

SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.3": "trixie-backports"}
"""Release series -> the Debian suite whose linux-image-cloud-amd64 is of it."""
_META = "linux-image-cloud-amd64"
_LAYOUT = 1
"""Counted up when what is kept of a package changes."""


class KernelFetchError(TestbedError):
    """A kernel could not be had from the machine's Debian mirror."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One unpacked kernel."""

    series: str
    """As in SUITES: `6.1`."""
    release: str
    """uname -r in the guest."""
    vmlinuz: Path
    modules: Path
    """The folder that is /lib/modules/RELEASE in the guest (no modules.dep: run depmod -b where needed)."""


def kernel(series: str, *, say: Say = silent) -> Kernel:
    """The kernel of a series, from the cache or by apt (half a minute).

    Raises KernelFetchError where apt or the suite is missing. Delete its folder below `kernels/` in the cache
    to have the suite's newest.
    """
    suite = SUITES.get(series)
    if suite is None:
        raise KernelFetchError(f"no kernel {series}: known are {', '.join(SUITES)}")
    folder = cache_folder() / "kernels" / f"{series}-{suite}-{_LAYOUT}"
    with locked(
        folder.parent / f"{folder.name}.lock", say=say, waiting_for=f"another process fetches kernel {series}"
    ):
        if not (folder / "kernel.json").exists():
            say(f"fetching kernel {series} (Debian {suite})")
            _fetch(suite, folder)
    facts = json.loads((folder / "kernel.json").read_text())
    return Kernel(
        series=series,
        release=facts["release"],
        vmlinuz=folder / facts["vmlinuz"],
        modules=folder / facts["modules"],
    )


def _fetch(suite: str, folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise KernelFetchError("kernels come from Debian's mirror by apt-get and dpkg-deb, not found here")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as name:
        work = Path(name)
        apt = _Apt(work / "apt", suite=suite)
        image = apt.dependency(_META, rf"linux-image-\d\S*-cloud-{_architecture()}")
        release = image.removeprefix("linux-image-")
        # From 6.19 the image is only a metapackage over these two (trixie-backports).
        parts = [f"linux-binary-{release}", f"linux-modules-{release}"]
        for deb in apt.download([image, *(part for part in parts if part in apt.dependencies(image))]):
            _run(["dpkg-deb", "--extract", str(deb), str(work / "root")])
        root = work / "root"
        modules = _only(root.glob(f"**/modules/{release}"), f"modules of {release}", suite)
        vmlinuz = _only(
            [*root.glob("boot/vmlinuz-*"), *modules.glob("vmlinuz*")], f"vmlinuz of {release}", suite
        )
        kept = work / "kept"
        kept.mkdir()
        vmlinuz.rename(kept / "vmlinuz")
        modules.rename(kept / release)
        facts = {"release": release, "vmlinuz": "vmlinuz", "modules": release, "package": image}
        (kept / "kernel.json").write_text(json.dumps(facts, indent=1))
        kept.rename(folder)


class _Apt:
    """apt with lists, cache, status and sources of its own."""

    def __init__(self, folder: Path, *, suite: str) -> None:
        for part in ("lists/partial", "cache/archives/partial", "debs"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [target=Packages] {_mirror()} {suite} main\n")
        self._folder = folder
        self._options = [
            option
            for setting in (
                f"Dir::Etc::sourcelist={folder}/sources.list",
                "Dir::Etc::sourceparts=-",
                f"Dir::State::lists={folder}/lists",
                f"Dir::State::status={folder}/status",
                f"Dir::Cache={folder}/cache",
                "Acquire::Languages=none",
                "APT::Sandbox::User=",
            )
            for option in ("-o", setting)
        ]
        _run(["apt-get", *self._options, "--quiet", "update"])

    def dependencies(self, package: str) -> list[str]:
        text = _run(["apt-cache", *self._options, "depends", package])
        return re.findall(r"^ *\|?Depends: (\S+)$", text, re.MULTILINE)

    def dependency(self, package: str, pattern: str) -> str:
        found = [name for name in self.dependencies(package) if re.fullmatch(pattern, name)]
        if not found:
            raise KernelFetchError(f"{package} depends on nothing like {pattern}: the suite has changed")
        return found[0]

    def download(self, packages: list[str]) -> list[Path]:
        debs = self._folder / "debs"
        _run(["apt-get", *self._options, "--quiet", "download", *packages], cwd=debs)
        return sorted(debs.glob("*.deb"))


def _mirror() -> str:
    lines = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)"]).split()
    mirrors = [line for line in lines if "security" not in line]
    if not mirrors:
        raise KernelFetchError("apt knows no mirror here: apt-get update first")
    return mirrors[0]


def _architecture() -> str:
    return _run(["dpkg", "--print-architecture"]).strip()


def _only(found: Iterable[Path], what: str, suite: str) -> Path:
    paths = list(found)
    if len(paths) != 1:
        raise KernelFetchError(f"expected one {what} in Debian {suite}'s kernel, found {len(paths)}")
    return paths[0]


def _run(command: list[str], *, cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        raise KernelFetchError(f"{command[0]} {command[-1]}: exit {done.returncode}: {done.stderr[-400:]}")
    return done.stdout
