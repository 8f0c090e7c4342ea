"""Where the binaries come from: KUBEBUILDER_ASSETS, the cache, a download, a build; in this order."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import envtest
from .cache import Say, cache_folder, locked
from .gobuild import go_build
from .golang import find_go
from .recipes import KUBERNETES_VERSION, Recipe

_UNFINISHED = "unfinished-"


def binaries(recipes: Iterable[Recipe], *, say: Say) -> Mapping[str, Path]:
    """Name -> path of every binary of the recipes, building what is nowhere else.

    Raises BuildError, which says what failed.
    """
    found: dict[str, Path] = {}
    for recipe in recipes:
        found.update(_find(recipe) or _make(recipe, say=say))
    return found


def _find(recipe: Recipe) -> dict[str, Path] | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    folders = ([Path(assets)] if assets else []) + [_built(recipe), _downloaded()]
    for folder in folders:
        paths = {name: folder / name for name in recipe.packages}
        if all(path.is_file() and os.access(path, os.X_OK) for path in paths.values()):
            return paths
    return None


def _built(recipe: Recipe) -> Path:
    # The stamp is part of the name: a folder that exists is whole, and a changed version is another folder.
    return cache_folder() / "bin" / f"{recipe.name}-{recipe.version}-{recipe.stamp()}"


def _downloaded() -> Path:
    return cache_folder() / "bin" / f"envtest-{KUBERNETES_VERSION}"


def _make(recipe: Recipe, *, say: Say) -> dict[str, Path]:
    lock = cache_folder() / "build.lock"
    with locked(lock, say=say, waiting_for=f"another process builds; {recipe.name} comes after it"):
        _drop_unfinished()
        found = _find(recipe)  # the other may just have built ours
        if found is None and recipe.packages.keys() <= envtest.BINARIES:
            _download(recipe, say=say)
            found = _find(recipe)
        if found is None:
            _build(recipe, say=say)
            found = _find(recipe)
    assert found is not None
    return found


def _download(recipe: Recipe, *, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=_bin_folder()) as fresh:
        try:
            version = envtest.download(version=KUBERNETES_VERSION, target=Path(fresh))
        except envtest.DownloadRefusedError as refusal:
            say(f"no download of {recipe.name} ({refusal}); building it instead")
            return
        say(f"downloaded etcd, kube-apiserver and kubectl {version} as setup-envtest does")
        _publish(Path(fresh), _downloaded())


def _build(recipe: Recipe, *, say: Say) -> None:
    go = find_go(say=say)
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=_bin_folder()) as fresh:
        seconds = go_build(recipe, go=go, target=Path(fresh), say=say)
        _publish(Path(fresh), _built(recipe))
    say(f"built {', '.join(sorted(recipe.packages))} {recipe.version} in {seconds:.0f} s")


def _drop_unfinished() -> None:
    for folder in _bin_folder().glob(f"{_UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)  # of a killed build: only the holder of the lock builds


def _bin_folder() -> Path:
    folder = cache_folder() / "bin"
    folder.mkdir(exist_ok=True)
    return folder


def _publish(fresh: Path, target: Path) -> None:
    fresh.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)  # there only when a binary in it is missing
    fresh.rename(target)
    fresh.mkdir()  # for TemporaryDirectory to remove
