"""On a kind cluster with oomkeeper in it: `python -m bench.kind` (root, or a Docker daemon).

kill -> incident    from the kernel's own stamp of a pod's first kill to the incident in a watch
kubelet             its OOMKilled status of the same pods, in a watch of the same process: the yardstick
detector            node-problem-detector's OOMKilling Event of the same kills, likewise
memory              working set of the agents' and the controller's containers in kubelet's /stats/summary
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oomkeeper.cli.agent import api_config
from tests.testbed import TestbedError
from tests.testbed.kind import KindCluster, install_operator, kind_cluster

from . import detector
from .agent_node import ApiClient, ApiConfig, Json, KernelKills, Sightings, await_until, pod
from .latency import figures, quantile

MIB = 1 << 20
NAMESPACE = "oomkeeper-system"
SPACE = "oomkeeper-bench"


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.kind", description="Latency and memory on kind.")
    parser.add_argument(
        "--pods", type=int, default=detector.MOST_EVENTS, help="pods killed once each (default %(default)s)"
    )
    parser.add_argument(
        "--name", default="oomkeeper", help="the cluster (default: %(default)s, made if absent)"
    )
    args = parser.parse_args()
    try:
        with kind_cluster(name=args.name, say=lambda text: print(f"  ({text})", flush=True)) as cluster:
            install_operator(cluster)
            with _space(cluster), tempfile.TemporaryDirectory() as folder:
                _measure(cluster, pods=args.pods, folder=Path(folder))
    except TestbedError as error:
        print(f"kind: skipped: {error}")
    return 0


@contextmanager
def _space(cluster: KindCluster) -> Iterator[None]:
    cluster.kubectl("create", "namespace", SPACE)
    cluster.kubectl("wait", "--for=create", f"--namespace={SPACE}", "serviceaccount/default", "--timeout=30s")
    try:
        yield
    finally:
        cluster.kubectl("delete", "namespace", SPACE, "--wait=false")


def _measure(cluster: KindCluster, *, pods: int, folder: Path) -> None:
    config = _config(cluster)
    print("idle:  " + _memory(cluster, config), flush=True)
    peer = detector.detector(
        server=config.server, kubeconfig=cluster.kubeconfig, node=cluster.nodes[0], folder=folder
    )
    with peer as process:
        kernel, seen, events = KernelKills(), Sightings(config), detector.Events(config)
        time.sleep(1)
        _kill(cluster, pods=pods)
        await_until(lambda: len(seen.first) >= pods, seconds=60, what="first kills")
        time.sleep(5)  # kubelet may be slower; what it misses is left out
        seen.stop()
        events.stop()
        resident = detector.resident_mib(process)
    stamps = kernel.stop()
    delays = {kill: 1000 * (seen.kills[kill] - stamps[kill]) for kill in seen.first if kill in stamps}
    kubelet = [
        1000 * (seen.pods[uid] - stamps[kill])
        for kill, uid in seen.pod_of.items()
        if kill in stamps and uid in seen.pods
    ]
    detected = [
        1000 * (events.pids[kernel.pids[kill]] - stamps[kill])
        for kill in delays
        if kernel.pids.get(kill) in events.pids
    ]
    print(f"{os.uname().release}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print("kill -> incident: " + figures([*delays.values()]))
    ratio = quantile(kubelet, 0.5) / quantile([*delays.values()], 0.5)
    print(f"kubelet:          {figures(kubelet)}: {ratio:.1f} times as long")
    ratio = quantile(detected, 0.5) / quantile([*delays.values()], 0.5)
    print(f"detector's Event: {figures(detected)}: {ratio:.1f} times as long; {resident:.0f} MiB resident")
    print(f"after {pods} kills: " + _memory(cluster, config), flush=True)


def _kill(cluster: KindCluster, *, pods: int) -> None:
    """One after the other, below the rate limit of the kernel's reports."""
    for number in range(pods):
        eater = pod(f"eater-{number}", "exec tail /dev/zero")
        eater["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
        cluster.kubectl("apply", f"--namespace={SPACE}", "-f", "-", input=json.dumps(eater))
        time.sleep(0.8)


def _config(cluster: KindCluster) -> ApiConfig:
    """The administrator, as kind's kubeconfig has it."""
    return api_config(cluster.kubeconfig)


def _memory(cluster: KindCluster, config: ApiConfig) -> str:
    """Working sets of oomkeeper's containers, the largest agent's first."""
    client = ApiClient(config)
    found: dict[str, list[int]] = {"agent": [], "controller": []}
    time.sleep(12)  # kubelet looks about every ten seconds
    try:
        for node in cluster.nodes:
            summary = client.get(f"/api/v1/nodes/{node}/proxy/stats/summary")
            for name, size in _containers(summary):
                found[name].append(size)
    finally:
        client.close()
    return "; ".join(
        f"{name} " + ", ".join(f"{size / MIB:.1f}" for size in sorted(sizes, reverse=True)) + " MiB"
        for name, sizes in found.items()
    )


def _containers(summary: Json) -> Iterator[tuple[str, int]]:
    for one in summary.get("pods", []):
        if one["podRef"]["namespace"] != NAMESPACE:
            continue
        for container in one.get("containers", []):
            yield container["name"], container.get("memory", {}).get("workingSetBytes", 0)


if __name__ == "__main__":
    sys.exit(main())
