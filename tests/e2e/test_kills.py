"""Real kills by the real kernel: what oomkeeper says of each, held against kubelet's own word."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest
from kubernetes.client.exceptions import ApiException

from .harness import MIB, NAMESPACE, Cluster, Json, container_status, eventually, kills, last_kill
from .scenarios import SCENARIOS, Scenario

AT_ONCE = 4
"""Scenarios begun together: the kernel prints ten reports in five seconds, for the whole machine."""
SETTLED_SECONDS = 90.0

each = pytest.mark.parametrize("name", SCENARIOS)


@pytest.fixture(scope="module")
def spaces(cluster: Cluster, await_reports: Callable[[int], None]) -> Iterator[Mapping[str, str]]:
    """Scenario -> its namespace, everything begun and everybody killed."""
    names = list(SCENARIOS)
    with ExitStack() as stack:
        found = {name: stack.enter_context(cluster.namespace(f"e2e-kill-{name}")) for name in names}
        for start in range(0, len(names), AT_ONCE):
            batch = names[start : start + AT_ONCE]
            await_reports(AT_ONCE + 1)
            for name in batch:
                cluster.apply(SCENARIOS[name].obj, namespace=found[name])
            for name in batch:
                _execute(cluster, SCENARIOS[name], namespace=found[name])
            for name in batch:
                eventually(lambda name=name: kills(cluster.incidents(found[name])), seconds=120)
        yield found


def _execute(cluster: Cluster, scenario: Scenario, *, namespace: str) -> None:
    if not scenario.execute:
        return
    eventually(lambda: container_status(cluster.pod(namespace, scenario.pod), scenario.container)["ready"])
    with pytest.raises(AssertionError, match="exit code 137"):
        cluster.kubectl("exec", f"--namespace={namespace}", scenario.pod, "--", *scenario.execute)


def incident_of(cluster: Cluster, namespace: str) -> Json:
    """Once it is settled whether kubelet has said so."""
    return eventually(
        lambda: (one := cluster.only_incident(namespace))["status"].get("visibility") and one,
        seconds=SETTLED_SECONDS,
    )


def incident_with_kubelets_word(cluster: Cluster, namespace: str) -> Json:
    """Once kubelet has said how the container ended, be it after the kill has counted as invisible."""
    return eventually(
        lambda: (one := incident_of(cluster, namespace))["status"]["evidence"]["reason"] and one,
        seconds=SETTLED_SECONDS,
    )


def _is_gone(cluster: Cluster, namespace: str, pod: str) -> bool:
    try:
        cluster.pod(namespace, pod)
    except ApiException as error:
        if error.status != 404:
            raise
        return True
    return False


@each
def test_kill_is_explained(cluster: Cluster, spaces: Mapping[str, str], name: str) -> None:
    scenario = SCENARIOS[name]
    one = incident_of(cluster, spaces[name])
    spec, status = one["spec"], one["status"]
    evidence = status["evidence"]
    assert last_kill(one)["pod"].startswith(scenario.pod)
    assert spec["workload"] == (scenario.workload or {"kind": "Pod", "name": scenario.pod})
    assert spec["container"] == scenario.container
    assert spec["nodeName"] in cluster.nodes
    assert status["cause"] in scenario.causes
    assert status["cause"] == spec["cause"]
    assert status["level"] in scenario.levels
    assert (status["outcome"], status["count"], len(status["kills"])) == ("Killed", 1, 1)
    assert evidence["limitBytes"] == scenario.limit_mib * MIB
    assert evidence["victims"][0]["comm"] == scenario.victim
    assert evidence["contributors"][0]["name"] == scenario.contributor
    assert status["conditions"][0]["reason"] == "ReportComplete", status["conditions"]
    assert status["confidence"] == "High"
    assert scenario.container in status["summary"]
    assert status["advice"]


@each
def test_kubelet_status_agrees_where_it_reports_the_kill(
    cluster: Cluster, spaces: Mapping[str, str], name: str
) -> None:
    scenario = SCENARIOS[name]
    look = incident_of if scenario.visibility == "Invisible" else incident_with_kubelets_word
    one = look(cluster, spaces[name])
    evidence, visibility = one["status"]["evidence"], one["status"]["visibility"]
    # On a busy machine containerd may miss an OOM event of cgroup v1, and kubelet says Error, 137. That is
    # what Invisible is for.
    assert visibility == ("Reported" if evidence.get("reason") == "OOMKilled" else "Invisible")
    if name == "job":
        # Kubelet's word has outlived the pod.
        assert evidence["exitCode"] == 137
        eventually(lambda: _is_gone(cluster, spaces[name], last_kill(one)["pod"]))
        return
    pod = cluster.pod(spaces[name], last_kill(one)["pod"])
    assert pod["metadata"]["uid"] == last_kill(one)["podUID"]
    assert pod["spec"]["nodeName"] == one["spec"]["nodeName"]
    assert pod["status"]["qosClass"] == scenario.qos
    said = container_status(pod, scenario.container)
    if scenario.visibility == "Invisible":
        assert visibility == "Invisible"
        assert "running" in said["state"]
        assert said["restartCount"] == 0
        assert said["containerID"].endswith(evidence["containerID"])
        return
    ended = said["state"].get("terminated") or said["lastState"]["terminated"]
    assert ended["reason"] in ("OOMKilled", "Error")
    assert ended["containerID"].endswith(evidence["containerID"])
    assert (evidence["reason"], evidence["exitCode"]) == (ended["reason"], ended["exitCode"])
    assert ended["exitCode"] == 137
    # kubelet's clock has whole seconds, and it is the same clock here.
    killed = datetime.fromisoformat(one["status"]["lastSeen"])
    finished = datetime.fromisoformat(ended["finishedAt"])
    assert abs(finished - killed) < timedelta(seconds=5)


@each
def test_pod_gets_an_event(cluster: Cluster, spaces: Mapping[str, str], name: str) -> None:
    one = incident_of(cluster, spaces[name])
    kill = last_kill(one)
    [event] = eventually(lambda: cluster.events(spaces[name], of=kill["pod"]))
    assert (event["type"], event["reason"], event["count"]) == ("Warning", f"OOM{one['spec']['cause']}", 1)
    assert event["involvedObject"]["uid"] == kill["podUID"]
    sentence = one["status"]["summary"].removesuffix(".")
    end = ", and the container kept running." if kill.get("containerSurvived") else "."
    # Whether the container survived is known after the first Event, and written a minute later.
    eventually(
        lambda: cluster.events(spaces[name], of=kill["pod"])[0]["message"] == sentence + end, seconds=120
    )


def test_policy_status_and_report_count_every_kill(cluster: Cluster, spaces: Mapping[str, str]) -> None:
    value = cluster.value(cluster.nodes[0], "vm.oom_dump_tasks")
    head = {"apiVersion": "oomkeeper.dev/v1alpha1", "kind": "OOMPolicy", "metadata": {"name": "e2e-counts"}}
    cluster.apply(head | {"spec": {"sysctls": {"vm.oom_dump_tasks": value}}})
    try:
        # Both look back on a day; only kills before the installation may be older.
        eventually(
            lambda: (
                kills(cluster.incidents())
                == cluster.get("oompolicies", "e2e-counts")["status"]["oom"]["kills"]
            )
        )
        oom = cluster.get("oompolicies", "e2e-counts")["status"]["oom"]
        assert sum(one["kills"] for one in oom["byCause"]) == oom["kills"]
        assert {"PodLimit", "ContainerLimit"} <= {one["cause"] for one in oom["byCause"]}
    finally:
        cluster.delete("oompolicies", "e2e-counts")

    # Kills of namespaces that are deleted stay in the totals.
    def listed() -> int:
        totals = cluster.get("oomreports", "cluster")["status"]["totals"]
        return int(totals["kills"] - totals["withoutIncident"])

    eventually(lambda: kills(cluster.incidents()) == listed())
    report = cluster.get("oomreports", "cluster")["status"]
    by_namespace = {one["namespace"]: one["kills"] for one in report["byNamespace"]}
    mine = {space: 1 for space in spaces.values() if space in by_namespace}
    assert mine
    assert {space: by_namespace[space] for space in mine} == mine


def test_kill_accounting_of_every_node_is_complete(cluster: Cluster, spaces: Mapping[str, str]) -> None:
    assert spaces
    for node in cluster.nodes:
        recorded = eventually(lambda node=node: cluster.closed_account(node))["recorded"]

        def published(node: str = node, recorded: int = recorded) -> bool:  # at intervals
            counters = cluster.oomnode(node)["status"]["counters"]
            assert counters["recorded"] >= recorded
            return (counters["unattributed"], counters["lostLogRecords"]) == (0, 0)

        eventually(published)


def test_no_kill_is_published_twice(cluster: Cluster, spaces: Mapping[str, str]) -> None:
    """On one kernel every agent sees them all."""
    assert spaces
    # An incident is made a moment before its status is written.
    ids = [kill["id"] for one in cluster.incidents() for kill in one.get("status", {}).get("kills", [])]
    assert len(ids) == len(set(ids))
    hosts = [one for one in cluster.incidents(NAMESPACE) if "kubepods" in one["spec"].get("cgroup", "")]
    assert hosts == []
