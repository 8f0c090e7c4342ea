"""Mounts below a folder."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

from .errors import TestbedError

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


def below(folder: Path) -> list[Path]:
    """Mount points under `folder`, in the order in which they were mounted."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [Path(point) for point in points if point.startswith(f"{folder}/")]


def unmount_below(folder: Path, *, itself: bool = False) -> list[str]:
    """Detach them all, the newest first, and then `itself` as often as it is one; gives what could not be."""
    left: list[str] = []
    points = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in [*reversed(below(folder)), *(one for one in points if itself and one == folder)]:
        if _libc.umount2(os.fsencode(point), _MNT_DETACH) != 0:
            left.append(f"mount {point}: {os.strerror(ctypes.get_errno())}")
    return left


def remove_tree(folder: Path) -> None:
    """Remove a folder, never what is mounted below it.

    Raises TestbedError when something is.
    """
    mounted = below(folder)
    if mounted:
        raise TestbedError(f"{mounted[0]} is still mounted: unmount it (umount -l), then remove {folder}")
    shutil.rmtree(folder, ignore_errors=True)


def can_overlay(folder: Path) -> bool:
    """Whether overlayfs works on top of `folder`'s file system (it does not on another overlay)."""
    test = folder / "overlay-test"
    parts = [test / name for name in ("lower", "upper", "work", "merged")]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={parts[0]},upperdir={parts[1]},workdir={parts[2]}".encode()
    works: bool = _libc.mount(b"overlay", os.fsencode(parts[3]), b"overlay", 0, options) == 0
    if works:
        _libc.umount2(os.fsencode(parts[3]), _MNT_DETACH)
    remove_tree(test)
    return works
