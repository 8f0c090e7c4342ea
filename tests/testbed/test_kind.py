"""A kind cluster from its start to its end, killed in between too. Minutes: `make e2e`, not `make test`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import machine, netfilter
from tests.testbed.checking import CHECKOUT
from tests.testbed.images import BUSYBOX_IMAGE
from tests.testbed.kind import KindCluster, down, find, kind_cluster, known, up, why_not
from tests.testbed.kind.docker import NETWORK, find_docker, node_containers
from tests.testbed.kind.state import state_folder
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

NAME = "testbed"
UP = [sys.executable, "-m", "tests.testbed.kind", "up", "--bare", "--name", NAME, "--workers", "0"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[KindCluster]:
    """With one worker, beside whatever other clusters there are."""
    with kind_cluster(name=NAME, workers=1) as running:
        yield running


def run_pod(cluster: KindCluster, name: str, *command: str, node: str) -> None:
    """A pod of busybox on a node, Ready when this returns."""
    container = {"name": "main", "image": BUSYBOX_IMAGE, "command": list(command)}
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(pod))
    cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")


def in_client(cluster: KindCluster, script: str) -> str:
    return cluster.kubectl("exec", "client", "--", "sh", "-c", script, check=False)


def fetched(cluster: KindCluster, address: str) -> bool:
    """Whether the pod `client` gets the page of the pod `server`; the static busybox's wget crashes."""
    return "served" in in_client(cluster, f"printf 'GET /x HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 80")


def service_address(cluster: KindCluster) -> str:
    """What CoreDNS, itself a service with two endpoints, says in the pod `client`."""
    lookup = "nslookup server.default.svc.cluster.local"
    address = re.compile(r"^Name:.*\nAddress: (10\.96\.\S+)", re.MULTILINE)
    found = eventually(lambda: address.search(in_client(cluster, lookup)))
    assert found is not None
    return found[1]


def test_pods_of_different_nodes_reach_each_other_and_services_by_name(cluster: KindCluster) -> None:
    [worker] = cluster.workers
    run_pod(cluster, "server", "sh", "-c", "mkdir /w; echo served >/w/x; httpd -f -p 80 -h /w", node=worker)
    run_pod(cluster, "client", "sleep", "3600", node=cluster.control_plane)
    cluster.kubectl("expose", "pod", "server", "--port=80")
    address = cluster.kubectl("get", "pod", "server", "--output=jsonpath={.status.podIP}")
    eventually(lambda: fetched(cluster, address))
    service = service_address(cluster)
    eventually(lambda: fetched(cluster, service))  # kube-proxy knows the service as well


def test_pod_addresses_are_unique(cluster: KindCluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
    assert len({node["spec"]["podCIDR"] for node in nodes}) == len(cluster.nodes)


def test_manifest_on_a_node_becomes_a_static_pod(cluster: KindCluster) -> None:
    [worker] = cluster.workers
    container = {"name": "main", "image": BUSYBOX_IMAGE, "command": ["sleep", "3600"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "fixed"},
        "spec": {"containers": [container]},
    }
    path = "/etc/kubernetes/manifests/fixed.json"
    cluster.write_in_node(worker, path, json.dumps(pod))
    cluster.kubectl("wait", "--for=create", f"pod/fixed-{worker}", "--timeout=120s")
    cluster.kubectl("wait", f"pod/fixed-{worker}", "--for=condition=Ready", "--timeout=120s")
    cluster.exec_in_node(worker, ["rm", path])
    cluster.kubectl("wait", f"pod/fixed-{worker}", "--for=delete", "--timeout=120s")


def test_restarted_node_has_its_pod_network(cluster: KindCluster) -> None:
    [worker] = cluster.workers
    boot = cluster.exec_in_node(worker, ["cat", "/proc/1/stat"]).split()[21]
    cluster.stop_node(worker)
    cluster.start_node(worker)
    assert cluster.exec_in_node(worker, ["cat", "/proc/1/stat"]).split()[21] != boot
    cluster.kubectl("wait", "pod/server", "--for=condition=Ready=false", "--timeout=90s", check=False)
    cluster.kubectl("wait", f"node/{worker}", "--for=condition=Ready", "--timeout=180s")
    eventually(lambda: fetched(cluster, service_address(cluster)), seconds=180)


def test_running_cluster_is_reused_and_left_running(cluster: KindCluster) -> None:
    identity = cluster.docker("inspect", "--format={{.Id}}", cluster.control_plane)
    said: list[str] = []
    with kind_cluster(name=NAME, say=said.append) as again:
        assert again == cluster
    assert f"cluster {NAME} is up already" in said
    assert cluster.docker("inspect", "--format={{.Id}}", cluster.control_plane) == identity


def test_user_kubeconfig_is_not_changed(cluster: KindCluster) -> None:
    own = Path.home() / ".kube" / "config"
    assert not own.exists() or cluster.context not in own.read_text()
    assert cluster.kubeconfig.stat().st_mode & 0o077 == 0


def test_second_cluster_is_removed_without_the_first(cluster: KindCluster) -> None:
    with kind_cluster(name="second", workers=0) as second:
        assert second.kubectl("get", "nodes", "--output=name") == "node/second-control-plane\n"
        assert cluster.docker("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$").strip()
    assert find("second") is None
    assert cluster.kubectl("get", "--raw=/readyz") == "ok"


def alone() -> bool:
    """Return whether no other cluster of ours is up: only then is the machine restored."""
    down(name=NAME)
    return not known.names() and find_docker() is None


def machine_now() -> dict[str, object]:
    """What a cluster could leave changed."""
    return {
        "sysctls": machine.sysctls_now((*machine.SYSCTLS, "fs.file-max", "fs.nr_open")),
        "interfaces": {
            str(path): path.read_text() for path in Path("/proc/sys/net").glob("ipv[46]/conf/*/forwarding")
        },
        "firewall": [
            line for text in netfilter.dump().values() for line in text.splitlines() if line[:2] == "-A"
        ],
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").glob("*/docker")],
        "state": sorted(path.name for path in state_folder().iterdir() if path.name != "lock"),
    }


@pytest.fixture
def untouched() -> Iterator[None]:
    """Fail unless the machine is restored to its state before the test."""
    if not alone():
        pytest.skip(
            "another cluster or Docker daemon is up: only the end of the last one restores the machine"
        )
    found = machine_now()
    yield
    assert find_docker() is None
    # Connections of processes that were killed hold their network namespace, and so its interfaces, until TCP
    # has given them up (net.ipv4.tcp_fin_timeout: 60 s, after retransmissions).
    eventually(lambda: machine_now() == found, seconds=180)


def a_node_container_exists() -> bool:
    docker = find_docker()
    return docker is not None and bool(node_containers(docker, NAME))


# The last tests here, because they take the others' cluster down.


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("again", [True, False], ids=["up", "down"])
def test_cluster_killed_during_start_can_be_started_again_or_removed(again: bool) -> None:
    coming = subprocess.Popen(UP, cwd=CHECKOUT, start_new_session=True)
    eventually(a_node_container_exists, seconds=300)
    os.killpg(coming.pid, signal.SIGKILL)
    coming.wait()
    assert find(NAME) is None  # one in pieces is not taken for whole
    if again:
        cluster = up(name=NAME, workers=0)
        assert cluster.kubectl("get", "nodes", "--output=name") == f"node/{cluster.control_plane}\n"
    down(name=NAME)


@pytest.mark.usefixtures("untouched")
def test_cluster_whose_docker_was_killed_leaves_nothing() -> None:
    cluster = up(name=NAME, workers=0)
    assert cluster.docker.is_ours
    for pid in (state_folder() / "docker" / "dockerd.pid").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    down(name=NAME)
