"""An image for pods with a shell, Python's standard library and numactl, made from a Debian root."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..commands import run
from ..images import image_archive

PYTHON_IMAGE = "oomkeeper.local/python:1"
_PROGRAMS = ("usr/bin/python3.11", "usr/bin/numactl", "usr/bin/busybox")
_NEEDLESS = (
    "test",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "ensurepip",
    "distutils",
    "turtledemo",
    "config-3.11*",
)
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def python_image(root: Path, *, entrypoint: Path, work: Path) -> bytes:
    """The archive, of what `root` has; `entrypoint` is a script, which becomes /usr/bin/oomkeeper."""
    image = work / "python-image"
    for folder in ("usr/bin", "usr/lib", "usr/lib64", "etc", "tmp", "proc", "sys", "dev"):
        (image / folder).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (image / name).symlink_to(f"usr/{name}")
    (image / "tmp").chmod(0o1777)
    (image / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    for name in _PROGRAMS:
        shutil.copy(_real(root, name), image / name)
    (image / "usr/bin/python3").symlink_to("python3.11")
    for applet in run([root / "usr/bin/busybox", "--list"]).split():
        if applet != "busybox":
            (image / "usr/bin" / applet).symlink_to("busybox")
    shutil.copy(entrypoint, image / "usr/bin/oomkeeper")
    (image / "usr/bin/oomkeeper").chmod(0o755)
    shutil.copytree(
        root / "usr/lib/python3.11",
        image / "usr/lib/python3.11",
        symlinks=True,
        ignore=shutil.ignore_patterns(*_NEEDLESS),
    )
    modules = sorted((image / "usr/lib/python3.11/lib-dynload").glob("*.so"))
    inside = [f"/{program}" for program in _PROGRAMS] + [f"/{path.relative_to(image)}" for path in modules]
    for library in _libraries(root, inside):
        target = image / _merged(library)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_real(root, library), target)
    return image_archive(image, name=PYTHON_IMAGE, entrypoint=["/usr/bin/oomkeeper"])


def _libraries(root: Path, programs: list[str]) -> list[str]:
    """What the dynamic linker of `root` loads for them. busybox is static, which ldd says on stderr."""
    said = run(["chroot", root, "sh", "-c", f"ldd {' '.join(programs)} 2>&1 || true"])
    return sorted({found[1].lstrip("/") for found in _LIBRARY.finditer(said)})


def _merged(name: str) -> str:
    """`lib/x` is `usr/lib/x` (Debian's merged /usr)."""
    return name if name.startswith("usr/") else f"usr/{name}"


def _real(root: Path, name: str) -> Path:
    """The file behind the links, which may be absolute and mean the root's own."""
    path = root / _merged(name)
    while path.is_symlink():
        target = path.readlink()
        path = root / _merged(str(target).lstrip("/")) if target.is_absolute() else path.parent / target
    return path
