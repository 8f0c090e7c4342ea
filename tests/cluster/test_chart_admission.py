"""The chart's pods on an API server that limits the system-* priority classes as GKE's does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed import control_plane
from tests.testbed.cache import Say
from tests.waiting import eventually

from .chart_harness import CHART, NAMESPACE, RELEASE, ChartHarness, helm
from .controller_harness import Harness, Json

pytestmark = pytest.mark.cluster

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


@pytest.fixture(scope="module")
def chart(testbed_say: Say) -> Iterator[ChartHarness]:
    """Installed without the quota, with one node that can run an agent and three that cannot."""
    with control_plane(say=testbed_say, controllers=True, limit_priority_classes=True) as plane:
        made = helm(plane.folder / "helm", say=testbed_say, kubeconfig=plane.kubeconfig)
        harness = Harness(plane=plane)
        harness.node("real")
        harness.node("fargate", **{"eks.amazonaws.com/compute-type": "fargate"})
        harness.node("virtual", type="virtual-kubelet")
        harness.node("windows", os="windows")
        head = ("install", RELEASE, CHART, f"--namespace={NAMESPACE}", "--create-namespace")
        made(*head, "--set", "resourceQuota.create=false", "--set", "report.create=false")
        yield ChartHarness(plane=plane, harness=harness, helm=made)


def nodes_of_agents(pods: list[Json]) -> list[str]:
    """Return the node of each agent pod, as the DaemonSet controller pins it."""
    found = []
    for pod in pods:
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "agent":
            required = pod["spec"]["affinity"]["nodeAffinity"][
                "requiredDuringSchedulingIgnoredDuringExecution"
            ]
            [name] = required["nodeSelectorTerms"][0]["matchFields"][0]["values"]
            found.append(name)
    return sorted(found)


def test_without_quota_the_pods_are_refused(chart: ChartHarness) -> None:
    def refused() -> bool:
        names = [
            event["involvedObject"]["name"]
            for event in chart.harness.list(EVENTS)
            if "insufficient quota to match these scopes" in event["message"]
        ]
        return all(
            any(name.startswith(f"{RELEASE}-{part}") for name in names) for part in ("agent", "controller")
        )

    eventually(refused)
    assert chart.harness.list(PODS) == []


def test_quota_of_the_chart_lets_agent_and_controller_run_on_real_nodes_only(chart: ChartHarness) -> None:
    chart.helm("upgrade", RELEASE, CHART, f"--namespace={NAMESPACE}", "--set", "report.create=false")

    def components() -> set[str]:
        return {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in chart.harness.list(PODS)}

    eventually(lambda: components() == {"agent", "controller"}, seconds=120)
    assert nodes_of_agents(chart.harness.list(PODS)) == ["real"]
