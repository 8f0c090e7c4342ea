"""The programs that build an image from a Dockerfile, each with the few commands that are asked of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import packages
from ..cache import Say, cache_folder
from ..commands import run, succeeds
from ..errors import BuildError
from ..mounts import can_overlay, remove_tree
from ..pulling import pull

_BUILD_SECONDS = 1800
_MANY_LAYERS = 80


class Builder(Protocol):
    """What every one of them can do. All raise TestbedError when the program fails."""

    @property
    def name(self) -> str:
        """The program."""

    def has(self, image: str) -> bool:
        """Whether its store has the image."""

    def pull(self, image: str, *, say: Say) -> bool:
        """Whether a registry gave the image."""

    def add_base(self, image: str, root: Path) -> None:
        """Make an image of one layer from a tar of its file system."""

    def build(
        self, image: str, *, context: Path, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> None:
        """Build the Dockerfile of `context`."""

    def save(self, image: str, target: Path) -> None:
        """Write the image as an archive that containerd imports."""


@dataclass(frozen=True, kw_only=True)
class DockerLike:
    """docker, or podman, which takes the same words."""

    name: str

    def has(self, image: str) -> bool:
        return succeeds([self.name, "image", "inspect", image])

    def pull(self, image: str, *, say: Say) -> bool:
        return pull([self.name, "pull"], image=image, say=say)

    def add_base(self, image: str, root: Path) -> None:
        run([self.name, "import", root, image])

    def build(
        self, image: str, *, context: Path, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> None:
        options = _options(arguments, secrets)
        run([self.name, "build", "--tag", image, *options, context], seconds=_BUILD_SECONDS)

    def save(self, image: str, target: Path) -> None:
        run([self.name, "save", "--output", target, image])


class Buildah:
    """buildah with a store of its own in the cache; needs no daemon."""

    name = "buildah"

    def __init__(self) -> None:
        folder = cache_folder() / "buildah"
        if len(list(folder.glob("root/overlay/*"))) > _MANY_LAYERS:
            remove_tree(folder)  # it keeps every layer ever built; the next build takes a minute more
        folder.mkdir(exist_ok=True)
        driver = "overlay" if os.geteuid() == 0 and can_overlay(folder) else "vfs"
        self._command: list[str | Path] = ["buildah", "--storage-driver", driver]
        self._command += ["--root", folder / "root", "--runroot", folder / "run"]
        # Its other ways of isolating a RUN need a runtime, and capabilities that a container may lack.
        self._environment = {"BUILDAH_ISOLATION": "chroot"}

    def has(self, image: str) -> bool:
        return succeeds([*self._command, "inspect", "--type", "image", image])

    def pull(self, image: str, *, say: Say) -> bool:
        return pull([*self._command, "pull"], image=image, say=say)

    def add_base(self, image: str, root: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="base-", dir=root.parent) as folder:
            os.link(root, Path(folder) / "root.tar")
            (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
            self._run("build", "--tag", image, folder)

    def build(
        self, image: str, *, context: Path, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> None:
        self._run("build", "--layers", "--pull-never", "--tag", image, *_options(arguments, secrets), context)

    def save(self, image: str, target: Path) -> None:
        # Nodes unpack it immediately, so it is not compressed: that would be most of the build's time.
        self._run("push", "--quiet", image, f"docker-archive:{target}:{image}")

    def _run(self, *arguments: str | Path) -> None:
        run([*self._command, *arguments], environment=self._environment, seconds=_BUILD_SECONDS)


def choose_builder(*, say: Say) -> Builder:
    """The first of docker, buildah and podman that works here; buildah is installed where none does.

    Raises TestbedError, saying what to install.
    """
    # Without buildx, docker's own builder knows no RUN --mount.
    if succeeds(["docker", "info"], seconds=10) and succeeds(["docker", "buildx", "version"], seconds=10):
        return DockerLike(name="docker")
    if shutil.which("buildah") is None and shutil.which("podman") is not None:
        return DockerLike(name="podman")
    if shutil.which("buildah") is None and (os.geteuid() != 0 or shutil.which("apt-get") is None):
        raise BuildError(
            "nothing here builds an image: start Docker (with buildx), or install buildah or podman "
            "(apt-get install --no-install-recommends buildah), then try again"
        )
    packages.require((packages.BUILDAH,), say=say)
    return Buildah()


def _options(arguments: Mapping[str, str], secrets: Mapping[str, Path]) -> Sequence[str]:
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    return options + [f"--secret=id={name},src={path}" for name, path in secrets.items()]
