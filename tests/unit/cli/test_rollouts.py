"""The rollout that kills began with and its limits, also where objects are missing or hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oomkeeper.model.times import format_time
from tests.unit.reporting.report_samples import DAY, NOW, incident_object

from .cluster_server import GROUP, Cluster, Json, Run, cluster, run

__all__ = ["cluster", "run"]

APPS = "/apis/apps/v1/namespaces/shop"
CREATED = format_time(NOW - 2000)
KILLS = (600.0, 1200.0, 1700.0)
HISTORY = {5 * DAY: 2}


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oomkeeper.cli.explain_incident.time.time", lambda: NOW)


def template(limit: str | None) -> Json:
    resources: Json = {"limits": {"memory": limit}} if limit else {}
    return {"template": {"spec": {"containers": [{"name": "app", "resources": resources}]}}}


def replica_set(name: str, revision: int, limit: str | None, *, uid: str = "d1") -> Json:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": CREATED,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": uid}],
        },
        "spec": template(limit),
    }


def controller_revision(name: str, kind: str, revision: int, data: Any) -> Json:
    owner = {"kind": kind, "name": "web", "uid": "s1"}
    metadata = {"name": name, "creationTimestamp": CREATED, "ownerReferences": [owner]}
    return {"metadata": metadata, "revision": revision, "data": data}


def store(cluster: Cluster, path: str, *objects: Json) -> None:
    cluster.stored[path] = list(objects)
    for one in objects:
        cluster.stored[f"{path}/{one['metadata']['name']}"] = one


def incidents(cluster: Cluster, kind: str = "Deployment", pod: str | None = None) -> None:
    made = incident_object("web-1", kills=KILLS, history=HISTORY)
    made["spec"]["workload"]["kind"] = kind
    for kill in made["status"]["kills"]:
        kill["pod"] = pod or kill["pod"]
    cluster.stored[f"{GROUP}/namespaces/shop/oomincidents"] = [made]


def explained(run: Run) -> str:
    status, out, err = run("explain", "--namespace=shop", "web")
    assert (status, err) == (0, "")
    return " ".join(out.split())


UNCHANGED = "The memory limit of container app is unchanged: 512 MiB."


def test_limit_is_compared_with_the_revision_before(cluster: Cluster, run: Run) -> None:
    incidents(cluster)
    store(
        cluster,
        f"{APPS}/replicasets",
        replica_set("web-7f9c6d5b8", 42, "512Mi"),
        replica_set("web-65c8d7f9b", 41, "1Gi"),
        replica_set("web-5c8d7f9b6", 40, "2Gi"),
        replica_set("other-7f9c6d5b8", 41, "3Gi", uid="d2"),
    )
    text = explained(run)
    assert "No kill for 4 days, then 3 since 2027-01-15 07:31 UTC, 5 minutes after revision 42 was" in text
    assert "The memory limit of container app changed from 1024 MiB to 512 MiB with revision 42." in text
    status, out, _ = run("explain", "--namespace=shop", "web", "-o", "json")
    assert (status, len(json.loads(out)["began"])) == (0, 1)


@pytest.mark.parametrize(
    "earlier",
    [
        [],
        [replica_set("web-5c8d7f9b6", 40, "512Mi")],
        [replica_set("web-5c8d7f9b6", 41, None)],
        [replica_set("other-7f9c6d5b8", 41, "512Mi", uid="d2")],
    ],
)
def test_limit_is_not_told_without_the_revision_before(
    cluster: Cluster, run: Run, earlier: list[Json]
) -> None:
    incidents(cluster)
    store(cluster, f"{APPS}/replicasets", replica_set("web-7f9c6d5b8", 42, "512Mi"), *earlier)
    text = explained(run)
    assert "5 minutes after revision 42 was created (ReplicaSet web-7f9c6d5b8)." in text
    assert "The memory limit of" not in text


def test_replica_sets_that_may_not_be_listed_leave_out_the_limit(cluster: Cluster, run: Run) -> None:
    incidents(cluster)
    store(cluster, f"{APPS}/replicasets", replica_set("web-7f9c6d5b8", 42, "512Mi"))
    cluster.stored[f"{APPS}/replicasets"] = 403
    text = explained(run)
    assert "revision 42" in text
    assert "The memory limit of" not in text


@pytest.mark.parametrize(
    ("kind", "pod", "label"),
    [("StatefulSet", "web-0", "web-6f8d9c7b5"), ("DaemonSet", "web-x2x7k", "6f8d9c7b5")],
)
def test_revision_of_a_stateful_or_daemon_set_is_that_of_its_pods(
    cluster: Cluster, run: Run, kind: str, pod: str, label: str
) -> None:
    incidents(cluster, kind, pod)
    labels = {"controller-revision-hash": label}
    cluster.stored[f"/api/v1/namespaces/shop/pods/{pod}"] = {
        "metadata": {"name": pod, "uid": "uid-web-1", "labels": labels}
    }
    store(
        cluster,
        f"{APPS}/controllerrevisions",
        controller_revision("web-6f8d9c7b5", kind, 3, {"spec": template("512Mi")}),
        controller_revision("web-5c8d7f9b6", kind, 2, {"spec": template("512Mi")}),
    )
    text = explained(run)
    assert f"5 minutes after revision 3 was created (ControllerRevision web-6f8d9c7b5). {UNCHANGED}" in text

    cluster.stored[f"/api/v1/namespaces/shop/pods/{pod}"]["metadata"]["uid"] = "another"
    assert "revision" not in explained(run)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "x",
        {"spec": 3},
        {"spec": {"template": {"spec": {"containers": "x"}}}},
        {"spec": {"template": {"spec": {"containers": [{"name": "app", "resources": {"limits": [1]}}]}}}},
        {"spec": template("many")},
    ],
)
def test_revision_whose_data_is_no_template_leaves_out_the_limit(
    cluster: Cluster, run: Run, data: Any
) -> None:
    incidents(cluster, "StatefulSet", "web-0")
    labels = {"controller-revision-hash": "web-6f8d9c7b5"}
    cluster.stored["/api/v1/namespaces/shop/pods/web-0"] = {
        "metadata": {"uid": "uid-web-1", "labels": labels}
    }
    store(
        cluster,
        f"{APPS}/controllerrevisions",
        controller_revision("web-6f8d9c7b5", "StatefulSet", 3, {"spec": template("512Mi")}),
        controller_revision("web-5c8d7f9b6", "StatefulSet", 2, data),
    )
    text = explained(run)
    assert "revision 3 was created" in text
    assert "The memory limit of" not in text
