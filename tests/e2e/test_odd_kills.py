"""Kills that kubelet's status tells little of, or that are none of this cluster's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import yaml

from tests.kernel.harness import Eater, cgroups
from tests.kernel.harness import why_not as why_no_kills
from tests.testbed.cache import Say
from tests.testbed.kind import KindCluster, kind_cluster

from .harness import MIB, NAMESPACE, Cluster, Json, container_status, eventually, kills, last_kill
from .pods import EAT, EAT_IN_CHILD, container, deployment, pod

pytestmark = pytest.mark.usefixtures("cluster")

Await = Callable[[int], None]


def test_crash_loop_is_one_incident_with_increasing_count(
    cluster: Cluster, space: str, await_reports: Await
) -> None:
    await_reports(3)
    cluster.apply(deployment("leaky", container("app", EAT)), namespace=space)
    # kubelet waits 10 s, then 20 s between two starts.
    one = eventually(lambda: (i := cluster.only_incident(space))["status"]["count"] >= 3 and i, seconds=150)
    assert one["spec"]["workload"] == {"kind": "Deployment", "name": "leaky"}
    name = last_kill(one)["pod"]
    cluster.kubectl("scale", "deployment/leaky", "--replicas=0", f"--namespace={space}")
    eventually(lambda: not cluster.core.list_namespaced_pod(space).items)

    # The count of a last kill is published some seconds later, and an Event is written at most once a minute.
    def counted() -> tuple[Json, list[Json]]:
        last = cluster.only_incident(space)
        found = [e for e in cluster.events(space, of=name) if e["count"] == last["status"]["count"]]
        assert found, last["status"]["count"]
        return last, found

    last, [event] = eventually(counted, seconds=150)
    assert event["reason"] == "OOM" + last["spec"]["cause"]
    assert event["series"]["count"] == event["count"]
    assert last["metadata"]["uid"] == one["metadata"]["uid"]
    status = last["status"]
    assert len({kill["id"] for kill in status["kills"]}) == min(status["count"], 10)
    assert sum(hour["kills"] for hour in status["history"]) == status["count"]


def test_static_pod_is_identified_by_its_mirror_pod(
    cluster: Cluster, space: str, await_reports: Await
) -> None:
    kind = cluster.need_nodes()
    node = kind.workers[0]
    name = f"static-{uuid4().hex[:6]}"
    manifest = pod(name, container("app", EAT_IN_CHILD), restart="Always")
    manifest["metadata"]["namespace"] = space
    path = f"/etc/kubernetes/manifests/{name}.yaml"
    await_reports(2)
    kind.write_in_node(node, path, yaml.safe_dump(manifest))
    try:
        one = eventually(lambda: cluster.only_incident(space, visibility="Invisible"), seconds=120)
        assert last_kill(one)["pod"] == f"{name}-{node}"
        assert one["spec"]["workload"] == {"kind": "Pod", "name": f"{name}-{node}"}
        assert (one["spec"]["container"], one["spec"]["nodeName"]) == ("app", node)
        assert one["status"]["evidence"]["limitBytes"] == 32 * MIB
        mirror = cluster.pod(space, f"{name}-{node}")
        assert last_kill(one)["podUID"] == mirror["metadata"]["uid"]
        assert "running" in container_status(mirror, "app")["state"]
    finally:
        kind.exec_in_node(node, ["rm", "-f", path])
        # Else the namespace could not go.
        eventually(lambda: not cluster.core.list_namespaced_pod(space).items)


@contextlib.contextmanager
def best_effort_limit(kind: KindCluster, node: str, *, above: int) -> Iterator[int]:
    """A limit on what all BestEffort pods of a node may have together; kubelet sets none by itself, and takes
    it away with the next pod that it starts."""
    find = "find /sys/fs/cgroup -type d -name '*besteffort.slice' -path '*{}*' | head -1"
    v1 = kind.exec_in_node(node, ["sh", "-c", find.format("/memory/")]).strip()
    folder = v1 or kind.exec_in_node(node, ["sh", "-c", find.format("/kubelet")]).strip()
    usage, limit, none = (
        ("memory.usage_in_bytes", "memory.limit_in_bytes", "-1")
        if v1
        else ("memory.current", "memory.max", "max")
    )
    used = int(kind.exec_in_node(node, ["cat", f"{folder}/{usage}"]))
    number = (used + above) // MIB * MIB
    kind.exec_in_node(node, ["sh", "-c", f"echo {number} > {folder}/{limit}"])
    try:
        yield number
    finally:
        kind.exec_in_node(node, ["sh", "-c", f"echo {none} > {folder}/{limit}"])


def test_best_effort_pod_is_killed_at_qos_class_limit(
    cluster: Cluster, space: str, await_reports: Await
) -> None:
    """It has no limit of its own; here the class is given one."""
    kind = cluster.need_nodes()
    node = kind.workers[0]
    # No more than 200 MB, whatever becomes of the limit: nothing else would stop it before the machine's end.
    script = "until [ -e /tmp/go ]; do sleep 0.2; done; head -c 200000000 /dev/zero | tail >/dev/null; exit 1"
    cluster.apply(pod("best-effort", container("app", script, limit=None), nodeName=node), namespace=space)
    eventually(lambda: container_status(cluster.pod(space, "best-effort"), "app")["ready"])
    await_reports(2)
    with best_effort_limit(kind, node, above=64 * MIB) as limit:
        cluster.kubectl("exec", f"--namespace={space}", "best-effort", "--", "touch", "/tmp/go")
        one = eventually(
            lambda: (i := cluster.only_incident(space))["status"].get("visibility") and i, seconds=120
        )
    ended = cluster.pod(space, "best-effort")
    assert ended["status"]["qosClass"] == "BestEffort"
    status = one["status"]
    assert status["evidence"]["victims"][0]["comm"] == "tail"
    assert (status["cause"], status["level"], one["spec"]["container"]) == ("QOSLimit", "QOS", "app")
    assert status["evidence"]["limitBytes"] == limit
    assert "BestEffort" in status["summary"]


def test_process_outside_of_pods_belongs_to_its_node(cluster: Cluster, await_reports: Await) -> None:
    kind = cluster.need_nodes()
    node, name = kind.workers[-1], f"e2e-{uuid4().hex[:8]}"
    base = "/sys/fs/cgroup/memory" if _is_v1(kind, node) else "/sys/fs/cgroup"
    limit = "memory.limit_in_bytes" if _is_v1(kind, node) else "memory.max"
    await_reports(2)
    script = (
        f"mkdir {base}/{name} && echo {32 * MIB} > {base}/{name}/{limit} && "
        f"sh -c 'echo $$ > {base}/{name}/cgroup.procs; exec tail /dev/zero'; rmdir {base}/{name}"
    )
    kind.exec_in_node(node, ["sh", "-c", script])
    [one] = eventually(lambda: _of_cgroup(cluster, name))
    assert (one["spec"]["nodeName"], one["metadata"]["namespace"]) == (node, NAMESPACE)
    assert (one["status"]["cause"], one["status"]["visibility"]) == ("CgroupLimit", "Host")
    assert one["status"]["evidence"]["limitBytes"] == 32 * MIB
    [event] = eventually(lambda: [e for e in cluster.events("default", of=node) if name in e["message"]])
    assert event["involvedObject"]["kind"] == "Node"


def _is_v1(kind: KindCluster, node: str) -> bool:
    return bool(kind.exec_in_node(node, ["ls", "-d", "/sys/fs/cgroup/memory"], check=False).strip())


def _of_cgroup(cluster: Cluster, name: str) -> list[Json]:
    found = [one for one in cluster.incidents() if name in one["spec"].get("cgroup", "")]
    return [one for one in found if one.get("status", {}).get("visibility")]


@pytest.mark.skipif(why_no_kills() is not None, reason=why_no_kills() or "")
def test_process_of_the_machine_is_published_by_one_node(cluster: Cluster, await_reports: Await) -> None:
    cluster.need_nodes()
    await_reports(2)
    with cgroups() as top:
        limited, victim = top.child("limited", limit_bytes=32 * MIB), Eater()
        try:
            victim.do("join", procs=limited.procs)
            with pytest.raises(ChildProcessError):
                victim.do("eat", bytes=64 * MIB)
        finally:
            victim.end()
        [one] = eventually(lambda: _of_cgroup(cluster, limited.path))
    assert one["spec"]["cgroup"] == limited.path
    appointed = [node for node in cluster.nodes if cluster.oomnode(node)["spec"]["hostKills"]]
    assert [one["spec"]["nodeName"]] == appointed
    assert (one["status"]["cause"], one["status"]["count"]) == ("CgroupLimit", 1)


@pytest.fixture(scope="module")
def neighbour(cluster: Cluster, say: Say) -> Iterator[KindCluster]:
    """Another cluster on the same kernel, without oomkeeper."""
    cluster.need_nodes()
    with kind_cluster(name="neighbour", workers=0, say=say) as other:
        yield other


def test_kills_in_another_cluster_on_the_same_kernel_are_ignored(
    cluster: Cluster, neighbour: KindCluster, await_reports: Await
) -> None:
    # A cluster that was made a moment ago may keep the machine busy.
    before = {
        node: eventually(lambda node=node: cluster.closed_account(node), seconds=120)["recorded"]
        for node in cluster.nodes
    }
    known = {one["metadata"]["uid"] for one in cluster.incidents()}
    await_reports(2)

    def killed() -> str:
        stranger = json.loads(neighbour.kubectl("get", "pod", "stranger", "-o", "json"))
        ended = container_status(stranger, "app")["state"]["terminated"]
        # On a busy machine containerd may miss an OOM event of cgroup v1, and kubelet says Error, 137.
        assert ended["reason"] in ("OOMKilled", "Error")
        assert ended["exitCode"] == 137
        return str(stranger["metadata"]["uid"])

    neighbour.kubectl("apply", "-f", "-", input=json.dumps(pod("stranger", container("app", EAT))))
    try:
        uid = eventually(killed, seconds=180)
    finally:
        neighbour.kubectl("delete", "pod", "stranger", "--grace-period=0", "--force")
    # The kernel is the same: every account has the kill, and it closes.
    for node in cluster.nodes:
        eventually(lambda node=node: cluster.closed_account(node)["recorded"] > before[node], seconds=120)
    fresh = [one for one in cluster.incidents() if one["metadata"]["uid"] not in known]
    assert [one for one in fresh if uid in str(one) or uid.replace("-", "_") in str(one)] == []
    assert kills([one for one in fresh if "neighbour" in str(one)]) == 0
