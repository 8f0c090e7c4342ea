"""What is known between `up` and `down`, in a folder of this user: which clusters, which daemon, what the
machine was like before.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .. import machine, netfilter
from ..cache import Say, locked
from ..errors import TestbedError

_RECORD = "machine.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_DOCKER_CGROUP = "docker"
_CGROUP_SECONDS = 30.0
_DOCKER_FOLDERS = (Path("/run/docker/plugins"), Path("/run/docker"))
"""dockerd makes them wherever its own folders are: pkg/plugins/discovery.go."""
_PROC_SYS = Path("/proc/sys")
_NODES_SYSCTLS = (
    # The systemd in a node: src/core/main.c, bump_file_max_and_nr_open
    "fs.file-max",
    "fs.nr_open",
    # dockerd, and kind's network with its IPv6 range
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
)
"""What a cluster of containers changes beyond a native node's."""


def state_folder() -> Path:
    """The folder; short, for the sockets in it, and not in the cache, which outlives a cluster."""
    path = Path("/var/tmp") / f"oomkeeper-kind-{os.geteuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.geteuid():
        raise TestbedError(f"{path} belongs to another user: remove it")
    return path


@contextmanager
def one_at_a_time(*, say: Say) -> Iterator[None]:
    """Prevent two processes from starting or removing clusters at the same time."""
    lock = state_folder() / "lock"
    with locked(lock, say=say, waiting_for="another process brings a kind cluster up or down"):
        yield


@dataclass(frozen=True, kw_only=True)
class Found:
    """The machine before the first cluster."""

    boot_id: str
    sysctls: dict[str, str]
    netfilter: dict[str, str]
    absent_cgroups: list[str]
    absent_folders: list[str] = field(default_factory=list)
    interfaces: dict[str, str] = field(default_factory=dict)
    """Path below /proc/sys -> value: the kernel sets these on every interface when ip_forward changes."""


def record_machine() -> None:
    """Note what there is now, unless noted since this boot."""
    old = _recorded()
    if old is not None and old.boot_id == _boot_id():
        return
    found = Found(
        boot_id=_boot_id(),
        sysctls=machine.sysctls_now((*machine.SYSCTLS, *_NODES_SYSCTLS)),
        netfilter=netfilter.dump(),
        absent_cgroups=[str(path) for path in _docker_cgroups() if not path.exists()],
        absent_folders=[str(path) for path in _DOCKER_FOLDERS if not path.exists()],
        interfaces={str(path): path.read_text().strip() for path in _interface_settings()},
    )
    fresh = state_folder() / f"{_RECORD}.new"
    fresh.write_text(json.dumps(asdict(found), indent=1))
    fresh.rename(state_folder() / _RECORD)


def restore_machine(*, docker_is_ours: bool) -> list[str]:
    """Restore what was recorded; return what could not be restored, each with the command that does it.

    The firewall and the cgroups are ours to clean only when the daemon that made them was.
    """
    found = _recorded()
    if found is None:
        return []
    left: list[str] = []
    if found.boot_id == _boot_id():
        if docker_is_ours:
            left += netfilter.remove_docker(found.netfilter)
            left += _remove_cgroups(found.absent_cgroups)
            for path in map(Path, found.absent_folders):
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
        left += machine.restore_sysctls(found.sysctls)
        left += _restore_interfaces(found.interfaces)
    if not left:
        (state_folder() / _RECORD).unlink()
    return left


def _recorded() -> Found | None:
    try:
        text = (state_folder() / _RECORD).read_text()
    except FileNotFoundError:
        return None
    return Found(**json.loads(text))


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def _docker_cgroups() -> list[Path]:
    hierarchies = [path for path in _CGROUP_ROOT.iterdir() if path.is_dir() and not path.is_symlink()]
    is_v2 = (_CGROUP_ROOT / "cgroup.controllers").exists()
    return [path / _DOCKER_CGROUP for path in ([_CGROUP_ROOT] if is_v2 else hierarchies)]


def _interface_settings() -> list[Path]:
    names = ("forwarding", "accept_redirects")
    return [path for name in names for path in sorted(_PROC_SYS.glob(f"net/ipv[46]/conf/*/{name}"))]


def _restore_interfaces(found: dict[str, str]) -> list[str]:
    left = []
    for path in map(Path, found):
        try:
            if path.read_text().strip() != found[str(path)]:
                path.write_text(found[str(path)])
        except FileNotFoundError:
            continue  # that interface has gone
        except OSError as error:
            left.append(f"{path}: {error.strerror} (echo {found[str(path)]} > {path})")
    return left


def container_pids(containers: Iterable[str]) -> set[int]:
    """Processes of Docker's containers of these ids, from their cgroups."""
    found: set[int] = set()
    for container in containers:
        for root in _docker_cgroups():
            for folder, _, _ in os.walk(root / container):
                try:
                    found.update(int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split())
                except OSError:
                    continue  # removed while we looked
    return found


def _remove_cgroups(absent_before: list[str]) -> list[str]:
    deadline = time.monotonic() + _CGROUP_SECONDS
    while True:
        left = []
        for path in map(Path, absent_before):
            for folder, _, _ in sorted(os.walk(path), reverse=True):
                try:
                    Path(folder).rmdir()
                except OSError as error:
                    left.append(f"cgroup {folder}: {error.strerror} (rmdir {folder})")
        # A killed process leaves its cgroup a little after it is gone from /proc.
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)
