"""The agent as an OCI image made from this machine's own interpreter: no registry, no Dockerfile.

In it are the interpreter, its standard library, the third-party packages that the agent imports, the shared
libraries that these need, and oomkeeper.
"""

import compileall
import importlib.util
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.testbed import NativeNode
from tests.testbed.images import image_archive

NAME = "oomkeeper.local/agent:bench"
PACKAGES = ("click", "msgspec", "prometheus_client", "urllib3")
"""Third-party packages that the agent may import (pyproject.toml, `dependencies` and the extra `agent`)."""
_LEFT_OUT = ("site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "config-*")


def make_image(folder: Path) -> Path:
    """Write the archive into `folder` and give its path."""
    root = folder / "root"
    python = Path(sys.executable).resolve()
    _copy(python, root)
    stdlib = Path(sysconfig.get_path("stdlib"))
    target = root / str(stdlib).lstrip("/")
    shutil.copytree(stdlib, target, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    package = Path(__file__).resolve().parents[1] / "operator" / "oomkeeper"
    shutil.copytree(package, root / "app" / "oomkeeper", ignore=shutil.ignore_patterns("__pycache__"))
    for name in PACKAGES:
        shutil.copytree(_package(name), root / "app" / name, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(
        root / "app", quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    extensions = [*(stdlib / "lib-dynload").glob("*.so"), *(root / "app").rglob("*.so")]
    for library in _libraries([python, *extensions]):
        _copy(library, root)
    (root / "tmp").mkdir()
    archive = folder / "agent.tar"
    command = [str(python), "-m", "oomkeeper", "agent"]
    archive.write_bytes(image_archive(root, name=NAME, entrypoint=command))
    return archive


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None, f"{name} is not installed"
    assert found.origin is not None
    return Path(found.origin).parent


def _libraries(binaries: list[Path]) -> set[Path]:
    done = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False)
    return {Path(found) for found in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.stdout, re.MULTILINE)}


def _copy(source: Path, root: Path) -> None:
    target = root / str(source).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def forget_pages(node: NativeNode) -> None:
    """Drop the page cache of the unpacked images, so that who reads them next is charged for them: the agent,
    and not the program that unpacked."""

    for path in (node.control_plane.folder / "containerd-root").rglob("snapshots/*/fs/**/*"):
        if path.is_file() and not path.is_symlink():
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)  # dirty pages are not dropped
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
