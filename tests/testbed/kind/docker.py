"""Docker's client: the daemon that runs the node containers, and what is asked of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..commands import run, succeeds
from .state import state_folder

NETWORK = "oomkeeper-kind"


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


def daemon_folder() -> Path:
    """Where the daemon that we start has its socket, pid and log."""
    return state_folder() / "docker"


def ours() -> Docker:
    """The daemon that we start, whether it runs or not."""
    return Docker(environment={"DOCKER_HOST": f"unix://{daemon_folder()}/docker.sock"}, is_ours=True)


def find_docker() -> Docker | None:
    """The daemon that the client finds by itself, else ours, else None; starts nothing."""
    if shutil.which("docker") is None:
        return None
    for docker in (Docker(), ours()):
        if succeeds(["docker", "info"], environment=docker.environment, seconds=30):
            return docker
    return None


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
