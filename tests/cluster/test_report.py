"""`kubectl oom report` against a real API server: an administrator's report of the cluster, and the report of
a user who may only view one namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.report_samples import incidents
from tests.testbed import ControlPlane
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
API = "oomkeeper.dev/v1alpha1"
SPACES = ("report-shop", "report-pay")
PER_SPACE = 3
KILLS = 60
USER = "report-viewer"
VIEW_ROLE = ROOT / "charts/oomkeeper/templates/view-rbac.yaml"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """With crds/, two namespaces with incidents, a node and a user who may view one of the namespaces."""
    control_plane.kubectl("apply", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(ROOT / "crds"))
    eventually(lambda: control_plane.kubectl("get", "--raw", "/apis/oomkeeper.dev/v1alpha1/oomincidents"))
    account = {"name": USER, "namespace": SPACES[0]}
    node: Json = {"apiVersion": API, "kind": "OOMNode", "metadata": {"name": "report-node"}, "spec": {}}
    objects = [
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}} for space in SPACES),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        _role(),
        _binding(),
        node,
    ]
    made = list(incidents(PER_SPACE * len(SPACES), kills=KILLS, now=datetime.now(UTC)))
    for place, one in enumerate(made):
        one["metadata"]["namespace"] = SPACES[place % len(SPACES)]
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(_list([*objects, *made])))
    status = {"observedGeneration": 1, "counters": {"unattributed": 4}}
    for one in (*made, node | {"status": status}):
        _status(control_plane, one)
    yield control_plane
    control_plane.kubectl("delete", "oomn/report-node", "clusterrole/report-view")
    for space in SPACES:
        control_plane.kubectl("delete", "oomi", "--all", "-n", space)


def _list(items: list[Json]) -> Json:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _status(plane: ControlPlane, one: Json) -> None:
    head = ("apply", "--server-side", "--subresource=status", "--field-manager=oomkeeper-agent", "-f", "-")
    body = {key: one[key] for key in ("apiVersion", "kind", "metadata", "status")}
    plane.kubectl(*head, input=json.dumps(body))


def _role() -> Json:
    """Return what the chart adds to the ClusterRole view."""
    rules = yaml.safe_load(VIEW_ROLE.read_text().partition("\nrules:\n")[2])
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "report-view"},
        "rules": rules,
    }


def _binding() -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": USER, "namespace": SPACES[0]},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "report-view"},
        "subjects": [{"kind": "ServiceAccount", "name": USER, "namespace": SPACES[0]}],
    }


def report(kubeconfig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", command, "report", f"--kubeconfig={kubeconfig}", *words],
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def _owned(plane: ControlPlane, kind: str, name: str, *, template: Json) -> Json:
    """Create a workload and return the reference to it. No controller runs, so nothing else is created."""
    selector = {"matchLabels": template["metadata"]["labels"]}
    spec: Json = {"selector": selector, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    head = {"name": name, "namespace": SPACES[1]}
    plane.kubectl(
        *("apply", "-f", "-"),
        input=json.dumps({"apiVersion": "apps/v1", "kind": kind, "metadata": head, "spec": spec}),
    )
    uid = plane.kubectl("get", kind, name, "-n", SPACES[1], "-o", "jsonpath={.metadata.uid}")
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}


def _template(name: str, limit: str) -> Json:
    container = {"name": "app", "image": "none", "resources": {"limits": {"memory": limit}}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def _kills(name: str, kind: str, *, pod: str, uid: str, limit: int) -> Json:
    """Return an incident with three kills, just now."""
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": API,
        "kind": "OOMIncident",
        "metadata": {"name": f"{name}-app-1", "namespace": SPACES[1]},
        "spec": {
            "nodeName": "report-node",
            "cause": "ContainerLimit",
            "workload": {"kind": kind, "name": name},
            "container": "app",
        },
        "status": {
            "cause": "ContainerLimit",
            "count": 3,
            "firstSeen": time,
            "lastSeen": time,
            "kills": [
                {"id": f"b-{place}", "time": time, "pod": pod, "podUID": uid, "limitBytes": limit}
                for place in range(3)
            ],
        },
    }


def test_rollout_of_a_deployment_and_a_stateful_set_is_compared_with_the_one_before(
    plane: ControlPlane,
) -> None:
    space = SPACES[1]
    owner = _owned(plane, "Deployment", "rolled", template=_template("rolled", "64Mi"))
    sets = [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": space,
                "annotations": {"deployment.kubernetes.io/revision": str(revision)},
                "ownerReferences": [owner],
            },
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "rolled"}},
                "template": _template("rolled", limit),
            },
        }
        for name, revision, limit in (("rolled-5c8d7f9b6", 1, "128Mi"), ("rolled-7f9c6d5b8", 2, "64Mi"))
    ]
    owner = _owned(plane, "StatefulSet", "kept", template=_template("kept", "64Mi"))
    revisions = [
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {"name": name, "namespace": space, "ownerReferences": [owner]},
            "revision": revision,
            "data": {"spec": {"template": {**_template("kept", "64Mi"), "$patch": "replace"}}},
        }
        for name, revision in (("kept-5c8d7f9b6", 1), ("kept-7f9c6d5b8", 2))
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "kept-0",
            "namespace": space,
            "labels": {"controller-revision-hash": "kept-7f9c6d5b8"},
        },
        "spec": _template("kept", "64Mi")["spec"],
    }
    plane.kubectl("create", "serviceaccount", "default", "-n", space)
    plane.kubectl("apply", "-f", "-", input=json.dumps(_list([*sets, *revisions, pod])))
    uid = plane.kubectl("get", "pod", "kept-0", "-n", space, "-o", "jsonpath={.metadata.uid}")
    made = [
        _kills("rolled", "Deployment", pod="rolled-7f9c6d5b8-abcde", uid="u", limit=64 << 20),
        _kills("kept", "StatefulSet", pod="kept-0", uid=uid, limit=64 << 20),
    ]
    plane.kubectl("apply", "-f", "-", input=json.dumps(_list(made)))
    for one in made:
        _status(plane, one)
    done = report(plane.kubeconfig, "-n", space)
    assert done.returncode == 0, done.stderr
    flat = " ".join(done.stdout.split())
    assert (
        "revision 2 was created (ReplicaSet rolled-7f9c6d5b8). The memory limit of container app changed "
        "from 128 MiB to 64 MiB with revision 2." in flat
    )
    assert (
        "revision 2 was created (ControllerRevision kept-7f9c6d5b8). The memory limit of container app is "
        "unchanged: 64 MiB." in flat
    )


@pytest.fixture(scope="module")
def viewer(plane: ControlPlane) -> Path:
    token = plane.service_account_token(name=USER, namespace=SPACES[0])
    return plane.kubeconfig_for(user=USER, token=token)


def test_administrator_gets_the_report_of_all_namespaces(plane: ControlPlane) -> None:
    made = report(plane.kubeconfig, "-A", "-o", "json")
    assert (made.returncode, made.stderr) == (0, "")
    document = json.loads(made.stdout)
    kills = {row["namespace"]: row["kills"] for row in document["namespaces"]}
    listed = json.loads(plane.kubectl("get", "oomi", "-A", "-o", "json"))["items"]
    for space in SPACES:
        counted = sum(
            one["status"]["count"]
            for one in listed
            if one["metadata"]["namespace"] == space and "workload" in one["spec"]
        )
        assert kills.get(space, 0) == counted
    assert document["coverage"]["unattributed"] >= 4
    assert any("report-node (4)" in sentence for sentence in document["coverage"]["sentences"])


def test_user_with_view_in_one_namespace_gets_its_report(plane: ControlPlane, viewer: Path) -> None:
    made = report(viewer, "-n", SPACES[0])
    assert (made.returncode, made.stderr) == (0, "")
    assert f"OOM kills in namespace {SPACES[0]}" in made.stdout
    flat = " ".join(made.stdout.split())
    for kind in ("OOMNodes", "OOMReports"):
        assert f"Not known, because you may not list {kind}" in flat
    document = json.loads(report(viewer, "-n", SPACES[0], "-o", "json").stdout)
    listed = json.loads(plane.kubectl("get", "oomi", "-n", SPACES[0], "-o", "json"))["items"]
    assert document["totals"]["kills"] == sum(one["status"]["count"] for one in listed)
    assert document["coverage"]["complete"] is None


@pytest.mark.parametrize("words", [("-A",), ("-n", SPACES[1])])
def test_user_without_the_right_gets_one_line(viewer: Path, words: tuple[str, ...]) -> None:
    made = report(viewer, *words)
    assert (made.returncode, made.stdout, made.stderr.count("\n")) == (1, "", 1)
    assert "403" in made.stderr


def test_selector_and_page_of_one_namespace(viewer: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    made = report(viewer, "-n", SPACES[0], "-o", "html", f"--file={path}")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", f"wrote {path}\n")
    assert path.read_text().endswith("</body></html>\n")
    none = json.loads(report(viewer, "-n", SPACES[0], "-l", "no=such", "-o", "json").stdout)
    assert (none["totals"]["kills"], none["selector"]) == (0, "no=such")
