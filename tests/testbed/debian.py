"""A Debian root folder from packages, for images that no registry gives: debootstrap, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import packages
from .cache import Say, cache_folder, locked
from .commands import run
from .errors import BuildError
from .mounts import remove_tree
from .progress import Progress

SUITE = "bookworm"
"""The last one whose systemd (252) still takes a host with cgroup v1."""

_NEEDLESS = (
    "usr/share/doc/*",
    "usr/share/doc-base/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/lintian/*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/lib/apt/lists/*",
    "var/log/*",
)


def debian_root(target: Path, *, include: Sequence[str], say: Say) -> None:
    """Unpack into `target` (absent) the smallest Debian that has the packages of `include`; root only.

    Raises BuildError where this machine names no Debian mirror.
    """
    archive = debian_archive(include=include, say=say)
    target.mkdir(parents=True)
    run(["tar", "-C", target, "--numeric-owner", "-xf", archive])


def debian_archive(*, include: Sequence[str], suite: str = SUITE, say: Say) -> Path:
    """The same as a tar in the cache."""
    archive = _archive(include, suite=suite)
    with locked(archive.with_suffix(".lock"), say=say, waiting_for="another process makes a Debian root"):
        if not archive.exists():
            _make(archive, include=include, suite=suite, say=say)
    return archive


def debian_stamp(include: Sequence[str], *, suite: str = SUITE) -> str:
    """Changes when the packages do. What a mirror has newer is no reason to make it again."""
    parts = [suite, *sorted(include), *_NEEDLESS]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def mirror() -> str:
    """The Debian mirror that this machine's own apt uses.

    Raises BuildError where there is none.
    """
    try:
        targets = run(["apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)"])
    except Exception as error:
        raise BuildError(f"no apt here, so no Debian packages to make an image of: {error}") from error
    for line in targets.splitlines():
        label, component, uri = line.split()
        if label == "Debian" and component == "main":
            return uri
    raise BuildError("apt knows no Debian mirror: run apt-get update, on Debian, or give a registry's image")


def _archive(include: Sequence[str], *, suite: str) -> Path:
    folder = cache_folder() / "debian"
    folder.mkdir(exist_ok=True)
    return folder / f"{suite}-{debian_stamp(include, suite=suite)}.tar"


def _make(archive: Path, *, include: Sequence[str], suite: str, say: Say) -> None:
    packages.require((packages.DEBOOTSTRAP,), say=say)
    root = archive.with_suffix(".unfinished")
    remove_tree(root)
    say(f"debootstrap of {suite} with {', '.join(include)}: about 80 s, once")
    options = ["--variant=minbase", f"--include={','.join(include)}"]
    command: list[str | Path] = ["debootstrap", *options, suite, root, mirror()]
    last: list[str] = []
    # A package is fetched, unpacked and configured: three lines each, and as many again for what they need.
    with Progress(title=f"Debian {suite}", total=None, unit="steps", say=say) as progress:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as made:
            assert made.stdout is not None
            for line in made.stdout:
                last = [*last[-10:], line.rstrip()]
                progress.step(line.removeprefix("I: ").strip())
        if made.returncode != 0:
            raise BuildError("debootstrap failed:\n" + "\n".join(last))
    for pattern in _NEEDLESS:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    fresh = archive.with_suffix(".new")
    run(["tar", "-C", root, "--one-file-system", "--numeric-owner", "-cf", fresh, "."])
    fresh.rename(archive)
    remove_tree(root)
