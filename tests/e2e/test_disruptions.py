"""Things that go away and come back: kubelets, agents, nodes, the API server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.testbed.kind import KindCluster

from .harness import NAMESPACE, Cluster, container_status, eventually, kills, last_kill
from .pods import EAT, REST, container, pod
from .test_policies import applied, policy

Await = Callable[[int], None]

PANIC = "kernel.panic"
KUBELETS_VALUE = 10
"""kernel.panic as kubelet writes it at each start (component-helpers node/util/sysctl)."""
STORM = 40
AWAY_SECONDS = 60.0


def test_value_written_by_restarted_kubelet_is_corrected_counted_and_attributed(cluster: Cluster) -> None:
    kind = cluster.need_nodes()
    node = kind.workers[0]
    mine = KUBELETS_VALUE + 7
    document = policy("e2e-kubelet", node=node, sysctls={PANIC: mine})
    document["spec"]["panicSafety"] = {"acknowledge": ["KubeletConflict"]}
    with applied(cluster, document):
        eventually(lambda: cluster.sysctls(node)[PANIC]["state"] == "InSync")
        assert cluster.value(node, PANIC) == mine
        kind.restart_kubelet(node)
        drifted = eventually(lambda: (one := cluster.sysctls(node)[PANIC]).get("driftCount") == 1 and one)
        assert "kubelet (restarted" in drifted["suspectedWriter"]
        assert drifted["lastDriftTime"]
        assert (drifted["state"], drifted["actual"]) == ("InSync", mine)
        assert cluster.value(node, PANIC) == mine
    eventually(lambda: _is_ready(cluster, node))


def _is_ready(cluster: Cluster, node: str) -> bool:
    conditions = cluster.core.read_node(node).status.conditions
    return any(one.type == "Ready" and one.status == "True" for one in conditions)


def test_agent_deleted_during_a_storm_loses_and_duplicates_nothing(
    cluster: Cluster, space: str, await_reports: Await
) -> None:
    node = cluster.nodes[-1]
    eaters = f"i=0; while [ $i -lt {STORM} ]; do tail /dev/zero; i=$((i+1)); done; echo over; {REST}"
    stormy = pod("stormy", container("app", f"sleep 2; {eaters}", limit="24Mi"), nodeName=node)
    await_reports(5)
    cluster.apply(stormy, namespace=space)
    eventually(lambda: kills(cluster.incidents(space)) >= 3)
    agent = cluster.agent_pod(node)
    cluster.core.delete_namespaced_pod(agent, NAMESPACE, grace_period_seconds=0)
    # Its log, for a command run in the container may be the kernel's next victim, one more than asked for.
    eventually(lambda: "over" in cluster.core.read_namespaced_pod_log("stormy", space))
    eventually(lambda: cluster.agent_pod(node) != agent)
    eventually(lambda: kills(cluster.incidents(space)) == STORM, seconds=120)
    eventually(lambda: cluster.closed_account(node))
    found = cluster.incidents(space)
    # Most of them without a report, for the kernel prints ten in five seconds.
    assert {one["spec"]["container"] for one in found} == {"app"}
    assert {last_kill(one)["pod"] for one in found} == {"stormy"}
    assert kills(found) == STORM


@pytest.fixture
def without_node(cluster: Cluster) -> Iterator[str]:
    """A node to be removed; it comes back afterwards."""
    kind = cluster.need_nodes()
    node = kind.workers[-1]
    try:
        yield node
    finally:
        kind.exec_in_node(node, ["systemctl", "start", "kubelet.service"])
        # kubelet makes its Node anew, but only where it starts without one.
        eventually(lambda: _is_ready(cluster, node), seconds=180)
        eventually(lambda: cluster.agent_pod(node), seconds=180)
        eventually(lambda: cluster.oomnode(node)["status"]["conditions"])


def test_oomnode_is_deleted_with_its_node(cluster: Cluster, without_node: str) -> None:
    kind = cluster.need_nodes()
    kind.exec_in_node(without_node, ["systemctl", "stop", "kubelet.service"])
    cluster.core.delete_node(without_node)
    eventually(lambda: cluster.find("oomnodes", without_node) is None)


def _unpaused(kind: KindCluster, node: str) -> bool:
    kind.unpause_node(node)
    return True


def test_kills_during_an_api_server_outage_are_published_afterwards(
    cluster: Cluster, space: str, await_reports: Await
) -> None:
    kind = cluster.need_nodes()
    node = kind.workers[0]
    # Long enough for the pause below to come first, and shorter than that lasts.
    late = pod("late", container("app", f"sleep 40; {EAT}"), nodeName=node)
    cluster.apply(late, namespace=space)
    eventually(lambda: container_status(cluster.pod(space, "late"), "app")["ready"])
    await_reports(2)
    gone = datetime.now(UTC)
    kind.pause_node(kind.control_plane)
    try:
        threading.Event().wait(AWAY_SECONDS)
    finally:
        # A busy daemon may take a paused container for one that has ended; it stays paused then.
        eventually(lambda: _unpaused(kind, kind.control_plane))
    back = datetime.now(UTC)
    one = eventually(lambda: cluster.only_incident(space, visibility="Reported"), seconds=120)
    killed = datetime.fromisoformat(one["status"]["firstSeen"])
    assert gone < killed < back
    assert (one["spec"]["container"], one["status"]["count"]) == ("app", 1)
    for each in cluster.nodes:
        eventually(lambda each=each: _is_ready(cluster, each), seconds=180)
        eventually(lambda each=each: cluster.closed_account(each), seconds=120)
