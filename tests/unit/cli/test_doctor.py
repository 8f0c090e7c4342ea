"""`kubectl oom doctor`: what it reads and asks, and its exit status."""

from __future__ import annotations

import json

from oomkeeper.api import KINDS
from oomkeeper.api.crd import crd

from .cluster_server import GROUP, Cluster, Json, Request, Run, cluster, run

__all__ = ["cluster", "run"]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def installed(cluster: Cluster) -> None:
    for kind in KINDS:
        made = crd(kind)
        made["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
        cluster.stored[f"{CRDS}/{made['metadata']['name']}"] = made
    ready = [{"type": "Ready", "status": "True"}]
    pod = {
        "metadata": {"name": "p", "namespace": "ops"},
        "spec": {"nodeName": "n1", "serviceAccountName": "oomkeeper"},
        "status": {"conditions": ready},
    }
    lists = ("oomnodes", "oompolicies", "oomreports")
    cluster.stored |= {f"{GROUP}/{name}": [] for name in lists}
    cluster.stored |= {"/api/v1/nodes": [], "/api/v1/pods": [pod]}
    cluster.writes = lambda _: (201, {"status": {"allowed": True}})


def test_rights_are_asked_of_the_api_server(cluster: Cluster, run: Run) -> None:
    installed(cluster)
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    assert out == "0 errors, 0 warnings, 0 for information; checked 0 nodes, 0 policies.\n"

    def refuse(request: Request) -> tuple[int, Json]:
        asked = request.body["spec"]["resourceAttributes"]
        return 201, {"status": {"allowed": asked["resource"] != "nodes"}}

    cluster.writes = refuse
    status, out, _ = run("doctor", "-o", "json")
    assert status == 1
    (one,) = json.loads(out)["findings"]
    assert (one["check"], one["subject"]) == ("RBAC", "ops:oomkeeper")


def test_nothing_installed_is_five_missing_definitions(run: Run) -> None:
    status, out, _ = run("doctor", "-o", "json")
    assert status == 1
    checks = [one["check"] for one in json.loads(out)["findings"]]
    assert checks.count("CRD") == len(KINDS)


def test_what_may_not_be_read_is_named(cluster: Cluster, run: Run) -> None:
    installed(cluster)
    cluster.writes = lambda _: (403, {"message": "no"})
    cluster.stored[f"{CRDS}/oomnodes.oomkeeper.dev"] = 403
    cluster.stored[f"{GROUP}/oomnodes"] = 403
    status, out, _ = run("doctor")
    assert status == 0
    assert "their version is not checked" in out
    assert "SubjectAccessReviews" in out
    assert "may not list OOMNodes" in out
