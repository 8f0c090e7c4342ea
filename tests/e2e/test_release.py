"""Upgrade and uninstall of the release. Runs last, because it removes oomkeeper."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kubernetes.client.exceptions import ApiException

from tests.testbed.cache import Say
from tests.testbed.kind import install_operator
from tests.testbed.kind.installing import CHART

from .harness import NAMESPACE, RELEASE, Cluster, Json, eventually
from .pods import EAT, container, pod

RESERVE = "vm.admin_reserve_kbytes"
KINDS_OF_THE_RELEASE = (
    "deployments,daemonsets,pods,serviceaccounts,clusterroles,clusterrolebindings,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings,oomreports"
)


def reserve_policy(value: int) -> Json:
    return {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": "reserve"},
        "spec": {"sysctls": {RESERVE: value}},
    }


@pytest.fixture
def reinstall(cluster: Cluster, say: Say) -> Callable[[], None]:
    kind = cluster.need_nodes()
    return lambda: install_operator(kind, say=say)


def test_upgrade_with_changed_values_is_rolled_out(
    cluster: Cluster, space: str, await_reports: Callable[[int], None]
) -> None:
    kind = cluster.need_nodes()
    values = ("--set", "agent.logLevel=debug", "--set", "report.window=48h")
    options = ("--namespace", NAMESPACE, "--reset-then-reuse-values", "--wait", "--timeout", "300s")
    before = {node: cluster.agent_pod(node) for node in cluster.nodes}
    kind.helm("upgrade", RELEASE, CHART, *options, *values)
    for node in cluster.nodes:
        eventually(lambda node=node: cluster.agent_pod(node) != before[node])
    assert cluster.get("oomreports", "cluster")["spec"]["window"] == "48h"
    await_reports(2)
    cluster.apply(pod("after", container("app", EAT)), namespace=space)
    eventually(lambda: cluster.only_incident(space))  # the agreement with kubelet is the other tests'


def _left(cluster: Cluster) -> list[str]:
    """Return what exists of the release. Nodes and their static pods may have its name; the pods of the hook
    and of `helm test` stay for their logs."""
    names = cluster.kubectl("get", KINDS_OF_THE_RELEASE, "--all-namespaces", "-o", "name").split()
    kept = (f"pod/{RELEASE}-uninstall-", f"pod/{RELEASE}-test")
    return [
        name
        for name in names
        if RELEASE in name and not name.endswith(tuple(cluster.nodes)) and not name.startswith(kept)
    ]


def test_helm_test_passes(cluster: Cluster) -> None:
    output = cluster.need_nodes().helm(
        "test", RELEASE, "--namespace", NAMESPACE, "--logs", "--timeout", "300s"
    )
    assert "every agent reports, and the controller works" in output


def test_uninstall_leaves_what_the_docs_list(cluster: Cluster, reinstall: Callable[[], None]) -> None:
    kind = cluster.need_nodes()
    # Those of other tests' namespaces are being deleted with them.
    incidents = {one["metadata"]["uid"] for one in cluster.incidents(NAMESPACE)}
    node = cluster.nodes[-1]
    original = cluster.value(node, RESERVE)
    cluster.apply(reserve_policy(original + 4096))
    eventually(lambda: cluster.value(node, RESERVE) == original + 4096)
    output = kind.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "300s")
    assert f'release "{RELEASE}" uninstalled' in output
    assert int(kind.exec_in_node(node, ["cat", "/proc/sys/" + RESERVE.replace(".", "/")])) == original
    try:
        # Pods end some time after their owners.
        eventually(lambda: not _left(cluster), seconds=180)
        with pytest.raises(ApiException, match="404"):
            cluster.get("oomreports", "cluster")
        # The custom resources, their objects, and each node's state directory stay.
        assert {one["metadata"]["uid"] for one in cluster.incidents(NAMESPACE)} == incidents
        for node in kind.nodes:
            assert "oomkeeper.db" in kind.exec_in_node(node, ["ls", "/var/lib/oomkeeper"])
        assert cluster.get("oompolicies", "reserve")["spec"]["suspend"] is True
    finally:
        cluster.delete("oompolicies", "reserve")
        reinstall()
    for node in cluster.nodes:
        eventually(lambda node=node: cluster.closed_account(node), seconds=120)
