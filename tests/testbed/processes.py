"""Processes that end with their parent, and how to end them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from .plan import Component

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36

PROGRAMS = frozenset(
    {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"}
    | {"containerd", "containerd-shim-runc-v2", "qemu-system-x86_64"}
)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the new process when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Make daemonised grandchildren (containerd's shims) fall to this process instead of PID 1."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(component: Component, *, folder: Path) -> subprocess.Popen[bytes]:
    """Start it with its output in `folder/NAME.log`."""
    with (folder / f"{component.name}.log").open("ab") as log:
        return subprocess.Popen(
            component.command,
            cwd=folder,
            env={**_without_proxies(), **dict(component.environment)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )


def _without_proxies() -> dict[str, str]:
    # All parts are on this machine, and the API server would send even the kubelet's logs through a proxy.
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def log_end(folder: Path, name: str, *, lines: int = 12) -> str:
    """The last lines of a component's log."""
    log = folder / f"{name}.log"
    text = log.read_bytes().decode(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def stop(process: subprocess.Popen[bytes], *, gentle_seconds: float) -> None:
    """End it and wait until it is gone."""
    if process.poll() is None and gentle_seconds > 0:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(gentle_seconds)
    if process.poll() is None:
        process.kill()
    process.wait()


def kill_all_and_wait(pids: set[int], *, seconds: float) -> set[int]:
    """SIGKILL to each; gives those that are still there (zombies do not count) after `seconds`."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + seconds
    left = {pid for pid in pids if is_running(pid)}
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        reap_adopted()
        left = {pid for pid in left if is_running(pid)}
    return left


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def of_run(folder: Path, *, only: str | None = None) -> set[int]:
    """Pids of the testbed's programs that have `folder` in their arguments, as each of ours has.

    A user's `tail -f` of a log there does not count.
    """
    wanted, found = f"{folder}/".encode(), set[int]()
    programs = PROGRAMS if only is None else {only}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program = Path((entry / "exe").readlink().name.removesuffix(" (deleted)"))
            if program.name in programs and wanted in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue  # ended while we looked, a kernel thread, or not ours to read
    return found


def reap_adopted(*, known: frozenset[int] = frozenset()) -> None:
    """Reap ended children, except `known` ones, which their owners wait for."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    try:
        pids = [int(pid) for pid in children.read_text().split()]
    except OSError:
        return  # a kernel without CONFIG_PROC_CHILDREN: they go to PID 1 when this process ends
    for pid in pids:
        if pid not in known and not is_running(pid):
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
