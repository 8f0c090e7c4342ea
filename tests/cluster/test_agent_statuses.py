"""The agent against a real API server alone: pods are objects with statuses patched in; no root needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.testbed import ControlPlane

from .agent_bed import Agent, counted, install, namespace, only_incident
from .controller_bed import OOM_NODES, Bed, Json, eventually

pytestmark = pytest.mark.cluster

CONTAINER_ID = "containerd://" + "ab" * 32
SWAPPINESS = Path("/proc/sys/vm/swappiness")


@pytest.fixture(scope="module")
def bed(control_plane: ControlPlane) -> Bed:
    return install(control_plane)


@pytest.fixture
def agent(bed: Bed, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """Running for a node of its own, without a kernel log."""
    node = f"node-{abs(hash(request.node.name)) % 10**8}"
    bed.apply(
        f"{OOM_NODES}/{node}",
        {"apiVersion": "oomkeeper.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": node}, "spec": {}},
    )
    agent = Agent(
        tmp_path, kubeconfig=bed.plane.kubeconfig, node=node, arguments=("--kmsg", "/nonexistent/kmsg")
    )
    agent.start()
    try:
        yield agent
        assert agent.stop() == 0
        assert "Traceback" not in agent.log, agent.log
    finally:
        agent.end()
        bed.delete(f"{OOM_NODES}/{node}")


@pytest.fixture
def pod(bed: Bed, agent: Agent) -> Json:
    """A pod of the agent's node, in a namespace of its own."""
    space = namespace(bed.plane, f"of-{agent.node}")
    spec = {
        "nodeName": agent.node,
        "containers": [
            {"name": "app", "image": "none", "resources": {"limits": {"memory": "64Mi"}}},
        ],
    }
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": space}, "spec": spec}
    return bed.request("POST", f"/api/v1/namespaces/{space}/pods", obj)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(bed: Bed, pod: Json, *, reason: str, container_id: str = CONTAINER_ID, restarts: int = 0) -> None:
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
    bed.merge(path, {"status": {"phase": "Running", "containerStatuses": [status]}})


def condition(bed: Bed, agent: Agent, kind: str) -> tuple[str, str]:
    return bed.conditions(f"{OOM_NODES}/{agent.node}")[kind]


def test_a_status_without_kernel_evidence_becomes_one_incident_that_says_so(
    bed: Bed, agent: Agent, pod: Json
) -> None:
    space = pod["metadata"]["namespace"]
    ended(bed, pod, reason="OOMKilled")
    one = only_incident(bed, space, visibility="ReportedOnly")
    assert one["status"]["cause"] == "Unknown"
    assert one["status"]["confidence"] == "Low"
    assert one["status"]["evidence"]["exitCode"] == 137
    assert one["status"]["evidence"]["specLimitBytes"] == 64 << 20
    assert (one["spec"]["container"], one["spec"]["pod"]["uid"]) == ("app", pod["metadata"]["uid"])

    # The same end seen again, by this agent and by its next run, is no second kill; another container's is.
    bed.merge(f"/api/v1/namespaces/{space}/pods/web", {"metadata": {"labels": {"seen": "again"}}})
    agent.kill()
    agent.start()
    ended(bed, pod, reason="OOMKilled", container_id="containerd://" + "cd" * 32, restarts=1)
    eventually(lambda: counted(bed, space) == 2)
    assert len(only_incident(bed, space)["status"]["kills"]) == 2


def test_an_ordinary_end_is_no_incident(bed: Bed, pod: Json) -> None:
    space = pod["metadata"]["namespace"]
    ended(bed, pod, reason="Error")
    ended(bed, pod, reason="OOMKilled", container_id="containerd://" + "cd" * 32, restarts=1)
    assert only_incident(bed, space, visibility="ReportedOnly")["status"]["count"] == 1


def test_an_unreadable_kernel_log_is_a_condition_with_its_reason(bed: Bed, agent: Agent) -> None:
    eventually(lambda: condition(bed, agent, "KernelLogReadable") == ("False", "Unreadable"))
    [said] = [
        one["message"]
        for one in bed.status(f"{OOM_NODES}/{agent.node}")["conditions"]
        if one["type"] == "KernelLogReadable"
    ]
    assert "/nonexistent/kmsg" in said


def test_the_status_is_written_on_change_only(bed: Bed, agent: Agent) -> None:
    path = f"{OOM_NODES}/{agent.node}"
    eventually(lambda: bed.status(path).get("conditions"))
    version = bed.get(path)["metadata"]["resourceVersion"]
    agent.kill()
    agent.start()
    bed.merge(path, {"spec": {"sysctls": [entry(mode="Audit")]}})
    eventually(lambda: bed.status(path)["sysctls"])
    settled = bed.get(path)["metadata"]["resourceVersion"]
    assert settled != version
    # Two looks at the sysctls later nothing has been written.
    stays(lambda: bed.get(path)["metadata"]["resourceVersion"] == settled, seconds=11)


def stays(look: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look()
        time.sleep(0.5)


def entry(**fields: object) -> Json:
    return {"name": "vm.swappiness", "value": int(SWAPPINESS.read_text()), "policy": "test", **fields}


def test_a_spec_that_slipped_past_the_schema_sets_a_condition_and_changes_nothing(
    bed: Bed, agent: Agent
) -> None:
    path = f"{OOM_NODES}/{agent.node}"
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/oomnodes.oomkeeper.dev"
    original = bed.get(crd)
    loose = json.loads(json.dumps(original))
    for version in loose["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        }
    bed.request("PUT", crd, loose)
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
                bed.merge(path, {"spec": {"sysctls": bad, "oomScoreAdjustments": 3}})["spec"].get(
                    "sysctls", [None]
                )[-1]
                == bad[-1]
            )
        )
        eventually(lambda: condition(bed, agent, "Degraded") == ("True", "InvalidSpec"))
        assert SWAPPINESS.read_text() == before
        assert agent.running
        # And it goes on with what makes sense.
        bed.merge(path, {"spec": {"sysctls": [entry(mode="Audit")], "oomScoreAdjustments": None}})
        eventually(lambda: condition(bed, agent, "Degraded")[0] == "False")
    finally:
        bed.merge(path, {"spec": {"sysctls": None, "oomScoreAdjustments": None}})
        current = bed.get(crd)
        current["spec"] = original["spec"]
        bed.request("PUT", crd, current)
