"""Incidents into policies, reports and Events, against the real API server; the tests play the agents."""

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
    assert (event["reason"], event["type"], event["count"]) == ("OOMKilled", "Warning", 1)
    assert event["message"] == "web-1-app-0a was killed 1 times"

    harness.kill("web-1-app-0a", node="n", count=7)
    eventually(lambda: harness.status(f"{POLICIES}/of-a")["oom"]["kills"] == 7)
    eventually(lambda: harness.status(f"{REPORTS}/cluster")["totals"]["kills"] == 7)
    # An Event is written at most once a minute.
    eventually(lambda: [event["count"] for event in harness.events()] == [7], seconds=120)
    assert harness.status(f"{REPORTS}/cluster")["totals"]["incidents"] == 1


@pytest.mark.usefixtures("controller")
def test_kubectl_describe_shows_the_kill_of_a_pod(harness: Harness) -> None:
    harness.node("n")
    harness.plane.kubectl(
        "create",
        "-f",
        "-",
        input="""
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "eater", "namespace": "default"},
         "spec": {"nodeName": "n", "automountServiceAccountToken": false,
                  "containers": [{"name": "app", "image": "none"}]}}""",
    )
    uid = harness.get("/api/v1/namespaces/default/pods/eater")["metadata"]["uid"]
    incident = harness.kill("eater-app-1b", node="n", pod="eater")
    harness.delete(f"{INCIDENTS}/eater-app-1b")
    kills = [kill | {"podUID": uid} for kill in incident["status"]["kills"]]
    head = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMIncident",
        "metadata": {"name": "eater-app-2b", "namespace": "default"},
    }
    harness.apply(f"{INCIDENTS}/eater-app-2b", head | {"spec": incident["spec"]})
    harness.apply(
        f"{INCIDENTS}/eater-app-2b/status", head | {"status": incident["status"] | {"kills": kills}}
    )
    eventually(lambda: "OOMKilled" in harness.plane.kubectl("describe", "pod", "eater"))
    harness.plane.kubectl("delete", "pod", "eater", "--force", "--grace-period=0")


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
