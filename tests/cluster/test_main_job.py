"""The main job on a real node: a policy reaches /proc/sys and comes back as status, a real kill becomes an
incident, an event, a count and a report. Controller and agent are processes, as in a cluster."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.harness import await_reports
from tests.kernel.harness import why_not as why_no_kills
from tests.testbed import NativeNode
from tests.testbed.node import why_not
from tests.waiting import eventually

from .agent_harness import (
    EAT,
    EAT_IN_CHILD,
    MIB,
    Agent,
    api_server_frozen,
    container,
    counted,
    incidents,
    install,
    last_pod,
    namespace,
    node_status,
    only_incident,
    pod,
)
from .controller_harness import OOM_NODES, POLICIES, REPORTS, Controller, Harness, Json

_reason = why_not() or why_no_kills()
pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(_reason is not None, reason=_reason or ""),
    pytest.mark.usefixtures("agent"),
]

DUMP = "vm.oom_dump_tasks"
SWAPPINESS = "vm.swappiness"


def value(key: str) -> int:
    return int(Path("/proc/sys", *key.split(".")).read_text())


def write(key: str, number: int) -> None:
    Path("/proc/sys", *key.split(".")).write_text(str(number))


@pytest.fixture(scope="module")
def harness(native_node: NativeNode) -> Harness:
    return install(native_node.control_plane)


@pytest.fixture(scope="module")
def agent(
    native_node: NativeNode, harness: Harness, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Agent]:
    """Running, with the controller."""
    folder = tmp_path_factory.mktemp("main-job")
    kubeconfig = native_node.control_plane.kubeconfig
    controller = Controller(kubeconfig=kubeconfig, log=folder / "controller.log")
    agent = Agent(folder / "agent", kubeconfig=kubeconfig, node=native_node.name)
    controller.start()
    try:
        agent.start()
        eventually(lambda: node_status(harness, native_node.name).get("conditions"))
        yield agent
        logs = "\n".join((agent.log + controller.log).splitlines()[-60:])
        assert agent.running, logs
        assert controller.running, logs
        assert "Traceback" not in agent.log + controller.log, logs
    finally:
        agent.end()
        controller.end()


@pytest.fixture
def space(native_node: NativeNode, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, while the kernel prints full reports; its pods are gone afterwards."""
    await_reports(5)
    name = namespace(native_node.control_plane, f"job-{abs(hash(request.node.name)) % 10**8}")
    yield name
    native_node.kubectl("-n", name, "delete", "deploy,pod", "--all", "--grace-period=0", "--force")


def create(node: NativeNode, space: str, obj: Json) -> None:
    node.kubectl("-n", space, "apply", "-f", "-", input=json.dumps(obj))


def sysctl(harness: Harness, node: str, key: str) -> Json:
    return {one["name"]: one for one in node_status(harness, node)["sysctls"]}[key]


def _said_of(harness: Harness, node: str, key: str) -> tuple[str, int, int, str]:
    one = sysctl(harness, node, key)
    return one["state"], one["actual"], one["original"], one["policy"]


def test_policy_is_applied_enforced_and_reverted_in_proc_sys(
    native_node: NativeNode, harness: Harness
) -> None:
    node = native_node.name
    found = {key: value(key) for key in (DUMP, SWAPPINESS)}
    wanted = {DUMP: 1 - found[DUMP], SWAPPINESS: (found[SWAPPINESS] + 7) % 100}
    try:
        harness.policy("main-job", sysctls=wanted)
        eventually(lambda: {key: value(key) for key in wanted} == wanted)
        for key in wanted:
            said = ("InSync", wanted[key], found[key], "main-job")
            eventually(lambda key=key, said=said: _said_of(harness, node, key) == said)
        eventually(lambda: harness.conditions(f"{POLICIES}/main-job")["Ready"][0] == "True")
        assert harness.status(f"{POLICIES}/main-job")["nodes"]["inSync"] == 1
        assert harness.conditions(f"{OOM_NODES}/{node}")["Applied"] == ("True", "InSync")

        foreign = (wanted[SWAPPINESS] + 11) % 100
        write(SWAPPINESS, foreign)
        eventually(lambda: value(SWAPPINESS) == wanted[SWAPPINESS])
        drifted = eventually(
            lambda: (one := sysctl(harness, node, SWAPPINESS)).get("driftCount") == 1 and one
        )
        assert drifted["state"] == "InSync"
        assert drifted["lastDriftTime"]
        assert drifted["suspectedWriter"]
    finally:
        harness.delete(f"{POLICIES}/main-job")
        try:
            eventually(lambda: {key: value(key) for key in found} == found)
        finally:
            for key, number in found.items():
                write(key, number)
    eventually(lambda: node_status(harness, node).get("sysctls", []) == [])


def test_kill_at_pod_limit_is_explained_reported_and_counted(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    harness.policy("watches", sysctls={DUMP: value(DUMP)})
    harness.report("cluster", window="24h", refreshInterval="10s")
    try:
        create(native_node, space, pod("eater", container("app", EAT), restart="Always"))
        first = only_incident(harness, space, visibility="Reported")
        status = first["status"]
        assert status["cause"] == "ContainerLimit"
        assert status["level"] in ("Pod", "Container")
        assert status["outcome"] == "Killed"
        assert status["evidence"]["limitBytes"] == 24 * MIB
        assert status["evidence"]["specLimitBytes"] == 24 * MIB
        assert status["evidence"]["reason"] == "OOMKilled"
        assert status["evidence"]["victims"][0]["comm"] == "tail"
        assert last_pod(first) == "eater"
        assert first["spec"]["workload"] == {"kind": "Pod", "name": "eater"}
        assert (first["spec"]["container"], first["spec"]["nodeName"]) == ("app", native_node.name)
        assert "app" in status["summary"]
        assert status["advice"]
        assert status["conditions"][0]["reason"] == "ReportComplete"

        event = eventually(lambda: events(harness, space)[0])
        assert event["regarding" if "regarding" in event else "involvedObject"]["name"] == "eater"

        eventually(lambda: counted(harness, space) >= 2, seconds=60)
        again = only_incident(harness, space)
        assert again["metadata"]["uid"] == first["metadata"]["uid"]
        assert len({kill["id"] for kill in again["status"]["kills"]}) == again["status"]["count"]
        harness.delete(f"/api/v1/namespaces/{space}/pods/eater")

        eventually(lambda: harness.status(f"{POLICIES}/watches")["oom"]["kills"] >= 2, seconds=60)
        eventually(lambda: totals(harness) >= 2, seconds=60)
        eventually(lambda: space in json.dumps(harness.status(f"{REPORTS}/cluster")), seconds=60)
    finally:
        harness.delete(f"{POLICIES}/watches")


def events(harness: Harness, space: str) -> list[Json]:
    found = harness.list(f"/api/v1/namespaces/{space}/events")
    return [event for event in found if event["reportingComponent"] == "oomkeeper"]


def totals(harness: Harness) -> int:
    return int(harness.status(f"{REPORTS}/cluster")["totals"]["kills"])


def test_incident_names_the_container_that_reached_its_limit(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    quiet = container("quiet", "sleep 100000", limit="16Mi")
    create(native_node, space, pod("pair", quiet, container("hungry", EAT)))
    one = only_incident(harness, space, visibility="Reported")
    assert one["spec"]["container"] == "hungry"
    assert one["status"]["count"] == 1


def test_killed_child_of_a_running_container_is_invisible_to_kubelet(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    create(native_node, space, pod("parent", container("app", EAT_IN_CHILD)))
    one = only_incident(harness, space, visibility="Invisible")
    assert one["status"]["evidence"]["victims"][0]["comm"] == "tail"
    assert one["status"]["kills"][0]["containerSurvived"] is True
    status = harness.status(f"/api/v1/namespaces/{space}/pods/parent")
    assert "running" in status["containerStatuses"][0]["state"]


def test_incident_names_an_init_container(native_node: NativeNode, harness: Harness, space: str) -> None:
    main = container("app", "sleep 100000", limit=None)
    create(native_node, space, pod("begins", main, init=[container("prepare", EAT)]))
    one = only_incident(harness, space, visibility="Reported")
    assert (one["spec"]["container"], one["status"]["containerKind"]) == ("prepare", "InitContainer")
    assert one["status"]["kills"][0]["containerSurvived"] is False
    event = eventually(lambda: events(harness, space)[0])
    assert event["involvedObject"]["fieldPath"] == "spec.initContainers{prepare}"


def test_kill_in_a_deployment_pod_names_the_deployment(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    template = pod("unused", container("app", EAT), restart="Always", labels={"app": "shop"})
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {"metadata": {"labels": {"app": "shop"}}, "spec": template["spec"]},
        },
    }
    create(native_node, space, deployment)
    one = only_incident(harness, space)
    assert one["spec"]["workload"] == {"kind": "Deployment", "name": "shop"}
    uid = harness.get(f"/apis/apps/v1/namespaces/{space}/deployments/shop")["metadata"]["uid"]
    assert one["status"]["workload"] == {"apiVersion": "apps/v1", "uid": uid}

    def described() -> bool:
        return "OOMContainerLimit" in native_node.kubectl("-n", space, "describe", "deployment", "shop")

    eventually(described)


def test_incident_survives_pod_deletion_right_after_the_kill(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    create(native_node, space, pod("brief", container("app", EAT)))
    eventually(lambda: incidents(harness, space), seconds=60)
    native_node.kubectl("-n", space, "delete", "pod", "brief", "--grace-period=0", "--force")
    one = only_incident(harness, space, count=1)
    assert last_pod(one) == "brief"
    eventually(lambda: incidents(harness, space)[0]["status"].get("visibility"), seconds=60)


STORM = "sleep 2; i=0; while [ $i -lt 40 ]; do tail /dev/zero; i=$((i+1)); done; sleep 100000"


def recorded(harness: Harness, node: str) -> int:
    return int(node_status(harness, node)["counters"].get("recorded", 0))


def account_is_closed(harness: Harness, node: str, *, recorded_before: int) -> bool:
    """Whether the storm is recorded, and every kill that the kernel has counted. The agent writes it at
    intervals."""
    counters = node_status(harness, node)["counters"]
    assert counters["recorded"] >= recorded_before + 40
    return bool(counters["unattributed"] == 0 and counters["kernelKills"] == counters["recorded"])


def test_kills_during_an_api_server_outage_are_published_afterwards(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    before = recorded(harness, native_node.name)
    create(native_node, space, pod("spool", container("app", STORM)))
    native_node.kubectl("-n", space, "wait", "pod/spool", "--for=condition=Ready", "--timeout=60s")
    with api_server_frozen(native_node.control_plane):
        time.sleep(8)
    eventually(lambda: counted(harness, space) == 40, seconds=120)
    time.sleep(1)
    assert counted(harness, space) == 40
    eventually(lambda: account_is_closed(harness, native_node.name, recorded_before=before))


def test_agent_killed_during_a_storm_counts_exactly(
    native_node: NativeNode, harness: Harness, agent: Agent, space: str
) -> None:
    choose = random.Random(7)
    before = recorded(harness, native_node.name)
    create(native_node, space, pod("storm", container("app", STORM)))
    native_node.kubectl("-n", space, "wait", "pod/storm", "--for=condition=Ready", "--timeout=60s")
    for _ in range(4):
        time.sleep(choose.uniform(0.2, 1.5))
        agent.kill()
        agent.start()
    eventually(lambda: counted(harness, space) == 40, seconds=120)
    time.sleep(1)
    assert counted(harness, space) == 40
    for one in incidents(harness, space):
        assert one["spec"]["container"] == "app"
        assert sum(hour["kills"] for hour in one["status"]["history"]) == one["status"]["count"]
    eventually(lambda: account_is_closed(harness, native_node.name, recorded_before=before))


def test_lost_state_continues_the_count_of_the_published_incident(
    native_node: NativeNode, harness: Harness, agent: Agent, space: str
) -> None:
    script = "while true; do read line < /tmp/go; tail /dev/zero; done"
    create(native_node, space, pod("again", container("app", "mkfifo /tmp/go; " + script)))
    native_node.kubectl("-n", space, "wait", "pod/again", "--for=condition=Ready", "--timeout=60s")

    def kill_one() -> None:
        go = "until [ -p /tmp/go ]; do sleep 0.1; done; echo > /tmp/go"
        native_node.kubectl("-n", space, "exec", "again", "--", "sh", "-c", go)

    for number in (1, 2):
        kill_one()
        eventually(lambda number=number: counted(harness, space) == number)
    before = only_incident(harness, space)
    assert agent.stop() == 0
    agent.forget()
    agent.start()
    kill_one()
    eventually(lambda: counted(harness, space) == 3)
    after = only_incident(harness, space)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["firstSeen"] == before["status"]["firstSeen"]
    assert len(after["status"]["kills"]) == 3
