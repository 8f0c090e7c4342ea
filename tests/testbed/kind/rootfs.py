"""The file system of a kind node, from Debian packages, kind's own files and binaries from Go modules.

What kind's images/base/Dockerfile does to Debian, done here without a container; its files (entrypoint,
systemd units) come out of kind's Go module.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from .. import recipes
from ..cache import Say
from ..commands import run
from ..debian import debian_root
from ..golang import find_go

DEBIAN_PACKAGES = (
    *("systemd", "systemd-sysv", "iptables", "nftables", "iproute2", "ethtool", "conntrack", "kmod", "mount"),
    *("util-linux", "procps", "jq", "libseccomp2", "e2fsprogs", "ca-certificates", "runc"),
    "containernetworking-plugins",
)
PAUSE_IMAGE = f"registry.k8s.io/pause:{recipes.PAUSE_VERSION}"
POD_NETWORK_FILE = "/kind/pod-network"
POD_NETWORK_UNIT = "pod-network.service"

_REMOVED = (
    # As kind does: units that a container cannot or must not run at boot.
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "lib/systemd/system/multi-user.target.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
    "etc/systemd/system/*.wants/*",
    # Not kind's: Debian's own sysctls are for the machine, which all nodes share.
    "usr/lib/sysctl.d/*",
)
_STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}
_POD_NETWORK_UNIT = f"""\
[Unit]
Description=Routes to the pods of the other nodes
ConditionPathExists={POD_NETWORK_FILE}
After=network.target

[Service]
Type=oneshot
ExecStart=/kind/bin/pod-network.sh
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
"""
# Its file's lines: the cluster's pod CIDR, then `CIDR NODE` for each other node. Names, not addresses: Docker
# may give a container another one when it starts again. It masquerades as kindnet does: only what leaves the
# pods' network gets the node's address.
_POD_NETWORK_SCRIPT = f"""\
#!/bin/bash
set -euo pipefail
{{
  read -r pods
  rule=(-t nat -s "$pods" ! -d "$pods" -j MASQUERADE)
  iptables -C POSTROUTING "${{rule[@]}}" 2>/dev/null || iptables -A POSTROUTING "${{rule[@]}}"
  while read -r cidr node; do
    address=$(getent ahostsv4 "$node" | head -n 1 | cut -d' ' -f1)
    ip route replace "$cidr" via "$address"
  done
}} < {POD_NETWORK_FILE}
"""


def make_node_root(root: Path, *, binaries: Mapping[str, Path], say: Say) -> None:
    """Fill `root` (absent) with everything but the preloaded images; root only."""
    debian_root(root, include=DEBIAN_PACKAGES, say=say)
    for pattern in _REMOVED:
        for path in root.glob(pattern):
            path.unlink()
    _copy_kinds_files(root, say=say)
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        _install(binaries[name], root / "usr/local/bin" / name)
    for name in ("kubelet", "kubectl", "kubeadm"):
        _install(binaries[name], root / "usr/bin" / name)
    _configure_containerd(root, ctr=binaries["ctr"])
    _write(root / "etc/systemd/system" / POD_NETWORK_UNIT, _POD_NETWORK_UNIT)
    _write(root / "kind/bin/pod-network.sh", _POD_NETWORK_SCRIPT, mode=0o755)
    _configure_systemd(root)
    for folder in ("opt/cni", "etc/cni/net.d", "etc/kubernetes/manifests", "kind/manifests"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    _write(root / "kind/version", recipes.KUBERNETES_VERSION)
    _write(root / "kind/manifests/default-storage.yaml", json.dumps(_STORAGE_CLASS))


def _copy_kinds_files(root: Path, *, say: Say) -> None:
    go = find_go(say=say)
    module = run([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"], folder=recipes.KIND.folder).strip()
    files = Path(module) / "images/base/files"
    for source in sorted(path for path in files.rglob("*") if path.is_file()):
        path = source.relative_to(files)
        # Go's module cache is read-only and knows no execute bit.
        mode = 0o755 if path.parent.name == "bin" else 0o644
        if path.parts[0] != "LICENSES":
            _write(root / path, source.read_text(), mode=mode)


def _configure_containerd(root: Path, *, ctr: Path) -> None:
    path = root / "etc/containerd/config.toml"
    text = path.read_text()
    text = text.replace('"registry.k8s.io/pause:3.10"', f'"{PAUSE_IMAGE}"')
    path.write_text(text)
    specification = json.loads(run([ctr, "oci", "spec"]))
    hooks = specification.setdefault("hooks", {})
    hooks.setdefault("createContainer", []).append({"path": "/kind/bin/mount-product-files.sh"})
    specification["process"].pop("rlimits", None)
    _write(root / "etc/containerd/cri-base.json", json.dumps(specification))


def _configure_systemd(root: Path) -> None:
    with (root / "etc/systemd/journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    units = ("kubelet.service", "containerd.service", "undo-mount-hacks.service", POD_NETWORK_UNIT)
    run(["chroot", root, "systemctl", "enable", "--quiet", *units])
    # It would register with the machine's own binfmt_misc.
    run(["chroot", root, "systemctl", "mask", "--quiet", "systemd-binfmt.service"])
    run(["chroot", root, "systemctl", "set-default", "--quiet", "multi-user.target"])


def _install(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    target.chmod(0o755)


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
