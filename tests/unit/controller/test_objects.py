"""OOMNodes, Events and reports: what is to be written, and when."""

from typing import Any

import pytest

from oomkeeper.api import OOMNode
from oomkeeper.api.oomreport import OOMReportStatus
from oomkeeper.controller import oomnodes, podevents
from oomkeeper.controller.records import Namespace
from oomkeeper.controller.reports import next_refresh, report_status
from oomkeeper.controller.retry import Retries
from oomkeeper.controller.summaries import Silence
from oomkeeper.reporting.incident import read_incident
from oomkeeper.reporting.times import format_time

from .makers import DUMPS, entry, node, node_state, report

NOW = 1_800_000_000.0


def incident(
    *,
    node: str = "n",
    namespace: str = "shop",
    name: str = "web-1-app-0a",
    age: float = 60.0,
    count: int = 3,
    pod: bool = True,
) -> Any:
    subject: dict[str, Any] = {"nodeName": node, "cause": "PodLimit"}
    if pod:
        subject |= {
            "pod": {"name": "web-1", "uid": "pod-uid"},
            "container": "app",
            "workload": {"kind": "Deployment", "name": "web"},
        }
    else:
        subject["cgroup"] = "/system.slice/big.service"
    return read_incident(
        {
            "metadata": {"name": name, "namespace": namespace, "uid": "0123456789", "resourceVersion": "7"},
            "spec": subject,
            "status": {
                "cause": "PodLimit",
                "count": count,
                "firstSeen": format_time(NOW - age - 600),
                "lastSeen": format_time(NOW - age),
                "summary": "app was killed",
            },
        }
    )


def test_only_oomnodes_that_differ_are_written() -> None:
    wanted = (entry(DUMPS, 1, "p"),)
    nodes = {name: node(name) for name in ("right", "missing", "wrong", "owned-by-another", "more")}
    states = {
        "right": node_state("right", sysctls=wanted),
        "wrong": node_state("wrong"),
        "owned-by-another": node_state("owned-by-another", sysctls=wanted, owner="earlier"),
        "more": node_state("more", sysctls=wanted, extras=True),
        "left-over": node_state("left-over"),
    }
    plan = oomnodes.plan(
        nodes=nodes,
        states=states,
        desired=dict.fromkeys(nodes, wanted),
        adjustments={},
        witnesses=nodes,
    )
    assert set(plan.apply) == {"missing", "wrong", "owned-by-another", "more"}
    assert [state.name for state in plan.delete] == ["left-over"]


def test_the_manifest_is_an_oomnode_and_says_what_it_should() -> None:
    wanted = (entry(DUMPS, 1, "p"),)
    manifest = oomnodes.manifest(node=node("n"), sysctls=wanted)
    OOMNode.parse(manifest)
    assert oomnodes.says(manifest, sysctls=wanted)
    assert not oomnodes.says(manifest, sysctls=())
    assert oomnodes.up_to_date(None, node=node("n"), sysctls=()) is False


def test_the_event_is_about_the_pod_and_its_container() -> None:
    event = podevents.event_of(incident(), node=node("n"))
    assert event["metadata"]["namespace"] == event["involvedObject"]["namespace"] == "shop"
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "web-1",
        "namespace": "shop",
        "uid": "pod-uid",
        "fieldPath": "spec.containers{app}",
    }
    assert (event["reason"], event["type"], event["count"]) == ("OOMKilled", "Warning", 3)
    assert event["message"] == "app was killed"
    assert event["lastTimestamp"] == format_time(NOW - 60)


def test_the_same_incident_always_has_the_same_event_and_a_new_life_of_it_another() -> None:
    first, again = (
        podevents.event_of(incident(count=count), node=None)["metadata"]["name"] for count in (1, 9)
    )
    assert first == again
    assert len(podevents.event_of(incident(name="x" * 253), node=None)["metadata"]["name"]) <= 253


def test_a_host_process_is_an_event_of_the_node_in_default() -> None:
    event = podevents.event_of(incident(pod=False, namespace="oomkeeper-system"), node=node("n"))
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "uid-n"}


@pytest.mark.parametrize(
    ("age", "count", "told", "due"),
    [
        (60.0, 1, None, True),
        (60.0, 2, 1, True),
        (60.0, 2, 2, False),
        (60.0, 0, None, False),
        (4000.0, 1, None, False),
    ],
)
def test_an_event_is_due_for_each_fresh_kill_that_was_not_told(
    age: float,
    count: int,
    told: int | None,
    due: bool,
) -> None:
    assert podevents.is_due(incident(age=age, count=count), told=told, now=NOW) is due


def test_a_report_takes_nodes_and_namespaces_by_their_labels() -> None:
    nodes = {"n": node("n", pool="a"), "m": node("m", pool="b")}
    namespaces = {
        name: Namespace(name=name, uid=name, version=1, labels={"team": name}) for name in ("shop", "bank")
    }
    incidents = [
        incident(node="n", count=1),
        incident(node="m", count=10),
        incident(node="n", namespace="bank", count=100),
        incident(node="gone", namespace="dropped", count=1000),
    ]

    def kills(**spec: Any) -> int:
        status = report_status(
            report("r", **spec), incidents=incidents, nodes=nodes, states={}, namespaces=namespaces, now=NOW
        )
        OOMReportStatus.parse(status)
        return status["totals"]["kills"]  # type: ignore[no-any-return]

    assert kills() == 1111
    assert kills(nodeSelector={"matchLabels": {"pool": "a"}}) == 101
    assert kills(namespaceSelector={"matchLabels": {"team": "bank"}}) == 100
    assert (
        kills(
            namespaceSelector={"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["bank"]}]}
        )
        == 11
    ), "of a namespace that is gone nothing is known"


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({"n": node_state("n")}, "AllAccounted"),
        ({}, "NodesSilent"),
        ({"n": node_state("n", observed=0)}, "NodesSilent"),
        ({"n": node_state("n", unattributed=1)}, "KillsUnattributed"),
    ],
)
def test_a_report_says_whether_it_is_complete(states: dict[str, Any], reason: str) -> None:
    status = report_status(
        report("r"), incidents=[], nodes={"n": node("n")}, states=states, namespaces={}, now=NOW
    )
    assert status["conditions"][1]["reason"] == reason


def test_an_invalid_report_says_so_and_counts_nothing() -> None:
    status = report_status(
        report("r", invalid="spec.top: no"),
        incidents=[incident()],
        nodes={},
        states={},
        namespaces={},
        now=NOW,
    )
    OOMReportStatus.parse(status)
    assert status["conditions"][0]["reason"] == "InvalidSpec"
    assert "totals" not in status


def test_a_report_is_due_when_new_when_changed_and_after_its_interval() -> None:
    assert next_refresh(report("r")) == 0.0
    fresh = {"observedGeneration": 1, "refreshTime": format_time(NOW)}
    assert next_refresh(report("r", status=fresh, refreshInterval="90s")) == NOW + 90
    assert next_refresh(report("r", status=fresh | {"observedGeneration": 0})) == 0.0
    assert next_refresh(report("r", invalid="no", status={"observedGeneration": 1})) == float("inf")


def test_silence_begins_with_the_wish_that_is_not_answered() -> None:
    silence = Silence()
    waiting = node_state("n", generation=2, observed=1)
    assert silence.seconds("n", state=waiting, now=100.0) == 0
    assert silence.seconds("n", state=waiting, now=170.0) == 70
    assert silence.seconds("n", state=node_state("n", generation=3, observed=1), now=180.0) == 0
    assert silence.seconds("n", state=node_state("n", generation=3, observed=3), now=190.0) == 0
    assert silence.seconds("n", state=None, now=300.0) == 0
    assert silence.seconds("n", state=None, now=310.0) == 10


def test_a_failing_write_is_tried_ever_more_rarely_but_for_ever() -> None:
    retries = Retries()
    now, tried = 0.0, []
    while now < 1000:
        if retries.may("x", now=now):
            tried.append(now)
            retries.failed("x", now=now)
        now += 0.5
    assert tried[:5] == [0.0, 1.0, 3.0, 7.0, 15.0]
    assert tried[-1] - tried[-2] == 64
    assert retries.next() > 1000 - 64
    retries.drop_stale(now=retries.next() - 1)
    assert not retries.may("x", now=now)
    retries.drop_stale(now=retries.next())
    assert retries.may("x", now=now), "nobody tried again what was due: the object is gone"
    assert retries.next() == float("inf")
    retries.failed("x", now=now)
    retries.succeeded("x")
    assert retries.may("x", now=now)
    assert retries.next() == float("inf")


def test_of_the_nodes_that_share_a_kernel_the_first_by_name_publishes_the_hosts_kills() -> None:
    kernels = {"b": "one", "a": "one", "c": "two"}
    assert oomnodes.host_witnesses(["b", "c", "a", "d"], boot_ids=kernels) == {"a", "c", "d"}


def test_an_oomnode_that_says_otherwise_of_the_hosts_kills_is_written_again() -> None:
    state = node_state("n")
    wanted = state.sysctls
    assert oomnodes.up_to_date(state, node=node("n"), sysctls=wanted, host_kills=True)
    assert not oomnodes.up_to_date(state, node=node("n"), sysctls=wanted, host_kills=False)
