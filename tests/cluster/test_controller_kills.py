"""Incidents into policies, reports and Events, against the real API server; the tests play the agents."""

import urllib.error
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.waiting import eventually

from .controller_harness import OOM, POLICIES, REPORTS, Controller, Harness, controller, harness

__all__ = ["controller", "harness"]

pytestmark = pytest.mark.cluster

DUMPS = "vm.oom_dump_tasks"
INCIDENTS = f"{OOM}/namespaces/default/oomincidents"


@pytest.mark.usefixtures("controller")
def test_kill_appears_in_policy_report_and_pod_event(harness: Harness) -> None:
    harness.node("n", pool="a")
    harness.node("other", pool="b")
    for pool in ("a", "b"):
        harness.policy(f"of-{pool}", nodeSelector={"matchLabels": {"pool": pool}}, sysctls={DUMPS: 1})
    harness.report("cluster", refreshInterval="1h")
    eventually(lambda: harness.status(f"{REPORTS}/cluster")["totals"]["kills"] == 0)

    harness.kill("web-1-app-0a", node="n")
    eventually(lambda: harness.status(f"{POLICIES}/of-a")["oom"]["kills"] == 1)
    summary = harness.status(f"{POLICIES}/of-a")["oom"]
    assert summary["byCause"] == [{"cause": "PodLimit", "kills": 1}]
    assert summary["topWorkloads"] == [
        {"namespace": "default", "kind": "Deployment", "name": "web", "kills": 1}
    ]
    assert summary["lastKill"]["incident"] == "web-1-app-0a"
    eventually(lambda: harness.status(f"{POLICIES}/of-b")["oom"]["kills"] == 0)

    # The interval is an hour: it was the kill that refreshed it.
    eventually(lambda: harness.status(f"{REPORTS}/cluster")["totals"]["kills"] == 1)
    report = harness.status(f"{REPORTS}/cluster")
    assert report["byWorkload"] == [
        {
            "namespace": "default",
            "kind": "Deployment",
            "name": "web",
            "kills": 1,
            "cause": "PodLimit",
            "limitBytes": 41943040,
        }
    ]
    assert report["advice"][0]["remedy"] == "FitLimit"
    assert sum(bucket["kills"] for bucket in report["buckets"]) == 1

    (event,) = eventually(harness.events)
    assert event["involvedObject"]["kind"] == "Pod"
    assert event["involvedObject"]["name"] == "web-1"
    assert event["involvedObject"]["uid"] == "uid-of-web-1"
    assert (event["reason"], event["type"], event["count"]) == ("OOMPodLimit", "Warning", 1)
    assert event["message"] == "web-1-app-0a was killed 1 times"

    harness.kill("web-1-app-0a", node="n", count=7)
    eventually(lambda: harness.status(f"{POLICIES}/of-a")["oom"]["kills"] == 7)
    eventually(lambda: harness.status(f"{REPORTS}/cluster")["totals"]["kills"] == 7)
    # An Event is written at most once a minute.
    eventually(lambda: [event["count"] for event in harness.events()] == [7], seconds=120)
    assert harness.status(f"{REPORTS}/cluster")["totals"]["incidents"] == 1


EATER = {
    "metadata": {"labels": {"app": "eater"}},
    "spec": {
        "nodeName": "n",
        "automountServiceAccountToken": False,
        "initContainers": [{"name": "app", "image": "none"}],
        "containers": [{"name": "main", "image": "none"}],
    },
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "eater"}}, "template": EATER},
}


@pytest.fixture
def uids(harness: Harness) -> Iterator[dict[str, str]]:
    """Return the uids of a Deployment and of a pod, which both exist."""
    harness.node("n")
    pods, deployments = "/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/deployments"
    pod = EATER | {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "eater"}}
    yield {
        "Pod": harness.request("POST", pods, pod)["metadata"]["uid"],
        "Deployment": harness.request("POST", deployments, DEPLOYMENT)["metadata"]["uid"],
    }
    harness.delete(f"{deployments}/web")
    harness.delete(f"{pods}/eater?gracePeriodSeconds=0")


@pytest.mark.usefixtures("controller")
def test_kubectl_describe_shows_the_kill_of_a_pod_and_its_workload(
    harness: Harness, uids: dict[str, str]
) -> None:
    harness.kill(
        "eater-app-1b",
        node="n",
        count=3,
        pod="eater",
        pod_uid=uids["Pod"],
        workload_uid=uids["Deployment"],
        container_kind="InitContainer",
        survived=True,
    )
    sentence = "eater-app-1b was killed 3 times, and the container kept running."

    def described() -> bool:
        pod = harness.plane.kubectl("describe", "pod", "eater")
        workload = harness.plane.kubectl("describe", "deployment", "web")
        return all("(x3 over" in text and sentence in text for text in (pod, workload))

    eventually(described)
    table = harness.plane.kubectl("get", "events")
    assert table.count("OOMPodLimit") == 2
    assert "pod/eater" in table
    assert "deployment/web" in table
    # The same objects, as the newer API has them.
    events = harness.list("/apis/events.k8s.io/v1/namespaces/default/events")
    found = {one["regarding"]["kind"]: one for one in events if one["reportingController"] == "oomkeeper"}
    assert found["Pod"]["regarding"]["fieldPath"] == "spec.initContainers{app}"
    for kind, uid in uids.items():
        assert found[kind]["regarding"]["uid"] == uid
        assert found[kind]["series"]["count"] == 3
        assert (found[kind]["action"], found[kind]["note"]) == ("OOMKill", sentence)
        assert found[kind]["related"]["name"] == "eater-app-1b"


def test_newer_events_api_keeps_the_note_of_a_series(harness: Harness) -> None:
    """Why Events are written through core/v1: docs/decisions/115."""
    path = "/apis/events.k8s.io/v1/namespaces/default/events/note"
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "note"},
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "web-1", "namespace": "default"},
        "eventTime": "2026-01-01T10:00:00.000000Z",
        "type": "Warning",
        "reason": "OOMPodLimit",
        "action": "OOMKill",
        "reportingController": "tests",
        "reportingInstance": "tests",
        "note": "first",
    }
    harness.apply(path, event)
    with pytest.raises(urllib.error.HTTPError) as refused:
        harness.apply(path, event | {"note": "second"})
    assert refused.value.code == 422
    assert "field is immutable" in refused.value.read().decode()


@pytest.mark.usefixtures("controller")
def test_kill_of_a_host_process_is_an_event_of_the_node(harness: Harness) -> None:
    uid = harness.node("n")["metadata"]["uid"]
    harness.kill("host-big-0c", node="n", pod=None, cause="NodeMemory")
    (event,) = eventually(harness.events)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": uid}


@pytest.mark.usefixtures("controller")
def test_report_follows_its_selectors_and_names_incomplete_nodes(harness: Harness) -> None:
    harness.node("n", pool="a")
    harness.node("m", pool="b")
    harness.report("all", refreshInterval="10s")
    harness.report("of-b", nodeSelector={"matchLabels": {"pool": "b"}})
    harness.report(
        "nowhere", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    )
    harness.report("here", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "default"}})
    harness.kill("one", node="n", count=3)
    harness.kill("two", node="m", count=2, cause="NodeMemory")
    for name, kills in (("all", 5), ("of-b", 2), ("nowhere", 0), ("here", 5)):
        eventually(
            lambda name=name, kills=kills: (
                harness.status(  # type: ignore[misc]
                    f"{REPORTS}/{name}"
                )["totals"]["kills"]
                == kills
            )
        )
    # The controller follows nodes and incidents apart: a kill may be counted before its node is known.
    eventually(lambda: harness.conditions(f"{REPORTS}/all")["Complete"] == ("False", "NodesSilent"))

    harness.answer("n", unattributed=4)
    harness.answer("m")
    eventually(lambda: harness.conditions(f"{REPORTS}/all")["Complete"] == ("False", "KillsUnattributed"))
    assert harness.status(f"{REPORTS}/all")["incompleteNodes"] == [
        {"name": "n", "unattributed": 4, "lostLogRecords": 0}
    ]


@pytest.mark.usefixtures("controller")
def test_incident_expires_a_week_after_its_last_kill(harness: Harness, controller: Controller) -> None:
    controller.kill()
    harness.kill("eight-days", node="n", age=timedelta(days=8))
    harness.kill("six-days", node="n", age=timedelta(days=6))
    controller.start()
    eventually(lambda: harness.find(f"{INCIDENTS}/eight-days") is None)
    assert harness.find(f"{INCIDENTS}/six-days") is not None
    assert harness.events() == []  # Events are for what happens now
