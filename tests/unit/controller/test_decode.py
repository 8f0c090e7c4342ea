"""Objects into records: what decides, and nothing that could break."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.controller.cache import ClusterCache
from oomkeeper.controller.decode import (
    decode_container_kill,
    decode_namespace,
    decode_node,
    decode_oomnode,
    decode_policy,
    decode_report,
)
from oomkeeper.controller.kinds import INCIDENT
from oomkeeper.model.times import parse_time


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"sysctls": {"kernel.core_pattern": 1}}, "spec.sysctls"),
        ({"sysctls": {"vm.panic_on_oom": 7}}, "spec.sysctls"),
        ({"sysctls": {"vm.panic_on_oom": 1}}, "acknowledge"),
        ({"priority": "high"}, "spec.priority"),
        ({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "spec.nodeSelector"),
        ("text", "spec: must be an object"),
    ],
)
def test_invalid_policy_names_the_field(spec: object, problem: str) -> None:
    read = decode_policy({"metadata": {"name": "p", "uid": "u"}, "spec": spec})
    assert read.spec is None
    assert read.invalid is not None
    assert problem in read.invalid


def test_unknown_fields_of_a_policy_are_ignored_and_named() -> None:
    spec = {
        "sysctls": {"vm.swappiness": 10},
        "schedule": {"after": "22:00"},
        "rollout": {"maxConcurrent": "10%", "pace": {"slow": True}},
        "oomScoreAdjustments": [{"name": "a", "podSelector": {}, "value": 5, "memoryOomGroup": True}],
    }
    read = decode_policy({"metadata": {"name": "p", "uid": "u"}, "spec": spec})
    assert read.invalid is None
    assert read.spec is not None
    assert read.spec.sysctls == {"vm.swappiness": 10}
    assert read.unknown_fields == (
        "spec.schedule",
        "spec.rollout.pace",
        "spec.oomScoreAdjustments[0].memoryOomGroup",
    )


@pytest.mark.parametrize(
    ("spec", "priority"), [({"priority": 7, "mode": "Warn"}, 7), ({"priority": "x"}, 100), ("text", 100)]
)
def test_priority_of_an_invalid_policy_is_read_if_possible(spec: object, priority: int) -> None:
    read = decode_policy({"metadata": {"name": "p", "uid": "u"}, "spec": spec})
    assert read.spec is None
    assert read.priority == priority


def test_report_without_spec_has_the_defaults() -> None:
    read = decode_report({"metadata": {"name": "r", "uid": "u"}})
    assert read.spec is not None
    assert (read.spec.window, read.spec.refresh_interval, read.spec.top) == ("24h", "1m", 10)


@pytest.mark.parametrize(
    ("labels", "info", "linux"),
    [
        ({"kubernetes.io/os": "linux"}, {}, True),
        ({"kubernetes.io/os": "windows"}, {"operatingSystem": "windows"}, False),
        ({}, {"operatingSystem": "windows"}, False),
        ({}, {"operatingSystem": "linux"}, True),
        ({}, {}, True),
    ],
)
def test_operating_system_of_a_node(labels: dict[str, str], info: dict[str, str], linux: bool) -> None:
    assert (
        decode_node({"metadata": {"name": "n", "labels": labels}, "status": {"nodeInfo": info}}).linux
        is linux
    )


def heartbeat(time: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "n", "uid": "u", "resourceVersion": time[-2:]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": time}],
            "images": [{"names": [time]}],
        },
    }


def test_heartbeat_is_no_change() -> None:
    assert decode_node(heartbeat("10")) == decode_node(heartbeat("20"))


def test_own_status_write_is_no_change() -> None:
    head = {"metadata": {"name": "p", "uid": "u", "generation": 1}, "spec": {}}
    assert decode_policy(head) == decode_policy(head | {"status": {"nodes": {"matched": 1}}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "uid",
                    "labels",
                    "sysctls",
                    "conditions",
                    "type",
                    "status",
                    "kernel",
                    "ownerReferences",
                    "nodeSelector",
                    "matchLabels",
                    "priority",
                    "counters",
                    "resourceVersion",
                    "window",
                    "vm.panic_on_oom",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.fixed_dictionaries({"metadata": JSON, "spec": JSON, "status": JSON}))
def test_any_content_can_be_decoded(obj: dict[str, Any]) -> None:
    for read in (decode_policy, decode_report, decode_node, decode_oomnode, decode_namespace):
        read(obj)


def oomnode_object(**parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": "n", "uid": "u", "resourceVersion": "7"}, **parts}


SYSCTL = {"name": "vm.swappiness", "value": 10, "policy": "p"}


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    read = decode_oomnode(
        oomnode_object(
            spec={"sysctls": [SYSCTL]},
            status={
                "observedGeneration": 3,
                "newField": {"a": 1},
                "sysctls": [{"name": "vm.swappiness", "state": "Postponed", "actual": 60, "new": 1}],
            },
        )
    )
    assert read.malformed is None
    assert read.observed_generation == 3
    assert read.sysctls["vm.swappiness"].actual == 60


@pytest.mark.parametrize(
    "spec",
    [
        {"sysctls": [SYSCTL | {"newField": 1}]},
        {"sysctls": [SYSCTL], "newField": True},
        {"sysctls": [SYSCTL], "oomScoreAdjustments": [{"name": "a"}]},
        {"sysctls": [SYSCTL | {"value": "10"}]},
    ],
)
def test_spec_with_fields_that_the_controller_did_not_write_is_foreign(spec: dict[str, Any]) -> None:
    assert decode_oomnode(oomnode_object(spec=spec)).foreign


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"sysctls": [SYSCTL], "hostKills": True},
        {"sysctls": [SYSCTL | {"mode": "Enforce", "acknowledge": []}], "oomScoreAdjustments": []},
    ],
)
def test_spec_with_defaults_filled_in_is_not_foreign(spec: dict[str, Any]) -> None:
    assert not decode_oomnode(oomnode_object(spec=spec)).foreign


def test_malformed_status_leaves_the_spec_readable_and_is_named() -> None:
    read = decode_oomnode(oomnode_object(spec={"sysctls": [SYSCTL]}, status={"observedGeneration": "three"}))
    assert [sysctl.name for sysctl in read.spec.sysctls] == ["vm.swappiness"]
    assert read.observed_generation == 0
    assert read.malformed is not None
    assert "observedGeneration" in read.malformed


def test_malformed_incident_is_logged_and_does_not_affect_others(caplog: pytest.LogCaptureFixture) -> None:
    cache = ClusterCache()
    for name, count in (("good", 2), ("bad", "many")):
        cache.store(
            INCIDENT,
            {
                "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"},
                "spec": {"nodeName": "n", "cause": "PodLimit"},
                "status": {"count": count},
            },
        )
    assert cache.incidents["shop/good"].count == 2
    assert cache.incidents["shop/bad"].count == 0
    assert cache.incidents["shop/bad"].node == "n"
    assert "malformed object" in caplog.text


def test_last_end_of_a_container_kill_is_not_later_than_its_object() -> None:
    """A node's clock may be ahead."""

    def last_seen(**status: Any) -> float | None:
        fields = [{"manager": "oomkeeper-agent", "subresource": "status", "time": "2026-01-01T10:00:00Z"}]
        metadata = {"name": "k", "namespace": "shop", "uid": "u", "managedFields": fields}
        return decode_container_kill({"metadata": metadata, "spec": {}, "status": status}).last_seen

    assert last_seen(lastSeen="2026-01-01T09:00:00Z") == parse_time("2026-01-01T09:00:00Z")
    assert last_seen(lastSeen="2036-01-01T09:00:00Z") == parse_time("2026-01-01T10:00:00Z")
    assert last_seen() is None
    assert last_seen(lastSeen=7) is None
