"""The agent on this kernel and a real API server, without a kubelet: real kills in cgroups named as a pod's,
and statuses that the test patches in. It shows what no runtime here does: gVisor's shape, and a resize that
is not applied."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.harness import Cgroup, await_reports, cgroups, why_not
from tests.testbed import ControlPlane

from .agent_harness import MIB, Agent, incidents, install, namespace, only_incident, running
from .controller_harness import Harness, Json
from .test_agent_statuses import ended, now

_reason = why_not()
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(_reason is not None, reason=_reason or "")]

IDS = {"app": "ab" * 32, "side": "cd" * 32}
LIMIT = 24


@pytest.fixture(scope="module")
def harness(control_plane: ControlPlane) -> Harness:
    return install(control_plane)


@pytest.fixture
def agent(harness: Harness, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """Running for a node of its own, on this kernel's log."""
    node = f"kills-{abs(hash(request.node.name)) % 10**8}"
    # The API server admits a resize only on a node that has the memory.
    harness.apply(f"/api/v1/nodes/{node}", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    room = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    harness.merge(f"/api/v1/nodes/{node}/status", {"status": {"capacity": room, "allocatable": room}})
    await_reports(2)
    try:
        with running(Agent(tmp_path, kubeconfig=harness.plane.kubeconfig, node=node), harness) as agent:
            yield agent
    finally:
        harness.delete(f"/api/v1/nodes/{node}")


class RunningPod:
    """A pod of the agent's node with two containers, and its cgroup with a limit."""

    def __init__(self, harness: Harness, agent: Agent, top: Cgroup) -> None:
        self._harness = harness
        self.space = namespace(harness.plane, f"of-{agent.node}")
        spec = {"nodeName": agent.node, "containers": [container(name, LIMIT // 2) for name in IDS]}
        obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}
        pod = harness.request("POST", f"/api/v1/namespaces/{self.space}/pods", obj)
        qos = top.child("kubepods").child("burstable")
        self.cgroup = qos.child(f"pod{pod['metadata']['uid']}", limit_bytes=LIMIT * MIB)
        self.report(*IDS)

    def report(self, *alive: str, limit_mib: int = LIMIT // 2) -> None:
        """kubelet reports the containers: those that run, and the others as OOMKilled."""
        statuses = [
            {
                "name": name,
                "image": "none",
                "imageID": "",
                "ready": name in alive,
                "restartCount": 0,
                "containerID": f"containerd://{container_id}",
                "state": {"running": {"startedAt": now()}} if name in alive else oom_killed(container_id),
                "resources": {"limits": {"memory": f"{limit_mib}Mi"}},
            }
            for name, container_id in IDS.items()
        ]
        status = {"phase": "Running", "containerStatuses": statuses}
        self._harness.merge(f"/api/v1/namespaces/{self.space}/pods/web/status", {"status": status})

    def resize(self, limit_mib: int) -> None:
        """Ask for another limit of each container."""
        containers = [container(name, limit_mib) for name in IDS]
        path = f"/api/v1/namespaces/{self.space}/pods/web/resize"
        self._harness.merge(path, {"spec": {"containers": containers}})

    def kill_in(self, cgroup: Cgroup) -> None:
        """Have the kernel kill a process in a cgroup of the pod, at the pod's limit."""
        subprocess.run(
            ["sh", "-c", f"echo $$ > {cgroup.procs} && exec tail /dev/zero"], check=False, timeout=60
        )
        assert cgroup.oom_kills == 1


def container(name: str, limit_mib: int) -> Json:
    return {"name": name, "image": "none", "resources": {"limits": {"memory": f"{limit_mib}Mi"}}}


def oom_killed(container_id: str) -> Json:
    ended = {"reason": "OOMKilled", "exitCode": 137, "startedAt": now(), "finishedAt": now()}
    return {"terminated": {**ended, "containerID": f"containerd://{container_id}"}}


@pytest.fixture
def pod(harness: Harness, agent: Agent) -> Iterator[RunningPod]:
    with cgroups() as top:
        yield RunningPod(harness, agent, top)


def test_kill_in_the_pods_cgroup_and_the_status_of_its_container_are_one_incident(
    harness: Harness, pod: RunningPod
) -> None:
    pod.kill_in(pod.cgroup)
    pod.report("side")
    one = only_incident(harness, pod.space, visibility="Reported")
    assert (one["spec"]["container"], one["spec"]["cause"]) == ("app", "PodLimit")
    assert one["status"]["count"] == 1
    assert any("ended at the same time" in text for text in one["status"]["uncertain"])


def test_kill_that_ends_both_containers_is_one_incident_of_the_pod(harness: Harness, pod: RunningPod) -> None:
    pod.kill_in(pod.cgroup)
    pod.report()
    one = only_incident(harness, pod.space, visibility="Reported")
    assert ("container" in one["spec"], one["status"]["count"]) == (False, 1)
    assert len(incidents(harness, pod.space)) == 1


def await_agent(harness: Harness, agent: Agent) -> None:
    """Wait until the agent knows all pods as they are now: it learns of them in the order of the changes."""
    space = namespace(harness.plane, f"mark-{agent.node}")
    spec = {"nodeName": agent.node, "containers": [container("app", LIMIT)]}
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mark"}, "spec": spec}
    mark = harness.request("POST", f"/api/v1/namespaces/{space}/pods", obj)
    ended(harness, mark, reason="OOMKilled", container_id="containerd://" + "ef" * 32)
    only_incident(harness, space, visibility="ReportedOnly")


def test_pods_cgroup_that_lags_behind_a_resize_is_named(
    harness: Harness, agent: Agent, pod: RunningPod
) -> None:
    pod.resize(40)
    pod.report(*IDS, limit_mib=40)
    await_agent(harness, agent)
    pod.kill_in(pod.cgroup.child(IDS["app"]))
    one = only_incident(harness, pod.space)
    evidence = one["status"]["evidence"]
    limits = [evidence[name] for name in ("limitBytes", "specLimitBytes", "statusLimitBytes")]
    assert limits == [LIMIT * MIB, 80 * MIB, 80 * MIB]
    assert "the spec says 80 MiB: the pod's cgroup did not have it yet" in one["status"]["summary"]
    [advice] = [item["message"] for item in one["status"]["advice"] if item["remedy"] == "FitLimit"]
    assert "so only the pod's cgroup lagged" in advice
