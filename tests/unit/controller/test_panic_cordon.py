"""Cordons of nodes that panicked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oomkeeper.api import InvalidObjectError
from oomkeeper.api.oompolicy import OOMPolicySpec
from oomkeeper.controller.cache import ClusterCache
from oomkeeper.controller.decode import decode_node
from oomkeeper.controller.kinds import NODE, OOM_NODE
from oomkeeper.controller.objects import Node, Policy
from oomkeeper.controller.panic_cordon import NodeCordon, cordons, manifest
from oomkeeper.model.times import format_time
from oomkeeper.resources.oompolicy import PanicBreakerStatus

from .builders import NOW, node, oomnode, policy

SOAK = 600
PANIC = NOW - 100


def rule(name: str = "p", *, since: float = NOW - 7200, tripped: bool = False, **more: Any) -> Policy:
    made = policy(
        name,
        sysctls={"vm.panic_on_oom": 1},
        rollout={"soakSeconds": more.pop("soak", SOAK)},
        panicSafety={"acknowledge": ["NodePanic", "KubeletConflict"], "cordon": True},
        **more,
    )
    breaker = PanicBreakerStatus(generation=1, tripped=tripped, counted_from=format_time(since))
    return replace(made, breaker=breaker)


def decide(
    *policies: Policy, panics: tuple[float, ...] = (PANIC,), now: float = NOW, **state: Any
) -> NodeCordon | None:
    made = replace(node("n"), **{"ready_since": PANIC + 50, **state})
    cache = ClusterCache()
    cache._records[NODE.name]["n"] = made
    cache._records[OOM_NODE.name]["n"] = replace(oomnode("n"), recent_panics=panics)
    found = list(cordons(cache, policies=policies, now=now))
    assert len(found) < 2
    return found[0] if found else None


NOTE = f"p {format_time(PANIC)}"
OURS: dict[str, Any] = {"unschedulable": True, "cordoned_by_us": True, "cordon_note": NOTE}


def test_node_that_panicked_is_cordoned_once() -> None:
    made = decide(rule())
    assert made is not None
    assert (made.unschedulable, made.note) == (True, NOTE)
    assert made.event is not None
    assert made.event.reason == "NodeCordoned"
    assert manifest(made)["spec"] == {"unschedulable": True}
    assert decide(rule(), **OURS) is None
    assert decide(rule(), cordon_note=NOTE) is None, "a person has uncordoned it"


@pytest.mark.parametrize(
    ("after_ready", "kept"), [(0, True), (SOAK - 1, True), (SOAK, False), (SOAK + 1, False)]
)
def test_node_is_uncordoned_when_it_was_ready_for_the_soak(after_ready: float, kept: bool) -> None:
    made = decide(rule(), now=PANIC + 50 + after_ready, **OURS)
    if kept:
        assert made is None
        return
    assert made is not None
    assert (made.unschedulable, made.note) == (False, NOTE)
    assert "spec" not in manifest(made), "what the controller does not apply it releases"


def test_node_that_is_not_ready_stays_cordoned() -> None:
    assert decide(rule(), now=NOW + 10 * SOAK, **{**OURS, "ready": False}) is None
    assert decide(rule(), now=NOW + 10 * SOAK, **{**OURS, "ready_since": NOW + 10 * SOAK - 1}) is None


def test_cordon_of_a_person_is_only_noted_and_never_removed() -> None:
    made = decide(rule(), unschedulable=True)
    assert made is not None
    assert (made.unschedulable, made.note, made.event) == (False, NOTE, None)
    assert "spec" not in manifest(made)
    assert decide(rule(), unschedulable=True, cordon_note=NOTE, now=NOW + 10 * SOAK) is None


def test_panic_whose_soak_is_over_is_only_noted() -> None:
    made = decide(rule(), now=PANIC + 50 + SOAK)
    assert made is not None
    assert (made.unschedulable, made.note, made.event) == (False, NOTE, None)


def test_second_panic_during_the_cordon_is_noted_and_prolongs_it() -> None:
    later = PANIC + 200
    made = decide(rule(), panics=(PANIC, later), now=later + 10, **{**OURS, "ready_since": later + 5})
    assert made is not None
    assert (made.unschedulable, made.note) == (True, f"p {format_time(later)}")
    assert made.event is None


def test_cordon_ends_with_the_policy_that_asked_for_it() -> None:
    made = decide(**OURS)
    assert made is not None
    assert not made.unschedulable
    assert decide(rule(nodeSelector={"matchLabels": {"other": "yes"}}), **OURS) is not None


@pytest.mark.parametrize(
    "other",
    [
        rule(since=PANIC + 1),
        rule(nodeSelector={"matchLabels": {"other": "yes"}}),
        rule(mode="Audit"),
        replace(rule(), breaker=None),
        policy("p", sysctls={"vm.swappiness": 1}),
    ],
)
def test_other_policies_and_earlier_panics_cordon_nothing(other: Policy) -> None:
    assert decide(other) is None


def test_tripped_breaker_still_cordons() -> None:
    assert decide(rule(tripped=True)) is not None


def test_time_from_a_wrong_clock_cordons_no_longer_than_the_soak() -> None:
    ahead = NOW + 10**6
    note = f"p {format_time(ahead)}"
    state = {**OURS, "cordon_note": note, "ready_since": NOW}
    assert decide(rule(), panics=(ahead,), now=NOW + 10, **state) is None
    made = decide(rule(), panics=(ahead,), now=NOW + SOAK + 1, **state)
    assert made is not None
    assert not made.unschedulable


def test_cordon_needs_a_soak() -> None:
    with pytest.raises(InvalidObjectError, match=r"write rollout\.soakSeconds"):
        OOMPolicySpec.parse({"panicSafety": {"cordon": True}})


def managed(manager: str, operation: str, *, field: str = "f:unschedulable") -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {field: {}}}}


@pytest.mark.parametrize(
    ("fields", "ours"),
    [
        ([managed("oomkeeper-controller", "Apply")], True),
        ([managed("kubectl-cordon", "Update"), managed("oomkeeper-controller", "Apply")], True),
        ([managed("kubectl-cordon", "Update")], False),
        ([managed("oomkeeper-controller", "Update")], False),
        ([managed("oomkeeper-controller", "Apply", field="f:taints")], False),
        ([{"manager": "oomkeeper-controller", "operation": "Apply"}], False),
        (None, False),
        ("odd", False),
    ],
)
def test_ownership_is_read_from_the_managed_fields(fields: Any, ours: bool) -> None:
    obj: dict[str, Any] = {
        "metadata": {
            "name": "n",
            "uid": "u",
            "managedFields": fields,
            "annotations": {"oomkeeper.dev/panic-cordon": NOTE},
        },
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": format_time(PANIC + 50)}]
        },
    }
    found: Node = decode_node(obj)
    assert (found.unschedulable, found.cordoned_by_us) == (True, ours)
    assert (found.cordon_note, found.ready_since) == (NOTE, PANIC + 50)
    obj["spec"] = {}
    assert not decode_node(obj).cordoned_by_us
