"""The agent's memory: `python -m bench.memory` (root; starts a real node).

The agent runs as a pod, privileged as the chart has it by default, from an image of this interpreter, its
standard library and the packages that the agent imports. The first figure is the container's working set in
kubelet's /stats/summary (usage less inactive page cache), which decides on eviction and is what `kubectl top`
shows. The image's pages are dropped from the cache before the pod starts, so that the pod is charged for all
that it reads. The second is the process's private memory (/proc/PID/smaps_rollup): what one more such process
costs.
"""

import argparse
import re
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.testbed import NativeNode, TestbedError

from .agent_image import NAME, forget_pages, make_image
from .agent_node import INCIDENTS, NAMESPACE, ApiError, Json, apply, await_until, children, cluster, get, pod

MIB = 1 << 20


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description="Working set of the agent.")
    parser.add_argument("--kills", type=int, default=100, help="kills of one pod (default %(default)s)")
    parser.add_argument("--storm", type=int, default=600, help="kills without a pause (default %(default)s)")
    args = parser.parse_args()
    try:
        with cluster() as node, tempfile.TemporaryDirectory() as folder:
            _measure(node, folder=Path(folder), kills=args.kills, storm=args.storm)
    except TestbedError as error:
        print(f"memory: skipped: {error}")
    return 0


def _measure(node: NativeNode, *, folder: Path, kills: int, storm: int) -> None:
    archive = make_image(folder)
    node.import_image(archive)
    print(f"image: {archive.stat().st_size / MIB:.0f} MiB uncompressed", flush=True)
    for obj in _rights():
        apply(node, obj)
    forget_pages(node)
    apply(node, _agent(node))
    node.kubectl("-n", NAMESPACE, "wait", "pod/agent", "--for=condition=Ready", "--timeout=60s")
    await_until(lambda: _status(node) is not None, seconds=60, what="the agent's first status")
    print("after start:     " + _stats(node), flush=True)
    apply(node, pod("children", children(kills, pause_seconds=0.1)))
    await_until(lambda: _counted(node) >= kills, seconds=60 + kills, what="kills counted")
    print(f"after {kills} kills: " + _stats(node), flush=True)
    apply(node, pod("storm", children(storm, pause_seconds=0)))
    highest = 0
    deadline = time.monotonic() + 60 + storm
    while (counted := _counted(node)) < kills + storm and time.monotonic() < deadline:
        working, _ = _working_set(node, since=0.0) or (0, 0)
        highest = max(highest, working)
        time.sleep(1)
    print(f"storm of {counted - kills} kills: working set at most {highest / MIB:.1f} MiB", flush=True)
    print("after the storm: " + _stats(node), flush=True)


def _agent(node: NativeNode) -> Json:
    host, _, port = node.control_plane.url.removeprefix("https://").partition(":")
    container = {
        "name": "agent",
        "image": NAME,
        "imagePullPolicy": "Never",
        "securityContext": {"privileged": True},
        "args": ["--node-name", node.name, "--namespace", NAMESPACE, "--cgroup", "/host/cgroup"],
        "env": [
            {"name": "PYTHONPATH", "value": "/app"},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            # The testbed has no kube-proxy: the API server is reached where it listens.
            {"name": "KUBERNETES_SERVICE_HOST", "value": host},
            {"name": "KUBERNETES_SERVICE_PORT", "value": port},
        ],
        "volumeMounts": [
            {"name": "cgroup", "mountPath": "/host/cgroup"},
            {"name": "state", "mountPath": "/var/lib/oomkeeper"},
        ],
    }
    spec: Json = {
        "hostPID": True,
        "hostNetwork": True,
        "serviceAccountName": "agent",
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [
            {"name": "cgroup", "hostPath": {"path": "/sys/fs/cgroup"}},
            {"name": "state", "emptyDir": {}},
        ],
    }
    meta = {"name": "agent", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _rights() -> list[Json]:
    meta = {"name": "agent", "namespace": NAMESPACE}
    subject = {"kind": "ServiceAccount", "name": "agent", "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench-agent"},
            "subjects": [subject],
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
        },
    ]


def _status(node: NativeNode) -> Json | None:
    found = get(node, f"/apis/oomkeeper.dev/v1alpha1/oomnodes/{node.name}")
    return found.get("status")


def _counted(node: NativeNode) -> int:
    items = get(node, INCIDENTS)["items"]
    return sum(one["status"].get("count", 0) for one in items if one["spec"].get("container") == "app")


def _stats(node: NativeNode) -> str:
    """As kubelet counts from now on; it looks about every ten seconds."""
    since = time.time() + 5  # settled: memory that start or kills needed for a moment is free again
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        time.sleep(1)
        found = _working_set(node, since=since)
        if found is not None:
            working, rss = found
            return (
                f"working set {working / MIB:.1f} MiB, of it anonymous {rss / MIB:.1f} MiB; "
                f"private {_private_kib() / 1024:.1f} MiB"
            )
    raise SystemExit("kubelet gave no memory of the agent's container")


def _working_set(node: NativeNode, *, since: float) -> tuple[int, int] | None:
    """Working set and anonymous memory in bytes, None if kubelet has not measured after `since`."""
    try:
        summary = get(node, f"/api/v1/nodes/{node.name}/proxy/stats/summary")
    except ApiError:
        return None
    for one in summary.get("pods", []):
        if one["podRef"]["name"] != "agent":
            continue
        for container in one.get("containers", []):
            memory = container.get("memory", {})
            measured = datetime.fromisoformat(memory["time"]).timestamp() if "time" in memory else 0.0
            if measured > since and "workingSetBytes" in memory:
                return memory["workingSetBytes"], memory.get("rssBytes", 0)
    return None


def _private_kib() -> int:
    """Private memory of the agent's process, which runs on this machine."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if b"\0oomkeeper\0agent\0" in (folder / "cmdline").read_bytes():
                rollup = (folder / "smaps_rollup").read_text()
                return sum(int(kib) for kib in re.findall(r"^Private_Dirty: +(\d+)", rollup, re.MULTILINE))
        except OSError:
            continue
    raise SystemExit("the agent's process was not found")


if __name__ == "__main__":
    sys.exit(main())
