"""Run folders: one per running testbed, held by a flock that ends with its supervisor.

A folder whose lock is free was left by a killed supervisor: the next start sweeps it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .cache import Say, locked, try_lock
from .errors import TestbedError
from .mounts import remove_tree

_LOCK = "lock"
_LONGEST = 70
"""A socket's path may have 107 bytes (unix(7)); the kubelet's pod-resources has 36 below the run folder."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run folder of our own, its lock held."""

    folder: Path
    descriptors: tuple[int, ...]
    """The open files that hold the locks; processes that inherit them keep the locks."""


def runs_folder(folder: Path | None = None) -> Path:
    """Return the folder of run folders: on a disk (images), one per user, private."""
    path = folder or Path("/var/tmp") / f"oomkeeper-testbed-{os.geteuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.geteuid():
        raise TestbedError(f"{path} belongs to another user: remove it or give another folder")
    return path.resolve()


@contextmanager
def new_run(*, level: str, exclusive: bool, say: Say, folder: Path | None) -> Iterator[Run]:
    """Make a run folder, locked until the block and every process that inherits the descriptors has ended.

    `exclusive` waits for the one node-level testbed that a machine can have.
    """
    runs = runs_folder(folder)
    descriptors: list[int] = []
    try:
        if exclusive:
            descriptors.append(_hold_node_lock(say=say))
        with _runs_locked(runs, say=say):
            _sweep(runs, node_lock_held=exclusive, say=say)
            path = Path(tempfile.mkdtemp(prefix=f"{level}-", dir=runs))
            descriptors.append(os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600))
            # Waits only for a process that checks right now whether it is live.
            fcntl.flock(descriptors[-1], fcntl.LOCK_EX)
        try:
            if exclusive and len(str(path)) > _LONGEST:
                raise TestbedError(
                    f"{path} is too long for the sockets in it: use a folder with a shorter name"
                )
            yield Run(folder=path, descriptors=tuple(descriptors))
        except BaseException:
            remove_tree(path)
            raise
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _node_lock() -> Path:
    # One per machine, whatever folder the runs are in: the kubelet's cgroup and sysctls are the machine's.
    return runs_folder() / "node.lock"


def _hold_node_lock(*, say: Say) -> int:
    descriptor = os.open(_node_lock(), os.O_RDWR | os.O_CREAT, 0o600)
    if not try_lock(descriptor):
        say("waiting: another native node runs on this machine, and there can be one at a time")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def live_runs(runs: Path) -> list[Path]:
    """Run folders whose supervisor lives."""
    return [path for path in _folders(runs) if not _is_stale(path)]


def sweep(runs: Path, *, say: Say) -> None:
    """End what killed supervisors left behind, and remove their folders."""
    with _runs_locked(runs, say=say):
        _sweep(runs, node_lock_held=False, say=say)


def _runs_locked(runs: Path, *, say: Say) -> AbstractContextManager[None]:
    return locked(runs / "sweep.lock", say=say, waiting_for="another process sweeps old runs")


def _sweep(runs: Path, *, node_lock_held: bool, say: Say) -> None:
    for path in _folders(runs):
        if not _is_stale(path):
            continue
        if machine.is_recorded(path) and not node_lock_held:
            # Its pods' cgroup would be the living node's too.
            descriptor = os.open(_node_lock(), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if try_lock(descriptor):
                    _sweep_one(path, say=say)
            finally:
                os.close(descriptor)
        else:
            _sweep_one(path, say=say)


def _sweep_one(path: Path, *, say: Say) -> None:
    say(f"sweeping {path.name}, left by a killed run")
    left = machine.clean(path)
    if left:
        raise TestbedError(f"{path}, left by a killed run, cannot be swept; do it by hand: {'; '.join(left)}")
    remove_tree(path)


def _folders(runs: Path) -> list[Path]:
    return sorted(path for path in runs.iterdir() if path.is_dir())


def _is_stale(path: Path) -> bool:
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return True  # made and locked under sweep.lock, so no other process is about to
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)
