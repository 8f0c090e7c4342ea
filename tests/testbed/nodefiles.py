"""The configuration files of containerd, CNI and the kubelet, everything of theirs below the run folder."""

from __future__ import annotations

import json
from pathlib import Path

from .images import PAUSE
from .mounts import can_overlay
from .packages import CNI

_CAP_SYS_RESOURCE = 24  # include/uapi/linux/capability.h
_POD_CIDR = "10.88.0.0/24"

_CONTAINERD = """\
version = 3
root = "{folder}/containerd-root"
state = "{folder}/containerd-state"
# These only look for devices that are not there.
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.nri.v1.nri",
]
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.sock.ttrpc"
[plugins.'io.containerd.internal.v1.opt']
  path = "{folder}/opt"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = {restrict_oom_score_adj}
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{cni}"]
    conf_dir = "{folder}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{folder}/runc"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "{snapshotter}"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{pause}"
"""


def write_node_files(folder: Path, *, node_ip: str, kubelet_port: int) -> None:
    """Write containerd.toml, cni/10-testbed.conflist and kubelet.json."""
    may_lower_oom_score_adj = has_sys_resource()
    cni = CNI.find()
    assert cni is not None  # packages.require has seen to it
    (folder / "containerd.toml").write_text(
        _CONTAINERD.format(
            folder=folder,
            cni=cni.parent,
            pause=PAUSE,
            restrict_oom_score_adj=json.dumps(not may_lower_oom_score_adj),
            snapshotter="overlayfs" if can_overlay(folder) else "native",
        )
    )
    (folder / "cni").mkdir()
    (folder / "cni" / "10-testbed.conflist").write_text(json.dumps(_conflist(folder)))
    kubelet = _kubelet(folder, node_ip=node_ip, port=kubelet_port, has_sys_resource=may_lower_oom_score_adj)
    (folder / "kubelet.json").write_text(json.dumps(kubelet, indent=1))


def has_sys_resource() -> bool:
    """Whether this process, and so its children, may lower an oom_score_adj."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def _conflist(folder: Path) -> dict[str, object]:
    # A pod and its node reach each other; nothing is masqueraded, so no firewall rule is made.
    ipam = {
        "type": "host-local",
        "dataDir": f"{folder}/cni-addresses",
        "ranges": [[{"subnet": _POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": "oomkeeper-testbed",
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}],
    }


def _kubelet(folder: Path, *, node_ip: str, port: int, has_sys_resource: bool) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node_ip,
        "port": port,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{folder}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "podLogsDir": f"{folder}/pod-logs",
        "volumePluginDir": f"{folder}/volume-plugins",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "failSwapOn": False,
        # Disk and memory pressure are caused by other programs here.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "oomScoreAdj": -999 if has_sys_resource else 0,
        "makeIPTablesUtilChains": False,
        "resolvConf": "",
        "registerNode": True,
    }
