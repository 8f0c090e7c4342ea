"""`kubectl oom drill`: each link is followed, the broken one named, the namespace deleted in any case."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.reporting.incident_samples import incident

from .cluster_server import GROUP, Cluster, Json, Request, Run, cluster, run

__all__ = ["cluster", "run"]

AGENT = {
    "metadata": {"name": "agent-1", "namespace": "ops"},
    "spec": {
        "nodeName": "n1",
        "containers": [{"image": "oomkeeper:1", "ports": [{"name": "metrics", "containerPort": 8082}]}],
    },
}
METRICS = "/api/v1/namespaces/ops/pods/agent-1:8082/proxy/metrics"
QUERY = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query"


class Node:
    """Runs the drill's pods: each is killed as soon as it is created."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.end: Json = {"exitCode": 137, "reason": "OOMKilled"}
        self.incidents = self.events = True
        self.pod_level = True
        cluster.stored["/api/v1/pods"] = [AGENT]
        cluster.writes = self.write

    def write(self, request: Request) -> tuple[int, Json]:
        if request.method != "POST" or not request.path.endswith("/pods"):
            return 200, {}
        pod: dict[str, Any] = request.body
        if not self.pod_level:
            pod["spec"].pop("resources", None)
        space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if request.query.get("dryRun"):
            return 201, pod
        pod["metadata"]["uid"] = f"uid-of-{name}"
        pod["spec"]["nodeName"] = "n1"
        pod["status"] = {"containerStatuses": [{"name": "eater", "state": {"terminated": self.end}}]}
        stored = self._cluster.stored
        stored[f"/api/v1/namespaces/{space}/pods/{name}"] = pod
        of_pod = name == "drill-pod"
        cause = "PodLimit" if of_pod else "ContainerLimit"
        made = incident(f"{name}-1", namespace=space, cause=cause)
        made["status"]["kills"][0]["podUID"] = pod["metadata"]["uid"]
        stored.setdefault(f"{GROUP}/namespaces/{space}/oomincidents", []).extend([made] * self.incidents)
        involved = {"uid": pod["metadata"]["uid"]}
        event = {
            "reportingComponent": "oomkeeper",
            "involvedObject": involved,
            "reason": f"OOM{cause}",
            "message": f"{'The pod' if of_pod else 'Container eater'} reached its memory limit of 32 MiB.",
        }
        stored.setdefault(f"/api/v1/namespaces/{space}/events", []).extend([event] * self.events)
        stored[METRICS] = f'oomkeeper_oom_kills_total{{namespace="{space}"}} 1\n'.encode()
        return 201, pod


@pytest.fixture
def node(cluster: Cluster) -> Node:
    return Node(cluster)


def results(out: str) -> dict[tuple[str, str], str]:
    return {(one["level"], one["name"]): one["result"] for one in json.loads(out)["links"]}


def spaces(cluster: Cluster) -> list[tuple[str, str]]:
    """Writes of namespaces: method and path."""
    return [
        (one.method, one.path.rpartition("-")[0])
        for one in cluster.requests
        if one.method != "GET" and "/pods" not in one.path
    ]


@pytest.mark.usefixtures("node")
def test_every_link_of_every_level_is_checked(cluster: Cluster, run: Run) -> None:
    cluster.stored[QUERY] = {"data": {"result": [{"metric": {"alertstate": "firing"}}]}}
    status, out, err = run("drill", "--prometheus", "monitoring/prometheus:9090", "-o", "json")
    assert (status, err) == (0, "")
    assert set(results(out).values()) == {"Passed"}
    assert len(results(out)) == 18
    made = [one for one in cluster.requests if one.method == "POST" and one.path.endswith("/pods")]
    assert {one.body["spec"]["containers"][0]["image"] for one in made} == {"oomkeeper:1"}
    assert spaces(cluster) == [("POST", ""), ("DELETE", "/api/v1/namespaces/oomkeeper-drill")]


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"data": {"result": []}}, "Prometheus has no oomkeeper_oom_kills_total: it does not scrape the"),
        ({"status": "error"}, "Prometheus did not answer"),
        ({"data": {"result": "x"}}, "Prometheus has no oomkeeper_oom_kills_total"),
        (503, "Prometheus did not answer"),
    ],
)
def test_alert_that_is_missing_names_the_link_before_it(
    cluster: Cluster, run: Run, answer: Any, words: str
) -> None:
    cluster.stored[QUERY] = answer
    service = "--prometheus=monitoring/prometheus:9090"
    status, out, _ = run("drill", "--level", "container", "--timeout", "1", service)
    assert status == 1
    assert f"Broken: container: Alert: {words}" in out


def test_broken_link_is_named_and_what_follows_is_not_tried(cluster: Cluster, node: Node, run: Run) -> None:
    node.events = False
    status, out, _ = run("drill", "--level", "container", "--timeout", "1")
    assert status == 1
    assert "Broken: container: Event: the controller wrote no Event on the pod within 1 s" in out
    assert "Metric" not in out
    assert spaces(cluster)[-1][0] == "DELETE"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"exitCode": 42}, "vm.panic_on_oom is 2 there"),
        ({"exitCode": 0, "reason": "Completed"}, "is its limit in force?"),
    ],
)
def test_pod_that_was_not_killed_tells_why(node: Node, run: Run, end: Json, words: str) -> None:
    node.end = end
    status, out, _ = run("drill", "--level", "container")
    assert status == 1
    assert words in out


def test_cluster_without_pod_level_resources_skips_that_level(node: Node, run: Run) -> None:
    node.pod_level = False
    status, out, _ = run("drill", "--level", "pod", "-o", "json")
    assert (status, results(out)) == (0, {("pod", "Pod"): "Skipped"})


def test_refused_pod_is_a_broken_link_and_the_namespace_goes(cluster: Cluster, node: Node, run: Run) -> None:
    def write(request: Request) -> tuple[int, Json]:
        return (403, {"message": "exceeded quota"}) if request.path.endswith("/pods") else (200, {})

    cluster.writes = write
    status, out, _ = run("drill", "--level", "child")
    assert status == 1
    assert "exceeded quota" in out
    assert spaces(cluster)[-1][0] == "DELETE"
    assert node.incidents


def test_wrong_command_line_or_no_image_creates_nothing(cluster: Cluster, run: Run) -> None:
    cluster.stored["/api/v1/pods"] = []
    assert run("drill", "--prometheus", "prometheus")[0] == 2
    status, _, err = run("drill")
    assert status == 1
    assert "--image" in err
    assert spaces(cluster) == []
