"""Incidents into policies, reports and Events, against the real API server; the tests play the agents."""

from datetime import timedelta

import pytest

from .controller_bed import OOM, POLICIES, REPORTS, Bed, Controller, bed, controller, eventually

__all__ = ["bed", "controller"]

pytestmark = pytest.mark.cluster

DUMPS = "vm.oom_dump_tasks"
INCIDENTS = f"{OOM}/namespaces/default/oomincidents"


@pytest.mark.usefixtures("controller")
def test_a_kill_shows_in_the_policy_the_report_and_on_the_pod_and_counts_up(bed: Bed) -> None:
    bed.node("n", pool="a")
    bed.node("other", pool="b")
    for pool in ("a", "b"):
        bed.policy(f"of-{pool}", nodeSelector={"matchLabels": {"pool": pool}}, sysctls={DUMPS: 1})
    bed.report("cluster", refreshInterval="1h")
    eventually(lambda: bed.status(f"{REPORTS}/cluster")["totals"]["kills"] == 0)

    bed.kill("web-1-app-0a", node="n")
    eventually(lambda: bed.status(f"{POLICIES}/of-a")["oom"]["kills"] == 1)
    summary = bed.status(f"{POLICIES}/of-a")["oom"]
    assert summary["byCause"] == [{"cause": "PodLimit", "kills": 1}]
    assert summary["topWorkloads"] == [
        {"namespace": "default", "kind": "Deployment", "name": "web", "kills": 1}
    ]
    assert summary["lastKill"]["incident"] == "web-1-app-0a"
    assert bed.status(f"{POLICIES}/of-b")["oom"]["kills"] == 0

    # The interval is an hour: it was the kill that refreshed it.
    eventually(lambda: bed.status(f"{REPORTS}/cluster")["totals"]["kills"] == 1)
    report = bed.status(f"{REPORTS}/cluster")
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

    (event,) = eventually(bed.events)
    assert event["involvedObject"]["kind"] == "Pod"
    assert event["involvedObject"]["name"] == "web-1"
    assert event["involvedObject"]["uid"] == "uid-of-web-1"
    assert (event["reason"], event["type"], event["count"]) == ("OOMKilled", "Warning", 1)
    assert event["message"] == "web-1-app-0a was killed 1 times"

    bed.kill("web-1-app-0a", node="n", count=7)
    eventually(lambda: bed.status(f"{POLICIES}/of-a")["oom"]["kills"] == 7)
    eventually(lambda: bed.status(f"{REPORTS}/cluster")["totals"]["kills"] == 7)
    eventually(lambda: [event["count"] for event in bed.events()] == [7])
    assert bed.status(f"{REPORTS}/cluster")["totals"]["incidents"] == 1


@pytest.mark.usefixtures("controller")
def test_kubectl_describe_shows_the_kill_of_a_pod(bed: Bed) -> None:
    bed.node("n")
    bed.plane.kubectl(
        "create",
        "-f",
        "-",
        input="""
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "eater", "namespace": "default"},
         "spec": {"nodeName": "n", "automountServiceAccountToken": false,
                  "containers": [{"name": "app", "image": "none"}]}}""",
    )
    uid = bed.get("/api/v1/namespaces/default/pods/eater")["metadata"]["uid"]
    incident = bed.kill("eater-app-1b", node="n", pod="eater")
    bed.delete(f"{INCIDENTS}/eater-app-1b")
    spec = incident["spec"] | {"pod": {"name": "eater", "uid": uid}}
    head = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMIncident",
        "metadata": {"name": "eater-app-2b", "namespace": "default"},
    }
    bed.apply(f"{INCIDENTS}/eater-app-2b", head | {"spec": spec})
    bed.apply(f"{INCIDENTS}/eater-app-2b/status", head | {"status": incident["status"]})
    eventually(lambda: "OOMKilled" in bed.plane.kubectl("describe", "pod", "eater"))
    bed.plane.kubectl("delete", "pod", "eater", "--force", "--grace-period=0")


@pytest.mark.usefixtures("controller")
def test_a_host_process_is_told_of_its_node(bed: Bed) -> None:
    uid = bed.node("n")["metadata"]["uid"]
    bed.kill("host-big-0c", node="n", pod=None, cause="NodeMemory")
    (event,) = eventually(bed.events)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": uid}


@pytest.mark.usefixtures("controller")
def test_a_report_takes_in_what_its_selectors_say_and_names_nodes_with_gaps(bed: Bed) -> None:
    bed.node("n", pool="a")
    bed.node("m", pool="b")
    bed.report("all", refreshInterval="10s")
    bed.report("of-b", nodeSelector={"matchLabels": {"pool": "b"}})
    bed.report("nowhere", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}})
    bed.report("here", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "default"}})
    bed.kill("one", node="n", count=3)
    bed.kill("two", node="m", count=2, cause="NodeMemory")
    for name, kills in (("all", 5), ("of-b", 2), ("nowhere", 0), ("here", 5)):
        eventually(
            lambda name=name, kills=kills: (
                bed.status(  # type: ignore[misc]
                    f"{REPORTS}/{name}"
                )["totals"]["kills"]
                == kills
            )
        )
    assert bed.conditions(f"{REPORTS}/all")["Complete"] == ("False", "NodesSilent")

    bed.answer("n", unattributed=4)
    bed.answer("m")
    eventually(lambda: bed.conditions(f"{REPORTS}/all")["Complete"] == ("False", "KillsUnattributed"))
    assert bed.status(f"{REPORTS}/all")["incompleteNodes"] == [
        {"name": "n", "unattributed": 4, "lostLogRecords": 0}
    ]


@pytest.mark.usefixtures("controller")
def test_an_incident_leaves_a_week_after_its_last_kill(bed: Bed, controller: Controller) -> None:
    controller.kill()
    bed.kill("eight-days", node="n", age=timedelta(days=8))
    bed.kill("six-days", node="n", age=timedelta(days=6))
    controller.start()
    eventually(lambda: bed.find(f"{INCIDENTS}/eight-days") is None)
    assert bed.find(f"{INCIDENTS}/six-days") is not None
    assert bed.events() == []  # whoever reads Events now looks for what happened now
