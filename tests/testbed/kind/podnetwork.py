"""Pods of different nodes reach each other, on nodes of our own image, which have no kindnet to see to it.

Each node gets the range that kube-controller-manager has given it (Node.spec.podCIDR), so ranges of two nodes
never collide; nodes of other clusters have network namespaces of their own.
"""

from __future__ import annotations

import json
import time

from ..errors import StartError
from .cluster import KindCluster
from .rootfs import POD_NETWORK_FILE, POD_NETWORK_UNIT

_CNI_FILE = "/etc/cni/net.d/10-ptp.conflist"
_POD_SUBNET = "10.244.0.0/16"
"""kind's default, networking.podSubnet."""
_CIDR_SECONDS = 90


def connect_pods(cluster: KindCluster) -> None:
    """Write each node's CNI configuration and its routes to the others, and put the routes in force."""
    ranges = _pod_cidrs(cluster)
    for node in cluster.nodes:
        others = [f"{cidr} {other}" for other, cidr in ranges.items() if other != node]
        cluster.write_in_node(node, POD_NETWORK_FILE, "\n".join([_POD_SUBNET, *others]) + "\n")
        cluster.exec_in_node(node, ["systemctl", "restart", POD_NETWORK_UNIT])
        cluster.write_in_node(node, _CNI_FILE, json.dumps(_conflist(ranges[node])))


def _pod_cidrs(cluster: KindCluster) -> dict[str, str]:
    deadline = time.monotonic() + _CIDR_SECONDS
    while True:
        nodes = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
        ranges = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in nodes}
        if set(ranges) == set(cluster.nodes) and all(ranges.values()):
            return ranges
        if time.monotonic() > deadline:
            raise StartError(f"the nodes got no pod ranges: {ranges}")
        time.sleep(0.3)


def _conflist(cidr: str) -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "ranges": [[{"subnet": cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": "kindnet",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
