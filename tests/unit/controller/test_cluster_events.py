"""Events about OOMNodes and OOMPolicies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from oomkeeper.controller.event_objects import ClusterEvent, Subject, event_name, event_object
from oomkeeper.controller.node_events import node_events
from oomkeeper.controller.objects import OOMNodeState
from oomkeeper.controller.policy_events import conflict_event
from oomkeeper.resources.meta import Condition
from oomkeeper.resources.oompolicy import OOMPolicyStatus

from .builders import DUMPS, NOW, entry, observed, oomnode, policy


def state(**sysctl: Any) -> OOMNodeState:
    report = changed(observed(1, desired=1), **sysctl)
    return oomnode("n", sysctls=(entry(DUMPS, 1, "p"),), reports={DUMPS: report})


def reasons(before: OOMNodeState, after: OOMNodeState) -> list[tuple[str, str]]:
    return [(event.reason, event.message) for event in node_events(before, after)]


def test_corrected_drift_names_the_suspected_writer() -> None:
    after = state(drift_count=3, suspected_writer="kubelet")
    (event,) = node_events(state(drift_count=2), after)
    assert (event.reason, event.type, event.times) == ("SysctlDrifted", "Warning", 3)
    assert event.message == f"{DUMPS} was overwritten 3 times, probably by kubelet, and corrected to 1"


def test_unknown_writer_is_not_named() -> None:
    (event,) = node_events(state(), state(drift_count=1, suspected_writer="unknown"))
    assert event.message == f"{DUMPS} was overwritten once and corrected to 1"


def test_drift_that_is_not_corrected_states_the_value() -> None:
    after = state(drift_count=1, state="Drifted", actual=0)
    assert reasons(state(), after) == [("SysctlDrifted", f"{DUMPS} was overwritten once; it is 0, not 1")]


def test_refusal_is_reported_once_per_reason() -> None:
    refused = state(state="Refused", reason="ProtectKernelDefaults", message="kubelet would not start")
    expected = f"{DUMPS} was not set to 1: ProtectKernelDefaults: kubelet would not start"
    assert reasons(state(), refused) == [("SysctlRefused", expected)]
    assert reasons(refused, refused) == []
    assert len(reasons(refused, state(state="Refused", reason="Other"))) == 1


@pytest.mark.parametrize(
    ("sysctl", "on_release", "message"),
    [
        ({"original": 0}, "Restore", f"{DUMPS} is no longer set by a policy; 0 was restored"),
        ({"original": 0}, "Keep", f"{DUMPS} is no longer set by a policy; its value stays"),
        ({}, "Restore", f"{DUMPS} is no longer set by a policy; its value stays"),
    ],
)
def test_release_states_what_became_of_the_value(
    sysctl: dict[str, Any], on_release: str, message: str
) -> None:
    before = state(**sysctl)
    wanted = changed(before.spec.sysctls[0], on_release=on_release)
    before = replace(before, spec=changed(before.spec, sysctls=(wanted,)))
    assert reasons(before, oomnode("n")) == [("SysctlReleased", message)]


def test_unchanged_state_gives_no_event() -> None:
    assert reasons(state(drift_count=5), state(drift_count=5)) == []


def conflicted(message: str | None) -> OOMPolicyStatus:
    status = "False" if message is None else "True"
    condition = Condition(
        type="Conflicted", status=status, reason="R", message=message or "none", last_transition_time="t"
    )
    return OOMPolicyStatus(conditions=(condition,))


def test_new_conflict_is_an_event_of_the_policy() -> None:
    event = conflict_event(policy("p", status=conflicted(None)), conflicted("with q"))
    assert event is not None
    assert (event.subject.kind, event.reason, event.message) == ("OOMPolicy", "PolicyConflicted", "with q")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (conflicted("with q"), conflicted("with q")),
        (conflicted("with q"), conflicted(None)),
        (None, conflicted("x")),
    ],
)
def test_known_or_ended_conflict_gives_no_event(
    before: OOMPolicyStatus | None, after: OOMPolicyStatus
) -> None:
    assert conflict_event(policy("p", status=before), after) is None


def test_event_of_a_cluster_scoped_object_is_in_default_with_a_stable_name() -> None:
    event = ClusterEvent(
        Subject("OOMNode", "x" * 253, "0123456789"), "a-drift", "Warning", "R", "m" * 2000, 4
    )
    body = event_object(event, now=NOW)
    assert body["metadata"]["namespace"] == "default"
    assert len(body["metadata"]["name"]) == 253
    assert body["metadata"]["name"] == event_name(event._replace(message="other", times=9))
    assert (len(body["message"]), body["count"]) == (1024, 4)
    assert body["involvedObject"]["kind"] == "OOMNode"


@pytest.mark.parametrize(("times", "first"), [(1, "2027-01-15T08:00:00Z"), (3, None)])
def test_age_of_a_single_event_is_known_to_kubectl(times: int, first: str | None) -> None:
    subject = Subject("OOMPolicy", "p", "u")
    found = event_object(ClusterEvent(subject, "s", "Normal", "R", "m", times), now=NOW)
    assert found.get("firstTimestamp") == first
    assert found["lastTimestamp"] == "2027-01-15T08:00:00Z"
