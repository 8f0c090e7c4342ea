"""What containerd, CNI and the kubelet write outside the run folder whatever their configuration says.

Only what is certainly the run's own is removed, then folders that were absent before and are empty now: other
software may have moved in since, when a killed run is swept days later.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

_SHIM_SOCKETS = Path("/run/containerd/s")
_CNI_RESULTS = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_MOUNT_TABLE = Path("/run/mount")
_TOP_FOLDERS = (
    Path("/run/containerd"),
    Path("/var/lib/cni"),
    _CONTAINER_LOGS,
    Path("/var/lib/kubelet"),
    _MOUNT_TABLE,
)


def absent() -> list[str]:
    """Those of the folders that do not exist now."""
    return [str(folder) for folder in _TOP_FOLDERS if not folder.exists()]


def remove(run_folder: Path, *, absent_before: Iterable[str]) -> None:
    """Remove the run's traces, and folders of `absent_before` that are empty then."""
    for path in _own(run_folder):
        path.unlink(missing_ok=True)
    for folder in map(Path, absent_before):
        for path in sorted((folder, *folder.rglob("*")), reverse=True):
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()


def _own(run_folder: Path) -> list[Path]:
    links = [path for path in _CONTAINER_LOGS.glob("*") if path.is_symlink()]
    own = [path for path in links if path.readlink().is_relative_to(run_folder)]
    # Each names its network namespace, which is below the run folder.
    mark = f"{run_folder}/".encode()
    own += (path for path in _CNI_RESULTS.glob("*") if path.is_file() and mark in path.read_bytes())
    own += (path for path in _SHIM_SOCKETS.glob("*") if _is_dead(path))
    own += (path for path in _DEVICE_PLUGINS.glob("kubelet.sock") if _is_dead(path))
    own += (path for path in _MOUNT_TABLE.glob("utab*") if path.stat().st_size == 0)
    return own


def _is_dead(path: Path) -> bool:
    """Return whether it is a socket without a listener."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
