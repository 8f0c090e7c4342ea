"""Clusters come and go; the machine is as it was when the last one has gone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import machine, packages, recipes
from ..binaries import binaries
from ..cache import Say, cache_folder, locked, silent
from ..certificates import make_old_ca
from ..commands import run, run_saying
from ..errors import StartError, TestbedError
from ..images import write_busybox
from . import known
from .cluster import KindCluster
from .config import cluster_config
from .docker import (
    Docker,
    clusters_environment,
    find_docker,
    node_containers,
    remove_network,
)
from .dockerd import have_docker, stop_ours, was_started
from .nodeimage import have_node_image, is_own
from .podnetwork import connect_pods
from .state import one_at_a_time, record_machine, restore_machine

DEFAULT_NAME = "oomkeeper"
_READY_SECONDS = 180
_HEALTHY_SECONDS = 60
_LATE_SECONDS = 8


def why_not() -> str | None:
    """Why this process cannot have a cluster, or None when it can, as far as can be told without trying."""
    if os.geteuid() != 0 and find_docker() is None:
        return "kind needs a Docker daemon that answers, or root to start one"
    return None


@contextmanager
def kind_cluster(*, name: str = DEFAULT_NAME, workers: int = 2, say: Say = silent) -> Iterator[KindCluster]:
    """The cluster of that name: as it is when it is up already, and then it stays; else for the block.

    The last of ours to go takes the daemon with it and puts the machine back. Raises TestbedError, saying
    what is missing.
    """
    was_up = find(name) is not None
    try:
        yield up(name=name, workers=workers, say=say)
    finally:
        if not was_up:
            down(name=name, say=say)


def up(
    *, name: str = DEFAULT_NAME, workers: int = 2, old_certificates: bool = False, say: Say = silent
) -> KindCluster:
    """Bring a cluster up, or take the one of that name that works; one that does not is made anew.

    `old_certificates`: the API server's certificates have the shape of older clusters, without key
    identifiers and with a CA whose basicConstraints is not critical.

    Raises TestbedError, saying what is missing.
    """
    reason = why_not()
    if reason is not None:
        raise TestbedError(f"{reason}; run it as root, or start Docker")
    with one_at_a_time(say=say):
        record_machine()
        machine.let_watch()
        docker = have_docker(say=say)
        cluster = known.attach(docker, name=name, say=say)
        if cluster is not None and _is_healthy(cluster):
            say(f"cluster {name} is up already")
            return cluster
        clients = binaries(recipes.KIND_CLIENTS, say=say)
        _delete(docker, name=name, kind=clients["kind"], say=say)
        image = have_node_image(docker, say=say)
        started = time.monotonic()
        say(f"creating cluster {name}: a control plane and {workers} workers, about a minute")
        pki = known.pki_folder(name) if old_certificates else None
        if pki is not None:
            pki.mkdir(exist_ok=True)
            make_old_ca(pki)
        wanted = cluster_config(workers=workers, has_kindnet=not is_own(image), pki=pki)
        config = known.note_begun(name, config=wanted)
        options: list[str | Path] = ["--name", name, "--image", image, "--config", config]
        options += ["--kubeconfig", known.kubeconfig_path(name)]
        create = [clients["kind"], "create", "cluster", *options]
        run_saying(create, say=_kinds_steps(say), environment=clusters_environment(docker))
        cluster = known.cluster_of(docker, name=name, clients=clients)
        if is_own(image):
            connect_pods(cluster)
        cluster.load_image(_busybox(say=say))
        say(f"waiting for {', '.join(cluster.nodes)} to be Ready")
        _await_ready(cluster)
        known.note_finished(name, clients={key: clients[key] for key in ("kind", "kubectl", "helm")})
        say(f"cluster {name} is up after {time.monotonic() - started:.0f} s")
        return cluster


def find(name: str = DEFAULT_NAME) -> KindCluster | None:
    """The cluster of that name if `up` has finished it; starts and builds nothing."""
    docker = find_docker() if known.is_finished(name) else None
    return known.attach(docker, name=name, say=silent) if docker is not None else None


def down(*, name: str | None = None, say: Say = silent) -> None:
    """Delete the cluster `name`, or all of ours; with the last one put the machine back.

    Raises TestbedError naming what could not be restored, and the command that does it.
    """
    with one_at_a_time(say=say):
        docker = find_docker()
        if docker is None and was_started():
            # It was killed, or the machine restarted: it knows best what it has left.
            docker = have_docker(say=say)
        for one in known.names() if name is None else [name]:
            if docker is None:
                known.forget(one)  # its containers went with the daemon
            else:
                _delete(docker, name=one, kind=binaries((recipes.KIND,), say=say)["kind"], say=say)
        if known.names():
            return
        if docker is not None:
            remove_network(docker)
        is_ours = was_started()
        left = stop_ours(say=say)
        left += restore_machine(docker_is_ours=is_ours)
        if left:
            raise TestbedError(f"could not be restored, do it by hand: {'; '.join(left)}")
        say("no cluster is left, and the machine is as it was; images and binaries stay in the cache")


def _kinds_steps(say: Say) -> Say:
    def say_step(text: str) -> None:
        # It also says how to use a kubeconfig that is not this one, and draws.
        if text.startswith("✓"):
            say("kind: done " + "".join(char for char in text if char.isascii()).strip().lower())

    return say_step


def _is_healthy(cluster: KindCluster) -> bool:
    try:
        cluster.kubectl("get", "--raw=/readyz", "--request-timeout=30s")
        cluster.kubectl("wait", "node", "--all", "--for=condition=Ready", f"--timeout={_HEALTHY_SECONDS}s")
    except TestbedError:
        return False
    return True


def _await_ready(cluster: KindCluster) -> None:
    timeout = f"--timeout={_READY_SECONDS}s"
    try:
        cluster.kubectl("wait", "node", "--all", "--for=condition=Ready", timeout)
        cluster.kubectl("rollout", "status", "--namespace=kube-system", "deployment/coredns", timeout)
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", timeout)
    except TestbedError as error:
        seen = cluster.kubectl("get", "nodes,pods", "--all-namespaces", "--output=wide", check=False)
        raise StartError(f"cluster {cluster.name} does not become ready: {error}\n{seen}") from error


def _busybox(*, say: Say) -> Path:
    packages.require((packages.BUSYBOX,), say=say)
    path = cache_folder() / "images" / "busybox.tar"
    path.parent.mkdir(exist_ok=True)
    with locked(path.with_suffix(".lock"), say=say, waiting_for="another process writes busybox's image"):
        write_busybox(path)
    return path


def _delete(docker: Docker, *, name: str, kind: Path, say: Say) -> None:
    # A killed client leaves the daemon at work: the container that it asked for may come late.
    is_in_pieces = name in known.names() and not known.is_finished(name)
    settled = time.monotonic() + (_LATE_SECONDS if is_in_pieces else 0)
    options: list[str | Path] = ["--name", name, "--kubeconfig", known.kubeconfig_path(name)]
    while True:
        if node_containers(docker, name):
            say(f"deleting cluster {name}")
            known.note_unfinished(name)
            run([kind, "delete", "cluster", *options], environment=clusters_environment(docker), seconds=120)
        elif time.monotonic() >= settled:
            break
        time.sleep(0.2)
    known.forget(name)
