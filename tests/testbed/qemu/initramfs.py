"""A root file system in memory: a gzipped newc cpio archive of a few files, written without any tool."""

from __future__ import annotations

import gzip
import io
import stat
from collections.abc import Mapping
from pathlib import Path


def write_initramfs(path: Path, *, files: Mapping[str, bytes], links: Mapping[str, str]) -> Path:
    """Write `path` with `files` (all executable; their folders come by themselves) and symbolic `links`.

    The format is Documentation/driver-api/early-userspace/buffer-format.rst; the same input gives the same
    bytes.
    """
    folders = {"dev", "proc", "sys", "tmp"}
    for name in (*files, *links):
        folders |= {str(parent) for parent in Path(name).parents if str(parent) != "."}
    archive = io.BytesIO()
    number = 0
    for folder in sorted(folders):
        number = _entry(archive, number, folder, stat.S_IFDIR | 0o755, b"")
    for name, data in sorted(files.items()):
        number = _entry(archive, number, name, stat.S_IFREG | 0o755, data)
    for name, target in sorted(links.items()):
        number = _entry(archive, number, name, stat.S_IFLNK | 0o777, target.encode())
    _entry(archive, 0, "TRAILER!!!", 0, b"")
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(gzip.compress(archive.getvalue(), compresslevel=1, mtime=0))
    return fresh.rename(path)


def _entry(archive: io.BytesIO, number: int, name: str, mode: int, data: bytes) -> int:
    encoded = name.encode() + b"\0"
    fields = (number + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    archive.write(b"070701" + b"".join(b"%08X" % field for field in fields) + encoded)
    archive.write(b"\0" * (-archive.tell() % 4) + data)
    archive.write(b"\0" * (-archive.tell() % 4))
    return number + 1
