"""The node level: a whole cluster whose one node is this machine, with a real containerd and kubelet."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import components, packages, recipes
from .binaries import binaries
from .cache import Say, silent
from .controlplane import ControlPlane, attach, write_files
from .errors import StartError, TestbedError
from .images import write_images
from .launch import launched
from .nodefiles import write_node_files
from .plan import Plan
from .ports import free_ports, own_address

NODE_USER = "kubeconfig-node"
_READY_SECONDS = 120.0
_held_here = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class NativeNode:
    """A running cluster of one real node."""

    control_plane: ControlPlane
    name: str
    """Of the Node object."""
    containerd_socket: Path
    ctr_path: Path

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        """As ControlPlane.kubectl."""
        return self.control_plane.kubectl(*arguments, input=input, check=check)

    def ctr(self, *arguments: str) -> str:
        """Run containerd's own client in the namespace of Kubernetes; gives its stdout."""
        address = ("--address", str(self.containerd_socket), "--namespace", "k8s.io")
        command = [str(self.ctr_path), *address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise TestbedError(f"ctr {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def import_image(self, archive: Path) -> None:
        """Give the node the images of an OCI or docker archive, for pods with imagePullPolicy Never."""
        self.ctr("images", "import", str(archive))


@contextmanager
def native_node(
    *, name: str = "node-a", say: Say = silent, folder: Path | None = None
) -> Iterator[NativeNode]:
    """Run a cluster of one real node until the block ends; root only, one per machine at a time.

    `folder` is where its run folder goes (default under /var/tmp). Raises TestbedError, saying what is
    missing.
    """
    if not _held_here.acquire(blocking=False):  # waiting for it would be waiting for ourselves
        raise TestbedError("this process runs a native node already: use that one, or leave its block first")
    try:
        make_plan = prepare(name=name, say=say)
        with launched(make_plan, level="node", exclusive=True, say=say, folder=folder) as plan:
            node = attach_node(plan.folder, name=name)
            finish(node, say=say)
            yield node
    finally:
        _held_here.release()


def why_not() -> str | None:
    """Why this process cannot have a native node, or None when it can."""
    if os.geteuid() != 0:
        return "a native node needs root: containerd and kubelet make cgroups, mounts and network namespaces"
    return None


def prepare(*, name: str, say: Say, detached: bool = False) -> Callable[[Path], Plan]:
    """Have all packages and binaries; gives the function that fills a run folder with what to run there."""
    reason = why_not()
    if reason is not None:
        raise TestbedError(f"{reason}; run it as root, or use the control plane level")
    packages.require(packages.NODE, say=say)
    found = binaries(recipes.NODE, say=say)
    runc = packages.RUNC.find()
    assert runc is not None  # packages.require has seen to it

    def make_plan(folder: Path) -> Plan:
        url = write_files(folder, found, users={NODE_USER: (f"system:node:{name}", "system:nodes")})
        node_ip = own_address()
        [kubelet_port] = free_ports(1, host=node_ip)
        write_node_files(folder, node_ip=node_ip, kubelet_port=kubelet_port)
        (folder / "ctr").symlink_to(found["ctr"])
        write_images(folder / "images", say=say)
        own = components.etcd_and_apiserver(folder, found, url=url, service_accounts=True)
        others = (
            components.containerd(folder, found, runc=runc),
            components.controller_manager(folder, found, url=url),
            components.scheduler(folder, found, url=url),
            components.kubelet(folder, found, node=name, node_ip=node_ip, url=url),
        )
        return Plan(
            folder=folder,
            components=(*own, *others),
            ready_when=(),
            changes_machine=True,
            detached=detached,
        )

    return make_plan


def finish(node: NativeNode, *, say: Say) -> None:
    """Import the images and wait until the node is Ready and the default service account is there."""
    for archive in sorted((node.control_plane.folder / "images").glob("*.tar")):
        node.import_image(archive)
    say(f"waiting for {node.name} to be Ready")
    deadline = time.monotonic() + _READY_SECONDS
    conditions = 'jsonpath={.status.conditions[?(@.type=="Ready")]}'
    while True:
        ready = node.kubectl("get", "node", node.name, "--output", conditions, "--ignore-not-found")
        if ready and json.loads(ready)["status"] == "True":
            break
        if time.monotonic() > deadline:
            raise StartError(
                f"{node.name} is not Ready in {_READY_SECONDS:.0f} s: {ready or 'no Node object'}"
            )
        time.sleep(0.2)
    while not node.kubectl("get", "serviceaccount", "default", "--output=name", "--ignore-not-found"):
        if time.monotonic() > deadline:
            raise StartError("no default service account: kube-controller-manager does not work")
        time.sleep(0.1)
    say(f"{node.name} is Ready")


def attach_node(folder: Path, *, name: str) -> NativeNode:
    """The node that runs in a run folder."""
    return NativeNode(
        control_plane=attach(folder),
        name=name,
        containerd_socket=folder / "containerd.sock",
        ctr_path=(folder / "ctr").resolve(),
    )
