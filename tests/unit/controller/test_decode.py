"""Objects into records: what decides, and nothing that could break."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.controller.decode import (
    decode_namespace,
    decode_node,
    decode_oomnode,
    decode_policy,
    decode_report,
)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"sysctls": {"kernel.core_pattern": 1}}, "spec.sysctls"),
        ({"sysctls": {"vm.panic_on_oom": 7}}, "spec.sysctls"),
        ({"sysctls": {"vm.panic_on_oom": 1}}, "acknowledge"),
        ({"priority": "high"}, "spec.priority"),
        ({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "spec.nodeSelector"),
        ("text", "spec: must be an object"),
    ],
)
def test_invalid_policy_names_the_field(spec: object, said: str) -> None:
    read = decode_policy({"metadata": {"name": "p", "uid": "u"}, "spec": spec})
    assert read.spec is None
    assert read.invalid is not None
    assert said in read.invalid


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
