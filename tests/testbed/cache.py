"""The project's cache outside the checkout, and the locks that keep two processes from doing one job."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

Say = Callable[[str], None]


def silent(_text: str) -> None:
    """The Say that says nothing."""


def cache_folder() -> Path:
    """`$OOMKEEPER_CACHE`, else `oomkeeper` under `$XDG_CACHE_HOME` or `~/.cache`; made when missing."""
    own = os.environ.get("OOMKEEPER_CACHE")
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = Path(own) if own else (Path(xdg) if xdg else Path.home() / ".cache") / "oomkeeper"
    base.mkdir(parents=True, exist_ok=True)
    return base.resolve()


def drop_old(folder: Path, pattern: str, *, keep: int) -> None:
    """Of the files that match, remove all but the `keep` used last (touch one to say that it is used)."""
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[keep:]:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, *, say: Say, waiting_for: str) -> Iterator[None]:
    """Hold an exclusive flock on `path`; says `waiting_for` once if another process holds it.

    The kernel releases it when the holder ends for any reason, so it is never stale.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        if not try_lock(handle.fileno()):
            say(f"waiting: {waiting_for}")
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX)
        yield


def try_lock(descriptor: int) -> bool:
    """Take an exclusive flock without waiting; False when another open file holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
