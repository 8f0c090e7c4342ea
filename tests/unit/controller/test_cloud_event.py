"""The CloudEvent about an incident."""

import json
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from oomkeeper.controller.cloud_event import TYPE, cloud_event
from oomkeeper.model.times import format_time_micro
from oomkeeper.reporting.incident import Incident, LastKill, PodKills
from oomkeeper.resources.oomincident import WorkloadIdentity

from .builders import NOW, incident


def full(*, comm: str = "java") -> Incident:
    last = LastKill(comm, 4711, 133169152, 134217728, True)
    return replace(
        incident(count=7),
        notified=4,
        workload_identity=WorkloadIdentity(api_version="apps/v1", uid="web-uid"),
        advice=tuple(("FitLimit", f"remedy {number}") for number in range(8)),
        limit_bytes=134217728,
        pods=(PodKills("web-1", "uid-1", 3, NOW - 700, NOW - 60, last),),
    )


def test_event_has_the_attributes_of_cloudevents() -> None:
    found = cloud_event(full(), cluster="https://prod.example.com/")
    attributes = {key: value for key, value in found.items() if key != "data"}
    assert attributes == {
        "specversion": "1.0",
        "id": "0123456789-7",
        "source": (
            "https://prod.example.com/apis/oomkeeper.dev/v1alpha1/namespaces/shop/oomincidents/web-1-app-0a"
        ),
        "type": TYPE,
        "subject": "shop/Deployment/web",
        "time": format_time_micro(NOW - 60),
        "datacontenttype": "application/json",
    }


def test_data_tells_what_was_killed_and_what_to_do() -> None:
    data = cloud_event(full(), cluster="/")["data"]
    assert data["workload"] == {"namespace": "shop", "kind": "Deployment", "name": "web", "uid": "web-uid"}
    assert (data["kills"], data["newKills"]) == (7, 3)
    assert (data["cause"], data["limitBytes"], data["summary"]) == ("PodLimit", 134217728, "app was killed")
    assert [one["message"] for one in data["advice"]] == ["remedy 0", "remedy 1", "remedy 2"]
    assert data["pods"] == [
        {
            "name": "web-1",
            "uid": "uid-1",
            "lastSeen": format_time_micro(NOW - 60),
            "victim": "java",
            "pid": 4711,
            "residentBytes": 133169152,
            "containerSurvived": True,
        }
    ]


def test_id_changes_with_the_number_of_kills_alone() -> None:
    ids = [cloud_event(replace(full(), count=count), cluster="/")["id"] for count in (7, 7, 8)]
    assert ids[0] == ids[1] != ids[2]


def test_event_of_a_host_process_is_about_the_node() -> None:
    found = cloud_event(incident(pod=False, namespace="oomkeeper-system"), cluster="/")
    assert found["subject"] == "Node/n"
    assert found["data"]["cgroup"] == "/system.slice/big.service"
    assert "workload" not in found["data"]


@pytest.mark.parametrize("cluster", ["/", "https://prod.example.com", "urn:cluster:prod"])
def test_source_is_a_uri_reference(cluster: str) -> None:
    source = cloud_event(replace(full(), namespace="a b", name="ü"), cluster=cluster)["source"]
    assert source.isascii()
    assert " " not in source
    assert urlsplit(source).path.endswith("/oomincidents/%C3%BC")


def test_names_that_processes_chose_are_escaped() -> None:
    text = json.dumps(cloud_event(full(comm="\x1b[2J\u202e"), cluster="/"), ensure_ascii=False)
    assert text.isprintable()
    assert "\\\\x1b[2J\\\\u202e" in text
