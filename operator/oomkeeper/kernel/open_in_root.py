"""Open files below a folder that stands for another root, such as /proc/<pid>/root.

Links are resolved as that root's processes see them: an absolute link starts at the root again, and `..`
never leads above it. Each component is opened by itself without following it, so that no process that changes
the tree meanwhile can lead the walk elsewhere (what openat2(2) does with RESOLVE_IN_ROOT, which Linux has
since 5.6).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .bounded_read import UnsuitableFileError, read_descriptor

MAX_LINKS = 40
"""As the kernel's own limit (include/linux/namei.h, MAXSYMLINKS)."""
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def read_in_root(root: Path, path: str, *, max_bytes: int) -> bytes:
    """Return the content of the regular file `path` below `root`. Raises OSError: where it is not there, not
    a regular file, larger than `max_bytes`, or behind too many links."""
    with _walk(root, path) as found:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise UnsuitableFileError(errno.EINVAL, "not a regular file", path)
        # A device or FIFO is never opened for reading: the descriptor's own path opens what was checked.
        fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return read_descriptor(fd, name=path, max_bytes=max_bytes)
        finally:
            os.close(fd)


def list_in_root(root: Path, path: str, *, max_entries: int) -> list[tuple[str, bool]]:
    """Return name and whether it is a folder, for each entry of the folder `path` below `root`, by name.
    Raises OSError: where it is no folder, or has more than `max_entries`."""
    with _walk(root, path) as found:
        fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            entries: list[tuple[str, bool]] = []
            with os.scandir(fd) as listing:
                for entry in listing:
                    if len(entries) >= max_entries:
                        raise UnsuitableFileError(errno.EFBIG, f"more than {max_entries} entries", path)
                    entries.append((entry.name, entry.is_dir(follow_symlinks=False)))
            return sorted(entries)
        finally:
            os.close(fd)


@contextmanager
def _walk(root: Path, path: str) -> Iterator[int]:
    """Yield an O_PATH descriptor of what `path` leads to."""
    if "\0" in path:
        raise UnsuitableFileError(errno.EINVAL, "a path with a zero byte", path.replace("\0", "\\0"))
    # Descriptors from the root to where the walk is; `..` drops the last.
    trail = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        components = _components(path)
        links = 0
        while components:
            name = components.pop()
            if name == "..":
                if len(trail) > 1:
                    os.close(trail.pop())
                continue
            step = os.open(name, _STEP, dir_fd=trail[-1])
            if stat.S_ISLNK(os.fstat(step).st_mode):
                try:
                    target = os.readlink("", dir_fd=step)
                finally:
                    os.close(step)
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    while len(trail) > 1:
                        os.close(trail.pop())
                components += _components(target)
            else:
                trail.append(step)
        yield trail[-1]
    finally:
        for fd in trail:
            os.close(fd)


def _components(path: str) -> list[str]:
    """Return the parts of a path, the first at the end."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
