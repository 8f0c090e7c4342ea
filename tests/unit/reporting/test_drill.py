"""The drill's pods and how each link is recognised."""

from __future__ import annotations

from typing import Any

import pytest

from oomkeeper.reporting.drill import (
    LEVELS,
    Link,
    broken,
    conclusion,
    drill_pod,
    ended,
    incident_of,
    kills_in,
    own_event,
    started,
    waiting_reason,
)

from .incident_samples import POD_UID, incident

Json = dict[str, Any]


@pytest.mark.parametrize("level", LEVELS)
def test_pods_need_no_rights_and_cannot_harm_a_node(level: str) -> None:
    spec = drill_pod(level, namespace="d", image="i", node=None)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] <= 900
    limited = [one for one in (spec, *spec["containers"]) if one.get("resources")]
    assert limited[0]["resources"]["limits"]["memory"] == "32Mi"
    for container in spec["containers"]:
        security = container["securityContext"]
        assert security["runAsNonRoot"]
        assert security["capabilities"] == {"drop": ["ALL"]}
    script = spec["containers"][0]["command"][2]
    assert script.index("panic_on_oom") < script.index("/dev/zero")
    assert "head -c 268435456" in script


def pod(**state: Any) -> Json:
    return {"status": {"containerStatuses": [{"name": "idle"}, {"name": "eater", "state": state}]}}


def test_states_of_the_pod() -> None:
    waiting = pod(waiting={"reason": "ErrImagePull", "message": "no such image"})
    assert not started(waiting)
    assert waiting_reason(waiting) == "ErrImagePull: no such image"
    assert started(pod(running={"startedAt": "x"}))
    assert ended(pod(terminated={"exitCode": 137})) == {"exitCode": 137}
    assert ended(pod(running={"startedAt": "x"})) is None
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}
    assert waiting_reason({"status": {"conditions": [unscheduled]}}) == "0/1 nodes"


def test_incident_event_and_metric_are_those_of_the_pod() -> None:
    made = incident()
    assert incident_of([incident(workload=None), made], uid=POD_UID) == made
    assert incident_of([made], uid="other") is None
    kubelet = {"reportingComponent": "kubelet", "involvedObject": {"uid": "u"}}
    ours = {"reportingComponent": "oomkeeper", "involvedObject": {"uid": "u"}}
    assert own_event([kubelet, ours], uid="u") == ours
    assert own_event([ours], uid="v") is None
    metrics = (
        'oomkeeper_oom_kills_total{cause="ContainerLimit",namespace="d",workload="x"} 2.0\n'
        'oomkeeper_oom_kills_total{cause="ContainerLimit",namespace="other"} 5.0\n'
    )
    assert kills_in(metrics, namespace="d") == 2


def test_first_failure_of_each_level_is_the_broken_link() -> None:
    links = [
        Link("a", "Pod", "Passed", ""),
        Link("a", "Event", "Failed", "none"),
        Link("b", "Alert", "Skipped", ""),
    ]
    assert [one.name for one in broken(links)] == ["Event"]
    assert [*conclusion(links)] == ["Broken: a: Event: none"]
    assert [*conclusion(links[2:])] == ["Every link that was checked works (0 checked, 1 skipped)."]
