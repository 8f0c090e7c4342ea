"""The node's disk: a Debian root with kubelet, containerd and the images imported, kept in the cache.

Each run writes to an overlay of its own on top.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..cache import Say, cache_folder, locked
from ..commands import run
from ..debian import debian_root, debian_stamp
from ..errors import StartError
from ..images import write_images
from ..mounts import remove_tree
from ..packages import Requirement
from ..qemu import MKFS_EXT4, QEMU_IMG, Disk, Kernel, Machine, guest
from .pythonimage import python_image

GUEST = Path(__file__).parent / "guest"
PACKAGES = (
    *("runc", "containernetworking-plugins", "iptables", "iproute2", "kmod", "mount", "util-linux"),
    *("busybox-static", "numactl", "python3", "ca-certificates"),
    *("earlyoom", "systemd-oomd"),
)
"""runc, for Debian's crun is too old for containerd 2; iptables, for the kubelet asks for it."""
BINARIES = ("kubelet", "containerd", "containerd-shim-runc-v2", "ctr")
APPEND = "root=/dev/nvme0n1 rw rootfstype=ext4 loglevel=6 printk.devkmsg=on log_buf_len=4M panic=5"
_SIZE_BYTES = 4 << 30
_IMPORT_SECONDS = 900.0
_STEPS = (
    *("booted", "containerd answers", "imported busybox.tar", "imported pause.tar", "imported python.tar"),
    "disk made",
)
"""What the guest says while its disk is made, in this order (guest/opt/testbed/kubelet-run)."""


def root_disk(*, kernel: Kernel, found: Mapping[str, Path], say: Say) -> Path:
    """The disk in the cache (qcow2), made where it is missing; nothing may write to it. Root only.

    Raises TestbedError where debootstrap, mkfs or the boot that imports the images fails.
    """
    folder = cache_folder() / "vmnode"
    disk = folder / f"node-{_stamp(kernel, found)}"
    with locked(folder / "disk.lock", say=say, waiting_for="another process makes the virtual node's disk"):
        if not (disk / "node.qcow2").exists():
            for older in folder.glob("node-*"):
                remove_tree(older)
            _make(disk, kernel=kernel, found=found, say=say)
    return disk / "node.qcow2"


def overlay(disk: Path, target: Path) -> Path:
    """A disk that takes what is written, above one that stays as it is."""
    options = ["create", "-q", "-f", "qcow2", "-b", str(disk), "-F", "qcow2"]
    run([_program(QEMU_IMG), *options, target])
    return target


def _stamp(kernel: Kernel, found: Mapping[str, Path]) -> str:
    made_here = [
        Path(__file__),
        Path(__file__).with_name("pythonimage.py"),
        Path(write_images.__code__.co_filename),
    ]
    files = [*made_here, *(path for path in sorted(GUEST.rglob("*")) if path.is_file())]
    parts = [debian_stamp(PACKAGES), kernel.release, *(str(found[name]) for name in BINARIES)]
    parts += [path.read_text() for path in files]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _make(disk: Path, *, kernel: Kernel, found: Mapping[str, Path], say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=disk.parent) as name:
        work = Path(name)
        root = work / "root"
        debian_root(root, include=PACKAGES, say=say)
        say("filling the virtual node's disk")
        _fill(root, kernel=kernel, found=found, work=work, say=say)
        plain = work / "plain.img"
        plain.touch()
        with plain.open("r+b") as handle:
            handle.truncate(_SIZE_BYTES)
        # Journal and inode tables now: done late, they would be written by the guest.
        now = "lazy_itable_init=0,lazy_journal_init=0"
        run([_program(MKFS_EXT4), "-q", "-F", "-E", now, "-J", "size=16", "-d", root, plain])
        remove_tree(root)
        node = work / "node.qcow2"
        run([_program(QEMU_IMG), "convert", "-q", "-O", "qcow2", plain, node])
        plain.unlink()
        say("booting once to import the images: a minute or two, once")
        machine = Machine(
            kernel=kernel,
            append=f"{APPEND} testbed.import",
            memory_mib=2048,
            disks=(Disk(path=node, format="qcow2"),),
        )
        with guest(machine, work / "boot") as running:
            for step in _STEPS:
                running.wait_for(f"TESTBED .* {step}", seconds=_IMPORT_SECONDS)
                say(f"in the guest: {step}")
            if "FAILED" in running.console:
                raise StartError(f"the images cannot be imported; console ends: {running.console[-600:]}")
            running.wait_end(seconds=60)
        disk.mkdir()
        node.rename(disk / "node.qcow2")


def _fill(root: Path, *, kernel: Kernel, found: Mapping[str, Path], work: Path, say: Say) -> None:
    shutil.copytree(GUEST, root, dirs_exist_ok=True)
    for path in (root / "opt/testbed").iterdir():
        path.chmod(0o755)
    programs = root / "opt/testbed/bin"
    programs.mkdir()
    for name in BINARIES:
        shutil.copy(found[name], programs)
    images = root / "opt/testbed/images"
    images.mkdir()
    for archive in write_images(work / "images", say=say):
        shutil.copy(archive, images)
    entrypoint = GUEST / "opt/testbed/oomkeeper"
    (images / "python.tar").write_bytes(python_image(root, entrypoint=entrypoint, work=work))
    modules = root / "lib/modules" / kernel.release
    modules.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(kernel.modules, modules, symlinks=True)
    run(["chroot", root, "depmod", kernel.release])
    (root / "sbin/init").unlink(missing_ok=True)
    (root / "sbin/init").symlink_to("/bin/busybox")
    (root / "etc/fstab").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")


def _program(requirement: Requirement) -> Path:
    path = requirement.find()
    assert path is not None  # packages.require has seen to it
    return path
