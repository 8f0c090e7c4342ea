"""`kubectl oom explain node/NAME --debug-pod`: the pod, the log that it prints, and its end."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .cluster_server import Cluster, Json, Request, Run, cluster, run
from .running import POD_LOG

__all__ = ["cluster", "run"]

PODS = "/api/v1/namespaces/shop/pods"


def node_with(cluster: Cluster, **status: object) -> Callable[[Request], tuple[int, Json]]:
    """A node on which the pod reaches a status as soon as it is created."""
    cluster.stored["/api/v1/nodes/n1"] = {"metadata": {"name": "n1"}}

    def writes(request: Request) -> tuple[int, Json]:
        if request.method == "POST":
            name = request.body["metadata"]["name"]
            cluster.stored[f"{PODS}/{name}"] = {"metadata": {"name": name}, "status": status}
            cluster.stored[f"{PODS}/{name}/log"] = POD_LOG.read_bytes()
        return 200, {}

    return writes


def written(cluster: Cluster) -> list[tuple[str, str]]:
    return [(one.method, one.path.removeprefix(PODS)[:20]) for one in cluster.requests if one.method != "GET"]


def test_log_of_the_node_is_explained_and_the_pod_deleted(cluster: Cluster, run: Run) -> None:
    cluster.writes = node_with(cluster, phase="Succeeded")
    status, out, err = run("explain", "node/n1", "--debug-pod", "--image", "tools:1", "-o", "json")
    assert (status, err) == (0, "")
    assert len(json.loads(out)["kills"]) == 1
    assert written(cluster) == [("POST", ""), ("DELETE", "/oomkeeper-node-log-")]
    (body,) = (one.body for one in cluster.requests if one.method == "POST")
    spec = body["spec"]
    assert (spec["nodeName"], spec["containers"][0]["image"]) == ("n1", "tools:1")
    assert spec["activeDeadlineSeconds"] <= 90
    assert spec["automountServiceAccountToken"] is False


@pytest.mark.parametrize("status", [{"phase": "Failed", "message": "DeadlineExceeded"}])
def test_pod_that_fails_is_named_and_deleted(cluster: Cluster, run: Run, status: Json) -> None:
    cluster.writes = node_with(cluster, **status)
    code, out, err = run("explain", "node/n1", "--debug-pod")
    assert (code, out) == (1, "")
    assert "did not run: DeadlineExceeded" in err
    assert written(cluster)[-1] == ("DELETE", "/oomkeeper-node-log-")


def test_refused_pod_and_unknown_node_are_one_line(cluster: Cluster, run: Run) -> None:
    assert run("explain", "node/n1", "--debug-pod")[2] == "kubectl oom explain: node n1 not found\n"
    node_with(cluster)
    cluster.writes = lambda _: (403, {"message": "violates PodSecurity"})
    status, _, err = run("explain", "node/n1", "--debug-pod")
    assert (status, err.count("\n")) == (1, 1)
    assert "violates PodSecurity" in err


def test_without_oomkeeper_the_debug_pod_is_pointed_out(cluster: Cluster, run: Run) -> None:
    status, _, err = run("explain", "node/n1")
    assert status == 1
    assert "--debug-pod" in err
    assert run("explain", "web", "--debug-pod")[0] == 2
    assert cluster.paths[-1].endswith("/oomnodes")
