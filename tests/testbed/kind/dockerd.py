"""The Docker daemon: the machine's own where one answers, else one that we start, and stop again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .. import packages
from ..cache import Say, cache_folder
from ..commands import run, succeeds
from ..errors import StartError, TestbedError
from ..mounts import remove_tree, unmount_below
from ..nodefiles import has_sys_resource
from ..processes import is_running, kill_all_and_wait, of_run
from .docker import Docker, daemon_folder, find_docker, ours
from .state import container_pids

_START_SECONDS = 60
_END_SECONDS = 30
_WRAPPER = Path(__file__).parent / "runc_without_sys_resource.py"
_SYSTEM_PYTHON = Path("/usr/bin/python3")


def have_docker(*, say: Say) -> Docker:
    """A daemon that answers, started when there is none.

    Raises TestbedError, saying what is missing.
    """
    found = find_docker()
    if found is not None:
        if found.is_ours:
            say("using the Docker daemon that an earlier run started")
        return found
    if _pid() is not None:
        return _await_answer(seconds=_START_SECONDS)
    if os.geteuid() != 0:
        raise TestbedError(
            "no Docker daemon answers: start it (systemctl start docker), or run this as root: it starts one"
        )
    packages.require((packages.DOCKER, packages.DOCKERD, packages.RUNC, packages.IPTABLES), say=say)
    _stop_what_installing_started()
    return _start(say=say)


def stop_ours(*, say: Say) -> list[str]:
    """End the daemon that we started, with whatever containers it still has; gives what does not end."""
    pid = _pid()
    if pid is not None:
        say("stopping the Docker daemon that was started for this")
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        while is_running(pid):
            if time.monotonic() > deadline:
                return [f"dockerd does not end (kill -9 {pid})"]
            time.sleep(0.1)
    return _sweep()


def _sweep() -> list[str]:
    """End and remove what a daemon that was killed has left; gives what stays."""
    folder, data = daemon_folder(), _data_folder()
    if not folder.exists():
        return []
    containers = [path.name for path in data.glob("containers/*")]
    pids = of_run(folder) | container_pids(containers)
    left = [
        f"process {pid} does not end (kill -9 {pid})" for pid in sorted(kill_all_and_wait(pids, seconds=15))
    ]
    # dockerd mounts its store over itself.
    left += unmount_below(folder) + unmount_below(data, itself=True)
    if not left:
        remove_tree(folder)
    return left


def was_started() -> bool:
    """Whether a daemon of ours was started and not stopped by us: it may have been killed since."""
    return daemon_folder().exists()


def _data_folder() -> Path:
    return cache_folder() / "docker"


def _pid() -> int | None:
    try:
        pid = int((daemon_folder() / "dockerd.pid").read_text())
        program = Path(f"/proc/{pid}/exe").readlink().name
    except (OSError, ValueError):
        return None
    return pid if program == "dockerd" else None


def _start(*, say: Say) -> Docker:
    left = _sweep()
    if left:
        raise StartError(f"an earlier Docker daemon has left what does not go: {'; '.join(left)}")
    folder = daemon_folder()
    folder.mkdir()
    (folder / "daemon.json").write_text(json.dumps(_configuration(folder), indent=1))
    say("no Docker daemon answers: starting one, until `make kind-down`")
    dockerd = packages.DOCKERD.find()
    assert dockerd is not None  # packages.require has seen to it
    with (folder / "dockerd.log").open("ab") as log:
        daemon = subprocess.Popen(
            [dockerd, "--config-file", folder / "daemon.json"],
            # runc and iptables are looked up by name, and a user's PATH may lack the system's folders.
            env={**os.environ, "PATH": f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ.get('PATH', '')}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _await_answer(seconds=_START_SECONDS, daemon=daemon)


def _await_answer(*, seconds: float, daemon: subprocess.Popen[bytes] | None = None) -> Docker:
    docker = ours()
    deadline = time.monotonic() + seconds
    while not succeeds(["docker", "info"], environment=docker.environment, seconds=10):
        if time.monotonic() > deadline or (daemon is not None and daemon.poll() is not None):
            log = (daemon_folder() / "dockerd.log").read_text(errors="replace")
            raise StartError("dockerd does not answer; the end of its log:\n" + log[-1000:])
        time.sleep(0.3)
    return docker


def _configuration(folder: Path) -> dict[str, object]:
    configuration: dict[str, object] = {
        "hosts": [f"unix://{folder}/docker.sock"],
        "pidfile": f"{folder}/dockerd.pid",
        "exec-root": f"{folder}/exec",
        # The node image stays from one cluster to the next.
        "data-root": str(_data_folder()),
        # The nodes have a network of their own; a second bridge would only be one more to remove.
        "bridge": "none",
    }
    if not has_sys_resource():
        wrapper = folder / "runc"
        text = _WRAPPER.read_text().replace("/usr/sbin/runc", str(packages.RUNC.find()))
        python = _SYSTEM_PYTHON if _SYSTEM_PYTHON.exists() else Path(sys.executable)
        wrapper.write_text(text.replace("#!/usr/bin/python3", f"#!{python}", 1))
        wrapper.chmod(0o755)
        configuration["runtimes"] = {"without-sys-resource": {"path": str(wrapper)}}
        configuration["default-runtime"] = "without-sys-resource"
    return configuration


def _stop_what_installing_started() -> None:
    # Debian's package starts its service where systemd runs; that one would outlive us.
    if Path("/run/systemd/system").is_dir() and succeeds(["docker", "info"], seconds=10):
        run(["systemctl", "stop", "docker.socket", "docker.service"], seconds=60)
