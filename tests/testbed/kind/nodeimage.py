"""The image of a kind node: pulled where a registry gives it, else built here and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

from .. import packages, recipes
from ..binaries import binaries
from ..cache import Say, cache_folder, drop_old, locked
from ..commands import run, succeeds
from ..debian import debian_stamp
from ..errors import BuildError
from ..mounts import remove_tree
from ..pulling import pull
from .docker import Docker
from .preload import preload
from .rootfs import DEBIAN_PACKAGES, make_node_root

_REPOSITORY = "oomkeeper.local/kind-node"
_SOURCES = ("rootfs.py", "preload.py", "../images.py")
_KEPT = 2
_ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'


def have_node_image(docker: Docker, *, say: Say) -> str:
    """The name of a node image that `docker` has now.

    Raises TestbedError when it can neither be pulled nor built.
    """
    own = own_image_name()
    for name in (recipes.KIND_NODE_IMAGE, own):
        if docker.has_image(name):
            return name
    # Once built is settled: no need to ask a registry again.
    archive = _archive()
    if not archive.exists() and pull(
        ["docker", "pull"], image=recipes.KIND_NODE_IMAGE, say=say, environment=docker.environment
    ):
        return recipes.KIND_NODE_IMAGE
    build_node_archive(say=say)
    say(f"importing {archive.name} ({archive.stat().st_size >> 20} MiB) into Docker")
    docker("import", "--change", "ENV container=docker", "--change", _ENTRYPOINT, archive, own)
    for other in docker("images", "--format={{.Repository}}:{{.Tag}}", _REPOSITORY).split():
        # A gigabyte each; one that a cluster still runs on is refused.
        if other != own:
            succeeds(["docker", "rmi", other], environment=docker.environment)
    return own


def is_own(image: str) -> bool:
    """Whether it was built here: it has no kindnet."""
    return image.startswith(_REPOSITORY)


def own_image_name() -> str:
    """REPOSITORY:TAG of what the present sources build."""
    return f"{_REPOSITORY}:{recipes.KUBERNETES_VERSION}-{_stamp()}"


def build_node_archive(*, say: Say) -> Path:
    """The file system of a node as a tar in the cache, built when it is not there; root only."""
    archive = _archive()
    with locked(archive.with_suffix(".lock"), say=say, waiting_for="another process builds the node image"):
        if archive.exists():
            archive.touch()
        else:
            if os.geteuid() != 0:
                raise BuildError("a node image is built as root (debootstrap, chroot): run this as root once")
            _build(archive, say=say)
            drop_old(archive.parent, "kind-node-*.tar", keep=_KEPT)
    return archive


def _build(archive: Path, *, say: Say) -> None:
    packages.require((packages.DEBOOTSTRAP, packages.BUSYBOX), say=say)
    found = binaries(recipes.KIND_NODE, say=say)
    say("building the node image: about a minute, once")
    started = time.monotonic()
    # In the cache: it needs 2 GiB, and a file system on which overlayfs works.
    for stale in archive.parent.glob("unfinished-*"):
        remove_tree(stale)
    folder = Path(tempfile.mkdtemp(prefix="unfinished-", dir=archive.parent))
    try:
        make_node_root(folder / "root", binaries=found, say=say)
        preload(folder / "root", binaries=found, folder=folder, say=say)
        fresh = archive.with_suffix(".new")
        run(["tar", "-C", folder / "root", "--one-file-system", "--numeric-owner", "-cf", fresh, "."])
        fresh.rename(archive)
    finally:
        remove_tree(folder)
    say(f"built {archive} in {time.monotonic() - started:.0f} s")


def _archive() -> Path:
    folder = cache_folder() / "images"
    folder.mkdir(exist_ok=True)
    return folder / f"kind-node-{recipes.KUBERNETES_VERSION}-{_stamp()}.tar"


def _stamp() -> str:
    here = Path(__file__).parent
    parts = [recipe.stamp() for recipe in (*recipes.KIND_NODE, recipes.KIND)]
    parts += [debian_stamp(DEBIAN_PACKAGES), *((here / source).read_text() for source in _SOURCES)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
