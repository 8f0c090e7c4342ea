"""Which clusters there are: what `up` has noted of each, in files named for it in the state folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from .. import recipes
from ..binaries import binaries
from ..cache import Say
from .cluster import KindCluster
from .docker import Docker, node_containers
from .state import state_folder

_BEGUN, _FINISHED = "begun", "ready"


def kubeconfig_path(name: str) -> Path:
    """Where the administrator's kubeconfig of that cluster is."""
    return state_folder() / f"{name}.kubeconfig"


def pki_folder(name: str) -> Path:
    """Where the CA of a cluster with old certificates is."""
    return state_folder() / f"{name}.pki"


def names() -> list[str]:
    """Clusters that `up` has begun and `down` has not ended."""
    return sorted(path.stem for path in state_folder().glob(f"*.{_BEGUN}"))


def note_begun(name: str, *, config: str) -> Path:
    """Note it before anything is there to clean up; gives the file that has its configuration."""
    path = state_folder() / f"{name}.{_BEGUN}"
    path.write_text(config)
    return path


def note_finished(name: str, *, clients: Mapping[str, Path]) -> None:
    """Note that all of it is there, and the programs that belong to it."""
    text = json.dumps({program: str(path) for program, path in clients.items()})
    (state_folder() / f"{name}.{_FINISHED}").write_text(text)


def note_unfinished(name: str) -> None:
    """Note that it may be in pieces from here on."""
    (state_folder() / f"{name}.{_FINISHED}").unlink(missing_ok=True)


def forget(name: str) -> None:
    """Remove all that was noted, and its clients' files."""
    for path in state_folder().glob(f"{name}.*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def is_finished(name: str) -> bool:
    """Whether `up` came to its end."""
    return (state_folder() / f"{name}.{_FINISHED}").exists()


def attach(docker: Docker, *, name: str, say: Say) -> KindCluster | None:
    """The cluster of that name, if it was finished and its containers are there, running or not."""
    if not is_finished(name) or not node_containers(docker, name, role="control-plane"):
        return None
    noted = json.loads((state_folder() / f"{name}.{_FINISHED}").read_text())
    clients = {program: Path(path) for program, path in noted.items()}
    if not all(path.exists() for path in clients.values()):
        clients = dict(binaries(recipes.KIND_CLIENTS, say=say))
    return cluster_of(docker, name=name, clients=clients)


def cluster_of(docker: Docker, *, name: str, clients: Mapping[str, Path]) -> KindCluster:
    """The cluster that these containers are."""
    [control_plane] = node_containers(docker, name, role="control-plane")
    return KindCluster(
        name=name,
        kubeconfig=kubeconfig_path(name),
        control_plane=control_plane,
        workers=tuple(node_containers(docker, name, role="worker")),
        docker=docker,
        kind_path=clients["kind"],
        kubectl_path=clients["kubectl"],
        helm_path=clients["helm"],
    )
