"""Nodes whose clock is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oomkeeper.controller.clock_skew import corrected, skewed_nodes
from oomkeeper.controller.decode import decode_node
from oomkeeper.model.times import format_time
from oomkeeper.reporting.incident import Incident, decode_incident
from oomkeeper.reporting.window import kills_since

from .builders import NOW, node

HOUR, DAY = 3600.0, 86400.0


def node_object(*, heartbeat: float, written: float) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "n",
            "uid": "u",
            "managedFields": [
                {"manager": "kubelet", "operation": "Update", "time": format_time(written - 500)},
                {"manager": "other", "subresource": "status", "time": format_time(written + 500)},
                {"manager": "kubelet", "subresource": "status", "time": format_time(written)},
            ],
        },
        "status": {
            "conditions": [
                {"type": "PIDPressure", "status": "False", "lastHeartbeatTime": format_time(heartbeat - 9)},
                {"type": "Ready", "status": "True", "lastHeartbeatTime": format_time(heartbeat)},
            ]
        },
    }


@pytest.mark.parametrize(
    ("offset", "skew"), [(0, 0), (-59, 0), (59, 0), (-3000, -3000), (3601, 3600), (-7 * DAY, -7 * DAY)]
)
def test_skew_is_the_heartbeat_against_the_time_of_its_write(offset: float, skew: float) -> None:
    found = decode_node(node_object(heartbeat=NOW + offset, written=NOW))
    assert found.clock_skew_seconds == skew


def test_skew_is_unknown_without_managed_fields() -> None:
    bare = node_object(heartbeat=NOW - DAY, written=NOW)
    del bare["metadata"]["managedFields"]
    assert decode_node(bare).clock_skew_seconds == 0


def kill(*, at: float, written: float) -> Incident:
    managed = {"manager": "oomkeeper-agent", "subresource": "status", "time": format_time(written)}
    return decode_incident(
        {
            "metadata": {"name": "i", "uid": "u", "managedFields": [managed]},
            "spec": {"nodeName": "n", "cause": "PodLimit", "workload": {"kind": "Job", "name": "j"}},
            "status": {
                "count": 1,
                "firstSeen": format_time(at),
                "lastSeen": format_time(at),
                "kills": [{"id": "1", "time": format_time(at), "pod": "j-1", "podUID": "u1"}],
                "history": [{"hour": format_time(at // HOUR * HOUR), "kills": 1}],
            },
        }
    )


@pytest.mark.parametrize("skew", [-7 * DAY, -3000.0, 5 * HOUR, 3000.0])
def test_kill_of_a_skewed_node_is_counted_now(skew: float) -> None:
    nodes = {"n": replace(node("n"), clock_skew_seconds=int(skew))}
    found = corrected(kill(at=NOW + skew, written=NOW), nodes)
    assert found.last_seen == NOW
    assert found.pods[0].last_seen == NOW
    assert kills_since(found, start=NOW - HOUR, end=NOW) == 1
    assert found.history == ((NOW, 1),)


def test_kill_dated_after_its_write_is_moved_to_the_write() -> None:
    found = corrected(kill(at=NOW + 3650 * DAY, written=NOW), {})
    assert found.last_seen == NOW
    assert kills_since(found, start=NOW - HOUR, end=NOW) == 1
    assert kills_since(found, start=NOW + DAY, end=NOW + 2 * DAY) == 0


def test_kill_of_a_node_with_a_right_clock_stays_as_it_is() -> None:
    incident = kill(at=NOW - 100, written=NOW)
    assert corrected(incident, {"n": node("n")}) is incident


def test_skewed_nodes_are_named_with_their_difference() -> None:
    nodes = {
        name: replace(node(name), clock_skew_seconds=skew)
        for name, skew in (("a", 0), ("b", -3000), ("c", 86400), ("d", 60), ("e", 60))
    }
    assert skewed_nodes(nodes) == (
        "clocks differ from the API server's on b (50 min behind), c (24 h ahead), d (1 min ahead) and 1 more"
        "; "
        "times of their kills are corrected"
    )
    assert skewed_nodes({"a": nodes["a"]}) is None
