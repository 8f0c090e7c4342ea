"""What kind and kubeadm are told about a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from ..nodefiles import has_sys_resource

_IS_CGROUP_V1 = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
_RESTRICT = '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'


def cluster_config(*, workers: int, has_kindnet: bool, pki: Path | None = None) -> str:
    """kind's `Cluster` as JSON, which YAML includes. `pki` is a folder with the cluster's ca.crt and ca.key,
    which kubeadm makes itself where it is None."""
    kubelet: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
    }
    if _IS_CGROUP_V1:
        kubelet["failCgroupV1"] = False
    first: dict[str, object] = {"role": "control-plane"}
    if pki is not None:
        files = ("ca.crt", "ca.key")
        first["extraMounts"] = [
            {"hostPath": str(pki / name), "containerPath": f"/etc/kubernetes/pki/{name}"} for name in files
        ]
    config: dict[str, object] = {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "networking": {"disableDefaultCNI": not has_kindnet},
        "nodes": [first, *[{"role": "worker"}] * workers],
        "kubeadmConfigPatches": [json.dumps(kubelet)],
    }
    if not has_sys_resource():
        # runc in a node cannot give a container a lower score than containerd's own: "can't get final
        # child's PID from pipe".
        config["containerdConfigPatches"] = [_RESTRICT]
    return json.dumps(config, indent=1)
