"""The guest's file system: busybox, the hog and the cases, in memory; and two small disks."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tests.testbed.cache import Say, cache_folder, locked
from tests.testbed.errors import TestbedError
from tests.testbed.packages import BUSYBOX, Requirement, require
from tests.testbed.qemu import MKFS_EXT4, QEMU, Disk, write_initramfs

from .cases import GUEST

GCC = Requirement(package="gcc", program="gcc")
_SWAP_BYTES = 96 << 20
_FILES_BYTES = 64 << 20
_FILES_BYTES_PER_SECOND = 64 << 10


def require_programs(*, say: Say) -> None:
    """Have everything that the lab runs or compiles with. Raises MissingPackagesError."""
    require((QEMU, BUSYBOX, GCC, MKFS_EXT4), say=say)


def initramfs(*, say: Say) -> Path:
    """The guest's root, built where its content has changed; a second of work."""
    busybox = BUSYBOX.find()
    assert busybox is not None
    sources = {path.relative_to(GUEST): path.read_bytes() for path in sorted(GUEST.rglob("*.*"))}
    content = hashlib.sha256(busybox.read_bytes())
    for name, data in sources.items():
        content.update(f"\0{name}\0".encode() + data)
    folder = cache_folder() / "kernel_lab"
    image = folder / f"initramfs-{content.hexdigest()[:16]}.gz"
    with locked(folder / "lock", say=say, waiting_for="another process builds the lab's initramfs"):
        if not image.exists():
            files = {f"lab/{name}": data for name, data in sources.items() if name.suffix == ".sh"}
            files["init"] = files.pop("lab/init.sh")
            files |= {"bin/busybox": busybox.read_bytes(), "bin/hog": _hog()}
            write_initramfs(image, files=files, links=_applets(busybox))
    return image


def disks(folder: Path) -> tuple[Disk, ...]:
    """Two empty disks: one to swap on, a very slow one with ext4."""
    swap, files = folder / "swap.img", folder / "files.img"
    for path, size in ((swap, _SWAP_BYTES), (files, _FILES_BYTES)):
        with path.open("wb") as handle:
            handle.truncate(size)
    _run([str(MKFS_EXT4.find()), "-q", "-F", str(files)])
    return Disk(path=swap), Disk(path=files, write_bytes_per_second=_FILES_BYTES_PER_SECOND)


def _hog() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/hog"
        _run([str(GCC.find()), "-static", "-O2", "-s", "-o", program, str(GUEST / "hog.c")])
        return Path(program).read_bytes()


def _applets(busybox: Path) -> dict[str, str]:
    names = _run([str(busybox), "--list"]).split()
    return {f"bin/{name}": "busybox" for name in names if name != "busybox"}


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise TestbedError(f"{command[0]}: exit {done.returncode}: {done.stderr[-400:]}")
    return done.stdout
