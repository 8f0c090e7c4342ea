"""The life of the release: changed values, and its end. The last of all, for it takes oomkeeper away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kubernetes.client.exceptions import ApiException

from tests.testbed.cache import Say
from tests.testbed.kind import install_operator
from tests.testbed.kind.installing import CHART

from .harness import NAMESPACE, RELEASE, Cluster, eventually
from .pods import EAT, container, pod

KINDS_OF_THE_RELEASE = (
    "deployments,daemonsets,pods,serviceaccounts,clusterroles,clusterrolebindings,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings,oomreports"
)


@pytest.fixture
def put_back(cluster: Cluster, say: Say) -> Callable[[], None]:
    kind = cluster.need_nodes()
    return lambda: install_operator(kind, say=say)


def test_upgrade_with_changed_values_is_rolled_out(
    cluster: Cluster, space: str, await_reports: Callable[[int], None]
) -> None:
    kind = cluster.need_nodes()
    values = ("--set", "agent.logLevel=debug", "--set", "report.window=48h")
    options = ("--namespace", NAMESPACE, "--reuse-values", "--wait", "--timeout", "120s")
    before = {node: cluster.agent_pod(node) for node in cluster.nodes}
    kind.helm("upgrade", RELEASE, CHART, *options, *values)
    for node in cluster.nodes:
        assert eventually(lambda node=node: cluster.agent_pod(node)) != before[node]
    assert cluster.get("oomreports", "cluster")["spec"]["window"] == "48h"
    await_reports(2)
    cluster.apply(pod("after", container("app", EAT)), namespace=space)
    eventually(lambda: cluster.only_incident(space))  # the agreement with kubelet is the other tests'


def _left(cluster: Cluster) -> list[str]:
    """What is there of the release. A node may be named like it, and static pods are named for their node."""
    names = cluster.kubectl("get", KINDS_OF_THE_RELEASE, "--all-namespaces", "-o", "name").split()
    return [name for name in names if RELEASE in name and not name.endswith(tuple(cluster.nodes))]


def test_uninstall_leaves_what_the_docs_list(cluster: Cluster, put_back: Callable[[], None]) -> None:
    kind = cluster.need_nodes()
    incidents = {one["metadata"]["uid"] for one in cluster.incidents()}
    kind.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s")
    try:
        # Pods take their time to end after what made them is gone.
        eventually(lambda: not _left(cluster))
        with pytest.raises(ApiException, match="404"):
            cluster.get("oomreports", "cluster")
        # The custom resources, with what was recorded, and each node's state folder stay.
        assert {one["metadata"]["uid"] for one in cluster.incidents()} == incidents
        for node in kind.nodes:
            assert "oomkeeper.db" in kind.exec_in_node(node, ["ls", "/var/lib/oomkeeper"])
    finally:
        put_back()
    for node in cluster.nodes:
        eventually(lambda node=node: cluster.closed_account(node))
