"""A cluster that runs: its clients, its nodes, and what a test may do to a node."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..commands import run
from ..errors import TestbedError
from ..kubectl import run_kubectl
from .docker import Docker, clusters_environment
from .rootfs import POD_NETWORK_FILE, POD_NETWORK_UNIT


@dataclass(frozen=True, kw_only=True)
class KindCluster:
    """A running kind cluster. A node's name is its Node object's and its container's alike."""

    name: str
    kubeconfig: Path
    """The administrator's; its only context is `context`."""
    control_plane: str
    workers: tuple[str, ...]
    docker: Docker
    kind_path: Path
    kubectl_path: Path
    helm_path: Path

    @property
    def context(self) -> str:
        """As kind names it."""
        return f"kind-{self.name}"

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes, the control plane first."""
        return (self.control_plane, *self.workers)

    @property
    def cache(self) -> Path:
        """For kubectl's discovery, which would else stay in the home folder."""
        return self.kubeconfig.with_suffix(".cache")

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator; gives its stdout, and its stderr after that when `check` is off.

        Raises KubectlError when `check` is on and it fails.
        """
        return run_kubectl(
            self.kubectl_path,
            *arguments,
            kubeconfig=self.kubeconfig,
            cache=self.cache,
            input=input,
            check=check,
        )

    def helm(self, *arguments: str | Path, input: str | None = None) -> str:
        """Run helm as the administrator, with its own files beside the kubeconfig; gives its stdout."""
        folder = self.kubeconfig.with_suffix(".helm")
        own = {f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        command = [self.helm_path, f"--kubeconfig={self.kubeconfig}", *arguments]
        return run(command, input=input, environment=own)

    def exec_in_node(
        self, node: str, argv: Sequence[str], *, input: str | None = None, check: bool = True
    ) -> str:
        """Run a program as root in a node's container; gives its stdout.

        Raises TestbedError when `check` is on and it fails; when off, a failure gives an empty text.
        """
        try:
            return self.docker("exec", "--interactive", node, *argv, input=input or "")
        except TestbedError:
            if check:
                raise
            return ""

    def write_in_node(self, node: str, path: str, text: str) -> None:
        """Write a file on a node atomically, with its folder: kubelet and containerd watch theirs."""
        quoted, folder = shlex.quote(path), shlex.quote(str(Path(path).parent))
        # A name with a dot before it is what both pass over.
        fresh = shlex.quote(str(Path(path).with_name(f".{Path(path).name}.new")))
        script = f"mkdir -p {folder} && cat > {fresh} && mv {fresh} {quoted}"
        self.exec_in_node(node, ["sh", "-c", script], input=text)

    def load_image(self, archive: Path, *, nodes: Sequence[str] | None = None) -> None:
        """Give nodes (all by default) the images of an OCI or docker archive."""
        options = ["--name", self.name, *(["--nodes", ",".join(nodes)] if nodes is not None else [])]
        command: list[str | Path] = [self.kind_path, "load", "image-archive", archive, *options]
        run(command, environment=clusters_environment(self.docker))

    def restart_kubelet(self, node: str) -> None:
        """Restart it; returns when systemd has started it, before it is Ready."""
        self.exec_in_node(node, ["systemctl", "restart", "kubelet.service"])

    def stop_node(self, node: str) -> None:
        """End its container as a power cut would: everything in it is killed."""
        self.docker("kill", node)

    def start_node(self, node: str) -> None:
        """Start a stopped container again; returns before the node is Ready.

        The other nodes learn its address, which may be another one.
        """
        self.docker("start", node)
        for other in self.nodes:
            script = f"test ! -e {POD_NETWORK_FILE} || systemctl restart {POD_NETWORK_UNIT}"
            self.exec_in_node(other, ["sh", "-c", script], check=False)

    def pause_node(self, node: str) -> None:
        """Freeze everything in its container, as a network cut would look from outside."""
        self.docker("pause", node)

    def unpause_node(self, node: str) -> None:
        """Let it go on."""
        self.docker("unpause", node)
