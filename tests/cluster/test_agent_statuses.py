"""The agent against a real API server alone: pods are objects with statuses patched in; no root needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.testbed import ControlPlane
from tests.waiting import eventually

from .agent_harness import Agent, counted, install, namespace, only_incident, running
from .controller_harness import OOM_NODES, Harness, Json

pytestmark = pytest.mark.cluster

CONTAINER_ID = "containerd://" + "ab" * 32
SWAPPINESS = Path("/proc/sys/vm/swappiness")


@pytest.fixture(scope="module")
def harness(control_plane: ControlPlane) -> Harness:
    return install(control_plane)


@pytest.fixture
def agent(harness: Harness, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """Running for a node of its own, without a kernel log."""
    node = f"node-{abs(hash(request.node.name)) % 10**8}"
    agent = Agent(
        tmp_path, kubeconfig=harness.plane.kubeconfig, node=node, arguments=("--kmsg", "/nonexistent/kmsg")
    )
    with running(agent, harness):
        yield agent


@pytest.fixture
def pod(harness: Harness, agent: Agent) -> Json:
    """A pod of the agent's node, in a namespace of its own."""
    space = namespace(harness.plane, f"of-{agent.node}")
    spec = {
        "nodeName": agent.node,
        "containers": [
            {"name": "app", "image": "none", "resources": {"limits": {"memory": "64Mi"}}},
        ],
    }
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": space}, "spec": spec}
    return harness.request("POST", f"/api/v1/namespaces/{space}/pods", obj)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(
    harness: Harness, pod: Json, *, reason: str, container_id: str = CONTAINER_ID, restarts: int = 0
) -> None:
    """kubelet says that the container ended."""
    meta = pod["metadata"]
    terminated = {
        "reason": reason,
        "exitCode": 137,
        "containerID": container_id,
        "finishedAt": now(),
        "startedAt": now(),
    }
    status = {
        "name": "app",
        "image": "none",
        "imageID": "",
        "ready": False,
        "restartCount": restarts,
        "containerID": container_id,
        "state": {"terminated": terminated},
    }
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
    harness.merge(path, {"status": {"phase": "Running", "containerStatuses": [status]}})


def condition(harness: Harness, agent: Agent, kind: str) -> tuple[str, str]:
    return harness.conditions(f"{OOM_NODES}/{agent.node}")[kind]


def test_oomkilled_status_without_kernel_evidence_becomes_one_reported_only_incident(
    harness: Harness, agent: Agent, pod: Json
) -> None:
    space = pod["metadata"]["namespace"]
    ended(harness, pod, reason="OOMKilled")
    one = only_incident(harness, space, visibility="ReportedOnly")
    assert one["status"]["cause"] == "Unknown"
    assert one["status"]["confidence"] == "Low"
    assert one["status"]["evidence"]["exitCode"] == 137
    assert one["status"]["evidence"]["specLimitBytes"] == 64 << 20
    assert (one["spec"]["container"], one["status"]["kills"][0]["podUID"]) == ("app", pod["metadata"]["uid"])

    # The same end seen again, by this agent and by its next run, is no second kill; another container's is.
    harness.merge(f"/api/v1/namespaces/{space}/pods/web", {"metadata": {"labels": {"seen": "again"}}})
    agent.kill()
    agent.start()
    ended(harness, pod, reason="OOMKilled", container_id="containerd://" + "cd" * 32, restarts=1)
    eventually(lambda: counted(harness, space) == 2)
    assert len(only_incident(harness, space)["status"]["kills"]) == 2


def test_oomkilled_status_of_a_kata_pod_names_its_runtime_class(harness: Harness, agent: Agent) -> None:
    name = f"kata-{agent.node}"
    runtime_class = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": "kata",
        "overhead": {"podFixed": {"memory": "160Mi"}},
    }
    harness.request("POST", "/apis/node.k8s.io/v1/runtimeclasses", runtime_class)
    space = namespace(harness.plane, f"kata-of-{agent.node}")
    spec = {
        "nodeName": agent.node,
        "runtimeClassName": name,
        "containers": [
            {"name": "app", "image": "none", "resources": {"limits": {"memory": "64Mi"}}},
        ],
    }
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": space}, "spec": spec}
    try:
        pod = harness.request("POST", f"/api/v1/namespaces/{space}/pods", obj)
        ended(harness, pod, reason="OOMKilled")
        one = only_incident(harness, space, visibility="ReportedOnly")
        assert f"(runtime class {name}) ended OOMKilled (exit code 137)" in one["status"]["summary"]
        assert "the guest's kernel, whose log this node cannot read" in one["status"]["summary"]
    finally:
        harness.delete(f"/apis/node.k8s.io/v1/runtimeclasses/{name}")


def test_normal_exit_is_no_incident(harness: Harness, pod: Json) -> None:
    space = pod["metadata"]["namespace"]
    ended(harness, pod, reason="Error")
    ended(harness, pod, reason="OOMKilled", container_id="containerd://" + "cd" * 32, restarts=1)
    assert only_incident(harness, space, visibility="ReportedOnly")["status"]["count"] == 1


def test_unreadable_kernel_log_sets_a_condition_with_its_reason(harness: Harness, agent: Agent) -> None:
    eventually(lambda: condition(harness, agent, "KernelLogReadable") == ("False", "Unreadable"))
    [said] = [
        one["message"]
        for one in harness.status(f"{OOM_NODES}/{agent.node}")["conditions"]
        if one["type"] == "KernelLogReadable"
    ]
    assert "/nonexistent/kmsg" in said


def test_status_is_written_only_on_change(harness: Harness, agent: Agent) -> None:
    path = f"{OOM_NODES}/{agent.node}"
    eventually(lambda: harness.status(path).get("conditions"))
    version = harness.get(path)["metadata"]["resourceVersion"]
    agent.kill()
    agent.start()
    harness.merge(path, {"spec": {"sysctls": [entry(mode="Audit")]}})
    eventually(lambda: harness.status(path)["sysctls"])
    settled = harness.get(path)["metadata"]["resourceVersion"]
    assert settled != version
    # Two looks at the sysctls later nothing has been written.
    stays(lambda: harness.get(path)["metadata"]["resourceVersion"] == settled, seconds=11)


def stays(look: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look()
        time.sleep(0.5)


def entry(**fields: object) -> Json:
    return {"name": "vm.swappiness", "value": int(SWAPPINESS.read_text()), "policy": "test", **fields}


def test_invalid_stored_spec_sets_a_condition_and_changes_nothing(harness: Harness, agent: Agent) -> None:
    path = f"{OOM_NODES}/{agent.node}"
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/oomnodes.oomkeeper.dev"
    original = harness.get(crd)
    loose = json.loads(json.dumps(original))
    for version in loose["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        }
    harness.request("PUT", crd, loose)
    bad = [
        {"name": "vm.drop_caches", "value": 3, "policy": "bad"},
        5,
        entry(acknowledge=7),
        {"name": "vm.swappiness"},
    ]
    before = SWAPPINESS.read_text()
    try:
        eventually(
            lambda: (
                harness.merge(path, {"spec": {"sysctls": bad, "oomScoreAdjustments": 3}})["spec"].get(
                    "sysctls", [None]
                )[-1]
                == bad[-1]
            )
        )
        eventually(lambda: condition(harness, agent, "Degraded") == ("True", "InvalidSpec"))
        assert SWAPPINESS.read_text() == before
        assert agent.running
        # And it goes on with what makes sense.
        harness.merge(path, {"spec": {"sysctls": [entry(mode="Audit")], "oomScoreAdjustments": None}})
        eventually(lambda: condition(harness, agent, "Degraded")[0] == "False")
    finally:
        harness.merge(path, {"spec": {"sysctls": None, "oomScoreAdjustments": None}})

        def restore() -> Json:
            current = harness.get(crd)
            current["spec"] = original["spec"]
            return harness.request("PUT", crd, current)

        eventually(restore)  # the API server may write its status in between
