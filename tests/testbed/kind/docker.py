"""The Docker that runs the node containers: the machine's own where one answers, else one that we start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import packages
from ..cache import Say, cache_folder
from ..commands import run, succeeds
from ..errors import StartError, TestbedError
from ..mounts import remove_tree, unmount_below
from ..nodefiles import has_sys_resource
from ..processes import is_running
from .state import state_folder

NETWORK = "oomkeeper-kind"
_START_SECONDS = 60
_END_SECONDS = 30
_WRAPPER = Path(__file__).parent / "runc_without_sys_resource.py"
_SYSTEM_PYTHON = Path("/usr/bin/python3")


@dataclass(frozen=True, kw_only=True)
class Docker:
    """A daemon that answers, and the client's environment that leads to it."""

    environment: dict[str, str] = field(default_factory=dict)
    is_ours: bool = False

    def __call__(self, *arguments: str | Path, input: str | None = None, seconds: float | None = None) -> str:
        """Run the client; gives its stdout. Raises TestbedError when it fails."""
        return run(["docker", *arguments], input=input, environment=self.environment, seconds=seconds)

    def has_image(self, name: str) -> bool:
        """Whether the daemon's store has it."""
        return succeeds(["docker", "image", "inspect", name], environment=self.environment)


def find_docker() -> Docker | None:
    """The daemon that the client finds by itself, else ours, else None; starts nothing."""
    if shutil.which("docker") is None:
        return None
    for docker in (Docker(), _ours()):
        if succeeds(["docker", "info"], environment=docker.environment, seconds=10):
            return docker
    return None


def have_docker(*, say: Say) -> Docker:
    """A daemon that answers, started when there is none.

    Raises TestbedError, saying what is missing.
    """
    found = find_docker()
    if found is not None:
        if found.is_ours:
            say("using the Docker daemon that an earlier run started")
        return found
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
    left = unmount_below(_folder())
    if not left:
        remove_tree(_folder())
    return left


def was_started() -> bool:
    """Whether a daemon of ours was started and not stopped by us: it may have been killed since."""
    return _folder().exists()


def _folder() -> Path:
    return state_folder() / "docker"


def _ours() -> Docker:
    return Docker(environment={"DOCKER_HOST": f"unix://{_folder()}/docker.sock"}, is_ours=True)


def _pid() -> int | None:
    try:
        pid = int((_folder() / "dockerd.pid").read_text())
        program = Path(f"/proc/{pid}/exe").readlink().name
    except (OSError, ValueError):
        return None
    return pid if program == "dockerd" else None


def _start(*, say: Say) -> Docker:
    folder = _folder()
    folder.mkdir(exist_ok=True)
    (folder / "daemon.json").write_text(json.dumps(_configuration(folder), indent=1))
    say("no Docker daemon answers: starting one, until `make kind-down`")
    dockerd = packages.DOCKERD.find()
    assert dockerd is not None  # packages.require has seen to it
    with (folder / "dockerd.log").open("ab") as log:
        subprocess.Popen(
            [dockerd, "--config-file", folder / "daemon.json"],
            # runc and iptables are looked up by name, and a user's PATH may lack the system's folders.
            env={**os.environ, "PATH": f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ.get('PATH', '')}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    docker = _ours()
    deadline = time.monotonic() + _START_SECONDS
    while not succeeds(["docker", "info"], environment=docker.environment, seconds=10):
        if time.monotonic() > deadline or (time.monotonic() > deadline - _START_SECONDS + 5 and not _pid()):
            end = (folder / "dockerd.log").read_text(errors="replace").splitlines()[-8:]
            raise StartError("dockerd does not start; the end of its log:\n" + "\n".join(end))
        time.sleep(0.3)
    return docker


def _configuration(folder: Path) -> dict[str, object]:
    configuration: dict[str, object] = {
        "hosts": [f"unix://{folder}/docker.sock"],
        "pidfile": f"{folder}/dockerd.pid",
        "exec-root": f"{folder}/exec",
        # The node image stays from one cluster to the next.
        "data-root": str(cache_folder() / "docker"),
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


def clusters_environment(docker: Docker) -> dict[str, str]:
    """What kind's command has to be given to use this daemon and our network."""
    return {
        **docker.environment,
        "KIND_EXPERIMENTAL_PROVIDER": "docker",
        "KIND_EXPERIMENTAL_DOCKER_NETWORK": NETWORK,
    }


def remove_network(docker: Docker) -> None:
    """Remove the nodes' network, if it is there."""
    if docker("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$").strip():
        docker("network", "rm", NETWORK)


def node_containers(docker: Docker, cluster: str, *, role: str | None = None) -> Sequence[str]:
    """Names of the cluster's node containers, running or not."""
    filters = [f"label=io.x-k8s.kind.cluster={cluster}"]
    filters += [f"label=io.x-k8s.kind.role={role}"] if role else []
    arguments = [part for one in filters for part in ("--filter", one)]
    return sorted(docker("ps", "--all", "--format", "{{.Names}}", *arguments).split())
