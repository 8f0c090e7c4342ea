"""The images that kubeadm expects on a node, made of binaries from Go modules, in the node's containerd."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .. import recipes
from ..cache import Say
from ..commands import run, succeeds
from ..errors import BuildError
from ..images import image_archive, write_pause
from .rootfs import PAUSE_IMAGE

_KUBERNETES = recipes.KUBERNETES_VERSION
_PROGRAM_IMAGES = {
    **{
        name: f"registry.k8s.io/{name}:{_KUBERNETES}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    },
    "etcd": f"registry.k8s.io/etcd:{recipes.ETCD_IMAGE_TAG}",
}
_COREDNS_IMAGE = f"registry.k8s.io/coredns/coredns:{recipes.COREDNS_VERSION}"
_KUBE_PROXY_IMAGE = f"registry.k8s.io/kube-proxy:{_KUBERNETES}"
_KUBE_PROXY_PROGRAMS = ("/usr/sbin/xtables-nft-multi", "/usr/sbin/nft", "/usr/sbin/conntrack")
_IPTABLES_NAMES = ("iptables", "iptables-save", "iptables-restore")
_START_SECONDS = 60

_CONTAINERD = """\
version = 3
root = "{store}"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri",
]
[grpc]
  address = "{folder}/c.sock"
[ttrpc]
  address = "{folder}/c.sock.ttrpc"
[plugins.'io.containerd.internal.v1.opt']
  path = "{folder}/opt"
"""


def preload(root: Path, *, binaries: Mapping[str, Path], folder: Path, say: Say) -> None:
    """Put the images into the containerd store below `root`; `folder` is for what is needed meanwhile."""
    archives = folder / "images"
    archives.mkdir(parents=True)
    for name, image in _PROGRAM_IMAGES.items():
        # kubeadm's manifests call them by name alone.
        _archive(archives / f"{name}.tar", {f"usr/bin/{name}": binaries[name]}, image=image, entrypoint=name)
    coredns = {"coredns": binaries["coredns"]}
    _archive(archives / "coredns.tar", coredns, image=_COREDNS_IMAGE, entrypoint="/coredns")
    write_pause(archives / "pause.tar", name=PAUSE_IMAGE, say=say)
    _kube_proxy(archives / "kube-proxy.tar", root, binary=binaries["kube-proxy"])
    with _containerd(root / "var/lib/containerd", program=binaries["containerd"], folder=folder) as socket:
        for archive in sorted(archives.glob("*.tar")):
            options = ["--all-platforms", "--digests", "--local", "--discard-unpacked-layers"]
            client: list[str | Path] = [binaries["ctr"], "--address", socket, "--namespace", "k8s.io"]
            run([*client, "images", "import", *options, archive])


def _archive(target: Path, files: Mapping[str, Path], *, image: str, entrypoint: str) -> None:
    root = target.with_suffix(".root")
    for path, source in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / path)
        (root / path).chmod(0o755)
    (root / "tmp").mkdir()
    target.write_bytes(image_archive(root, name=image, entrypoint=[entrypoint]))
    shutil.rmtree(root)


def _kube_proxy(target: Path, node_root: Path, *, binary: Path) -> None:
    root = target.with_suffix(".root")
    plugins = next(node_root.glob("usr/lib/*/xtables"))
    wanted = {*_KUBE_PROXY_PROGRAMS, *(f"/{path.relative_to(node_root)}" for path in plugins.iterdir())}
    # Each line names a library by its path: `libnftables.so.1 => /lib/x86_64-linux-gnu/... (0x...)`. Plugins
    # have their own: `statistic` wants libm, and without it no service with two endpoints works.
    wanted |= set(re.findall(r"(/\S+) \(0x", run(["chroot", node_root, "ldd", *sorted(wanted)])))
    for path in sorted(wanted):
        inside = root / path.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(node_root / path.lstrip("/"), inside)
    for folder in ("run", "tmp", "usr/local/bin"):
        (root / folder).mkdir(parents=True)
    for name in (*_IPTABLES_NAMES, *(name.replace("ip", "ip6", 1) for name in _IPTABLES_NAMES)):
        (root / "usr/sbin" / name).symlink_to("xtables-nft-multi")
    run(["chroot", root, "/usr/sbin/iptables", "--version"])
    shutil.copy(binary, root / "usr/local/bin/kube-proxy")
    target.write_bytes(image_archive(root, name=_KUBE_PROXY_IMAGE, entrypoint=["/usr/local/bin/kube-proxy"]))
    shutil.rmtree(root)


@contextmanager
def _containerd(store: Path, *, program: Path, folder: Path) -> Iterator[Path]:
    socket, configuration, log = folder / "c.sock", folder / "containerd.toml", folder / "containerd.log"
    configuration.write_text(_CONTAINERD.format(store=store, folder=folder))
    with log.open("ab") as output:
        daemon = subprocess.Popen([program, "--config", configuration], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not succeeds([program.with_name("ctr"), "--address", socket, "version"], seconds=5):
            if time.monotonic() > deadline or daemon.poll() is not None:
                raise BuildError(f"containerd does not start: {log.read_text(errors='replace')[-600:]}")
            time.sleep(0.1)
        yield socket
    finally:
        daemon.terminate()
        daemon.wait(_START_SECONDS)
