"""What a native node changes on the machine: recorded before it starts, restored when it ends.

Everything here works from the run folder alone, so that the next start can clean up after a killed
supervisor.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from . import cgroups, mounts, traces
from .errors import StartError
from .processes import kill_all_and_wait, of_run

_RECORD = "machine.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROC_SYS = Path("/proc/sys")
_SHIM = "containerd-shim-runc-v2"

SYSCTLS = (
    # kubelet: pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    # the CNI plugin ptp
    "net.ipv4.ip_forward",
    # let_watch()
    "fs.inotify.max_user_instances",
)
_INOTIFY_INSTANCES = 512
"""Each containerd, kubelet and systemd of a node has some, all of them root's: at the kernel's 128 the second
cluster's containerd starts without its CRI (kind: "too many open files" among its known issues)."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The machine as it was found."""

    boot_id: str
    sysctls: dict[str, str]
    absent_folders: list[str]


def is_recorded(folder: Path) -> bool:
    """Whether the run of this folder was to change the machine."""
    return (folder / _RECORD).exists()


def record(folder: Path) -> None:
    """Note what there is now, in the run folder.

    Raises StartError on a machine that is a Kubernetes node already: two kubelets would end each other's
    pods.
    """
    if cgroups.pids():
        raise StartError(
            f"the cgroup /{cgroups.NAME} has processes: this machine is a Kubernetes node already; "
            "use its kubeconfig, or run the testbed on another machine"
        )
    now = Record(
        boot_id=_BOOT_ID.read_text().strip(),
        sysctls=sysctls_now(),
        absent_folders=traces.absent(),
    )
    fresh = folder / f"{_RECORD}.new"
    fresh.write_text(json.dumps(asdict(now), indent=1))
    fresh.rename(folder / _RECORD)


def clean_pods(folder: Path) -> list[str]:
    """End the run's containers and then their shims; gives what does not end."""
    # containerd keeps a folder per container; by these ids no other runtime's processes are ever meant.
    tasks = folder / "containerd-state" / "io.containerd.runtime.v2.task" / "k8s.io"
    containers = frozenset(path.name for path in tasks.glob("*"))
    stubborn: set[int] = set()
    # One that forks while we look is met the next time round.
    while not stubborn and (pids := cgroups.pids(containers=containers)):
        stubborn = kill_all_and_wait(pids, seconds=10)
    stubborn |= kill_all_and_wait(of_run(folder, only=_SHIM), seconds=10)
    return [f"process {pid} does not end" for pid in sorted(stubborn)]


def clean(folder: Path) -> list[str]:
    """End what still runs for `folder` and restore the machine; return what could not be restored."""
    left = clean_pods(folder) if is_recorded(folder) else []
    stubborn = kill_all_and_wait(of_run(folder), seconds=10)
    left += [f"process {pid} does not end" for pid in sorted(stubborn)]
    left += mounts.unmount_below(folder)
    if is_recorded(folder):
        left += _restore(folder, Record(**json.loads((folder / _RECORD).read_text())))
    return left


def _restore(folder: Path, found: Record) -> list[str]:
    traces.remove(folder, absent_before=found.absent_folders)
    if found.boot_id != _BOOT_ID.read_text().strip():
        return []  # the reboot has restored everything that is not in a file
    return cgroups.remove() + restore_sysctls(found.sysctls)


def let_watch() -> None:
    """Let root have as many inotify instances as several nodes on one machine need."""
    path = _path("fs.inotify.max_user_instances")
    if int(path.read_text()) < _INOTIFY_INSTANCES:
        path.write_text(str(_INOTIFY_INSTANCES))


def sysctls_now(keys: Iterable[str] = SYSCTLS) -> dict[str, str]:
    """Those of `keys` that this kernel has, as they are."""
    return {key: _path(key).read_text().strip() for key in keys if _path(key).exists()}


def restore_sysctls(found: Mapping[str, str]) -> list[str]:
    """Write those that differ; gives what could not be written."""
    left: list[str] = []
    for key, value in found.items():
        try:
            if _path(key).read_text().strip() != value:
                _path(key).write_text(value)
        except OSError as error:
            left.append(f"sysctl {key}={value}: {error}")
    return left


def _path(key: str) -> Path:
    return _PROC_SYS / key.replace(".", "/")
