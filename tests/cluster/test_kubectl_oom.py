"""`kubectl oom` through a real kubectl, on a real API server: each verb as people call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.testbed import ControlPlane
from tests.unit.api.objects import NODE
from tests.unit.reporting.incident_samples import Json, incident
from tests.waiting import eventually

from .agent_harness import install
from .controller_harness import OOM, OOM_NODES, Harness

SPACE = "kubectl-oom"
NOW = datetime.now(UTC)
NODE_NAME = "kubectl-oom-node"
HOSTILE = "\x1b[2J\u202e"


class Kubectl:
    """kubectl with the plugin and its completion on the PATH."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self._plane = plane
        for name, module in (("kubectl-oom", "kubectl_oom"), ("kubectl_complete-oom", "kubectl_complete")):
            program = folder / name
            run = f"import sys; from oomkeeper.cli.{module} import main; sys.exit(main())"
            program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{run}' \"$@\"\n")
            program.chmod(0o755)
        self._env = os.environ | {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "KUBECONFIG": str(plane.kubeconfig),
            "KUBECACHEDIR": str(plane.folder / "kubectl-cache"),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [str(self._plane.kubectl_path), *words]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._env
        )

    def __call__(self, *words: str, status: int = 0) -> str:
        """Give stdout, and stderr after it where the exit status is not 0."""
        running = self.start(*words)
        out, err = running.communicate(timeout=120)
        assert running.returncode == status, out + err
        return out if status == 0 else out + err


@pytest.fixture(scope="module")
def harness(control_plane: ControlPlane) -> Iterator[Harness]:
    made = install(control_plane)
    control_plane.kubectl("create", "namespace", SPACE)
    control_plane.kubectl("create", "serviceaccount", "default", "-n", SPACE, check=False)
    yield made
    control_plane.kubectl("delete", "namespace", SPACE, "--wait=false")
    control_plane.kubectl("delete", "oomn,node", NODE_NAME, "--ignore-not-found")


@pytest.fixture(scope="module")
def kubectl(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    put(harness, incident("web-1", namespace=SPACE, node=NODE_NAME, kills=5, last=NOW - timedelta(minutes=3)))
    put(
        harness,
        incident("db-1", namespace=SPACE, workload=("StatefulSet", "db"), last=NOW - timedelta(days=2)),
    )
    put(
        harness,
        incident("jvm-1", namespace=SPACE, workload=("Deployment", "jvm"), last=NOW - timedelta(hours=5)),
    )
    head = {"apiVersion": "oomkeeper.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": NODE_NAME}}
    harness.apply(f"{OOM_NODES}/{NODE_NAME}", head | {"spec": NODE["spec"]})
    harness.apply(
        f"{OOM_NODES}/{NODE_NAME}/status", head | {"status": NODE["status"]}, manager="oomkeeper-agent"
    )
    return Kubectl(harness.plane, tmp_path_factory.mktemp("path"))


def put(harness: Harness, obj: Json) -> None:
    path = f"{OOM}/namespaces/{SPACE}/oomincidents/{obj['metadata']['name']}"
    whole = {key: value for key, value in obj.items() if key != "status"}
    harness.apply(path, whole, manager="oomkeeper-agent")
    del whole["spec"]
    harness.apply(f"{path}/status", whole | {"status": obj["status"]}, manager="oomkeeper-agent")


def workload(harness: Harness, name: str, **container: object) -> None:
    resources = {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}
    labels = {"app": name}
    made = {"name": "app", "image": "app", "resources": resources, **container}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [made]}},
    }
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{name}"
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    harness.apply(path, head | {"spec": spec})


def test_list_is_sorted_filtered_and_complete(kubectl: Kubectl) -> None:
    def listed(*words: str) -> list[str]:
        return [
            one.rpartition("/")[2]
            for one in kubectl("oom", "incidents", "-n", SPACE, "-o", "name", *words).split()
        ]

    assert listed() == ["web-1", "jvm-1", "db-1"]
    assert listed("--since", "24h") == ["web-1", "jvm-1"]
    assert listed("--workload", "sts/db") == ["db-1"]
    assert listed("-l", f"oomkeeper.dev/node={NODE_NAME}") == ["web-1"]
    everywhere = kubectl("oom", "incidents", "-A", "-o", "wide")
    assert everywhere.split()[0] == "NAMESPACE"
    assert "reached its memory limit" in everywhere


@pytest.mark.parametrize(
    "template",
    [
        '{range .items[*]}{.metadata.name}{"\\t"}{.status.count}{"\\n"}{end}',
        "{.items[?(@.status.count>1)].metadata.labels.oomkeeper\\.dev/node}",
        "{.items[*].status.kills[0:1].limitBytes}",
        "{..nodeName}",
    ],
)
def test_jsonpath_prints_what_kubectl_prints(kubectl: Kubectl, template: str) -> None:
    ours = kubectl("oom", "incidents", "-n", SPACE, "-o", f"jsonpath={template}")
    theirs = kubectl("get", "oomi", "-n", SPACE, "-o", f"jsonpath={template}")
    # The order differs: by the last kill, and by name.
    assert sorted(ours.split()) == sorted(theirs.split())
    assert ours.split()


def test_watch_prints_changes(kubectl: Kubectl, harness: Harness) -> None:
    running = kubectl.start("oom", "incidents", "-n", SPACE, "-w", "-o", "name", "--workload", "job/late")
    assert running.stdout is not None
    try:
        last = NOW

        def again() -> bool:
            nonlocal last
            last += timedelta(seconds=1)
            put(harness, incident("late-1", namespace=SPACE, workload=("Job", "late"), last=last))
            os.set_blocking(running.stdout.fileno(), False)  # type: ignore[union-attr]
            return "late-1" in (running.stdout.read() or "")  # type: ignore[union-attr]

        assert eventually(again, also=(TypeError,))
    finally:
        running.kill()
        running.communicate()
        harness.delete(f"{OOM}/namespaces/{SPACE}/oomincidents/late-1")


def test_explanations(kubectl: Kubectl) -> None:
    text = kubectl("oom", "explain", "deploy/web", "-n", SPACE)
    assert "Memory breakdown" in text
    assert "5 kills in container app of Deployment/web" in " ".join(text.split())
    assert "## OOM kill" in kubectl("oom", "explain", "oomi/web-1", "-n", SPACE, "-o", "markdown")
    node = json.loads(kubectl("oom", "explain", f"node/{NODE_NAME}", "-o", "json"))
    assert node["node"]["kills"]["recorded"] == 11
    assert [one["metadata"]["name"] for one in node["incidents"]] == ["web-1"]
    assert "no OOM incident of pod/none" in kubectl("oom", "explain", "pod/none", "-n", SPACE, status=1)


def test_nodes_and_policies(kubectl: Kubectl) -> None:
    assert kubectl("oom", "nodes", NODE_NAME).splitlines()[1].split()[1] == "Missing"
    rows = kubectl("oom", "policy", "--node", NODE_NAME)
    assert "vm.oom_dump_tasks" in rows
    assert "Drifted" in rows


def test_limit_is_recommended_applied_and_verified(kubectl: Kubectl, harness: Harness) -> None:
    workload(harness, "web")
    here = ("-n", SPACE)
    patch = kubectl("oom", "recommend", "deploy/web", *here, "-o", "patch")
    assert "memory: 80Mi" in patch
    # The API server takes the patch as it is printed.
    kubectl("patch", "deploy", "web", *here, "--dry-run=server", "-p", patch)
    assert "Unchanged" in kubectl("oom", "recommend", "deploy/web", *here, "--verify", status=1)
    assert "needs --yes" in kubectl("oom", "recommend", "deploy/web", *here, "--apply", status=2)
    assert "deployment/web patched" in kubectl("oom", "recommend", "deploy/web", *here, "--apply", "--yes")
    path = "{.spec.template.spec.containers[0].resources}"
    resources = json.loads(kubectl("get", "deploy", "web", *here, "-o", f"jsonpath={path}"))
    assert resources == {"limits": {"memory": "80Mi"}, "requests": {"memory": "64Mi"}}
    verdict = json.loads(kubectl("oom", "recommend", "deploy/web", *here, "--verify", "-o", "json"))
    (one,) = verdict["containers"]
    assert one["verdict"] == "TooEarly"
    assert one["changed_at"] is not None


def test_heap_that_follows_the_limit_is_refused(kubectl: Kubectl, harness: Harness) -> None:
    workload(harness, "jvm", args=["-XX:MaxRAMPercentage=75"])
    text = kubectl("oom", "recommend", "deploy/jvm", "-n", SPACE, status=1)
    assert "HeapFollowsLimit" in text
    assert "-XX:MaxRAMPercentage=75 in args" in text


def test_running_pod_is_resized_in_place(kubectl: Kubectl, harness: Harness) -> None:
    harness.apply(
        f"/api/v1/nodes/{NODE_NAME}",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME}},
    )
    room = {"memory": "8Gi", "cpu": "8", "pods": "100"}
    harness.merge(f"/api/v1/nodes/{NODE_NAME}/status", {"status": {"capacity": room, "allocatable": room}})
    put(harness, incident("pod-1", namespace=SPACE, workload=("Pod", "alone"), last=NOW))
    resources = {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}
    container = {"name": "app", "image": "app", "resources": resources}
    body = {"metadata": {"name": "alone"}, "spec": {"nodeName": NODE_NAME, "containers": [container]}}
    head = {"apiVersion": "v1", "kind": "Pod"}
    harness.request("POST", f"/api/v1/namespaces/{SPACE}/pods", head | body)
    assert "pod/alone resized" in kubectl("oom", "recommend", "pod/alone", "-n", SPACE, "--apply", "--yes")
    path = "{.spec.containers[0].resources.limits.memory}"
    assert kubectl("get", "pod", "alone", "-n", SPACE, "-o", f"jsonpath={path}") == "80Mi"


def test_doctor_judges_a_cluster_without_agents(kubectl: Kubectl) -> None:
    document = json.loads(kubectl("oom", "doctor", "-o", "json", status=1))
    found = {(one["check"], one["subject"]): one for one in document["findings"]}
    assert ("Agent", f"node/{NODE_NAME}") in found
    assert ("Controller", "controller") in found
    assert not [one for one in found if one[0] == "CRD"]


def test_bundle_holds_what_was_listed(kubectl: Kubectl, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    kubectl("oom", "bundle", "-f", str(path))
    with tarfile.open(path) as archive:
        held = archive.extractfile("oomkeeper-bundle/objects/oomincidents.json")
        assert held is not None
        names = {one["metadata"]["name"] for one in json.load(held)}
    assert {"web-1", "db-1", "jvm-1"} <= names


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("inc",), ["incidents"]),
        (("explain", "-n", SPACE, "web"), ["web-1"]),
        (("nodes", "kubectl"), [NODE_NAME]),
        (("recommend", "-n", SPACE, "deployment/j"), ["deployment/jvm"]),
        (("incidents", "-n", "kubectl-"), [SPACE]),
    ],
)
def test_kubectl_completes(kubectl: Kubectl, words: tuple[str, ...], expected: list[str]) -> None:
    lines = kubectl("__complete", "oom", *words).splitlines()
    assert [line.partition("\t")[0] for line in lines] == [*expected, ":4"]


def test_names_that_others_chose_are_escaped(kubectl: Kubectl, harness: Harness) -> None:
    one = incident("hostile-1", namespace=SPACE, workload=("Deployment", f"x{HOSTILE}"), comm=HOSTILE[:15])
    one["status"]["summary"] = HOSTILE
    put(harness, one)
    try:
        out = kubectl("oom", "incidents", "-n", SPACE, "-o", "wide") + kubectl(
            "oom", "explain", "hostile-1", "-n", SPACE
        )
        assert "\\x1b[2J" in out
        assert "\x1b" not in out
        assert "\u202e" not in out
    finally:
        harness.delete(f"{OOM}/namespaces/{SPACE}/oomincidents/hostile-1")
