"""What a run gives its guest on a second disk, which is a plain tar: credentials, and the package to try."""

from __future__ import annotations

import compileall
import io
import platform
import shutil
import sys
import tarfile
from pathlib import Path

from ..cache import Say
from ..kubeconfigs import write_kubeconfig
from .dependencies import GUEST_PYTHON, guest_dependencies

_PACKAGE = Path(__file__).parents[3] / "operator" / "oomkeeper"
_SECTOR = 1 << 20
_PRELOAD = f"""
import ctypes

ctypes.CDLL("/proc/1/root/lib/{platform.machine()}-linux-gnu/libpthread.so.0", mode=ctypes.RTLD_GLOBAL)
"""
"""Python runs it at its start. Wheels ask for this part of an older glibc, which the image for pods lacks."""
HOST = "10.0.2.2"
"""This machine's loopback as QEMU's user network shows it to the guest."""


def write_run_disk(folder: Path, *, url: str, token: str, user: str, say: Say) -> Path:
    """Write `folder/run.img`; `token` is the kubelet's."""
    content = folder / "run-disk"
    content.mkdir()
    shutil.copy(folder / "ca.crt", content)
    guest_url = url.replace("127.0.0.1", HOST)
    (content / "api").write_text(guest_url.removeprefix("https://"))
    write_kubeconfig(
        content / "kubeconfig", url=guest_url, ca_file=Path("/run/testbed/ca.crt"), token=token, user=user
    )
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(guest_dependencies(say=say), content / "package")
    (content / "package" / "sitecustomize.py").write_text(_PRELOAD)
    package = shutil.copytree(_PACKAGE, content / "package" / "oomkeeper", ignore=ignore)
    if sys.version_info[:2] == GUEST_PYTHON:
        # Compiled in the guest at each boot, it would take the agent's start seconds longer.
        compileall.compile_dir(str(package), quiet=2, stripdir=str(content))
    image = folder / "run.img"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(content, arcname=".", filter=_as_root)
    data = archive.getvalue()
    image.write_bytes(data + b"\0" * (-len(data) % _SECTOR))
    shutil.rmtree(content)
    return image


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
