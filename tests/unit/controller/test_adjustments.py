"""oom_score_adj entries: which a node is given, in which order, and what a policy's status makes of the
answers."""

from __future__ import annotations

from typing import Any

import pytest

from oomkeeper.api.oomnode import OOMNode
from oomkeeper.api.oompolicy import OOMPolicyStatus
from oomkeeper.controller import oomnodes
from oomkeeper.controller.adjustments import MAX_ENTRIES, summed
from oomkeeper.controller.nodestates import NodeOutcome, outcome
from oomkeeper.controller.policystatus import Facts, policy_status
from oomkeeper.controller.records import AdjustmentReport, NodeState, Policy
from oomkeeper.controller.resolution import Resolution, resolve

from .makers import adjusted, node, node_state, policy

OOM = {"window": "24h", "kills": 0, "byCause": [], "topWorkloads": []}


def entries(*names: str, value: int = 800) -> list[dict[str, Any]]:
    return [{"name": name, "podSelector": {}, "value": value} for name in names]


def settle(*policies: Policy) -> Resolution:
    return resolve(policies=policies, nodes=[node("n")], boot_ids={})


def order(*policies: Policy) -> list[str]:
    return [f"{entry['policy']}/{entry['name']}" for entry in settle(*policies).adjustments["n"]]


def test_a_node_is_given_the_entries_by_standing_and_as_their_policy_has_them() -> None:
    low = policy("low", priority=1, oomScoreAdjustments=entries("b", "a"))
    high = policy("high", priority=2, oomScoreAdjustments=entries("z"))
    older = policy("older", created=-1.0, priority=1, oomScoreAdjustments=entries("o"))
    assert order(low, high, older) == ["high/z", "older/o", "low/b", "low/a"]


def test_an_audit_displaces_nothing() -> None:
    audit = policy("audit", priority=9, mode="Audit", oomScoreAdjustments=entries("a"))
    assert order(audit, policy("p", oomScoreAdjustments=entries("b"))) == ["p/b", "audit/a"]


def test_suspended_deleted_and_not_selecting_policies_give_none() -> None:
    others = {"nodeSelector": {"matchLabels": {"pool": "x"}}}
    assert not order(
        policy("s", suspend=True, oomScoreAdjustments=entries("a")),
        policy("d", deleting=True, oomScoreAdjustments=entries("a")),
        policy("o", oomScoreAdjustments=entries("a"), **others),
    )


def test_an_oomnode_holds_them_and_says_so() -> None:
    rule = policy(
        "p",
        onRelease="Keep",
        oomScoreAdjustments=[
            {
                "name": "a",
                "podSelector": {"matchLabels": {"tier": "batch"}},
                "namespaceSelector": {},
                "containers": ["app"],
                "value": -5,
            },
            {"name": "b", "systemdUnit": "sshd.service", "value": 0},
        ],
    )
    given = settle(rule).adjustments["n"]
    manifest = oomnodes.manifest(node=node("n"), sysctls=(), adjustments=given)
    held = OOMNode.parse(manifest).spec.oom_score_adjustments
    assert [(one.policy, one.name, one.value, one.on_release) for one in held] == [
        ("p", "a", -5, "Keep"),
        ("p", "b", 0, "Keep"),
    ]
    assert held[0].containers == ("app",)
    assert held[0].namespace_selector is not None
    assert oomnodes.says(manifest, sysctls=(), adjustments=given)
    assert not oomnodes.says(manifest, sysctls=(), adjustments=given[::-1])
    assert not oomnodes.says(manifest, sysctls=())


def stands(rule: Policy, *reports: AdjustmentReport, given: Any = None, **state: Any) -> NodeOutcome:
    given = settle(rule).adjustments["n"] if given is None else given
    names = [entry.name for entry in rule.spec.oom_score_adjustments] if rule.spec else []
    answered = node_state(
        "n",
        adjustments=given,
        adjusted={(rule.name, name): said for name, said in zip(names, reports, strict=False)},
        **state,
    )
    return outcome(rule, node=node("n"), state=answered, desired=(), adjustments=given, behind_seconds=0)


@pytest.mark.parametrize(
    ("report", "state", "says"),
    [
        (adjusted(800, in_force=3), "InSync", "3 processes"),
        (adjusted(700), "Pending", "not reported"),
        (adjusted(800, state="Pending", reason="PodsUnknown", message="not listed"), "Pending", "not listed"),
        (
            adjusted(800, state="Refused", reason="NeedsCapSysResource", message="give it", failed=4),
            "Refused",
            "oomScoreAdjustments a: 4 processes have another value: NeedsCapSysResource: give it",
        ),
        (adjusted(800, state="Drifted", reason="FightingForeignWriter", failed=1), "Drifted", "Fighting"),
        (adjusted(800, state="Audited", differing=2), "Drifted", "2 processes"),
        (adjusted(800, state="Unheard"), "Pending", ""),
    ],
)
def test_a_node_stands_as_its_agent_says_of_the_entry(
    report: AdjustmentReport, state: str, says: str
) -> None:
    found = stands(policy("p", oomScoreAdjustments=entries("a")), report)
    assert found.state == state
    assert says in found.message


def test_a_node_whose_agent_has_not_answered_or_whose_oomnode_is_old_is_pending() -> None:
    rule = policy("p", oomScoreAdjustments=entries("a"))
    assert stands(rule).state == "Pending"
    assert stands(rule, adjusted(800), observed=0).state == "Pending"
    old = node_state("n", adjusted={("p", "a"): adjusted(800)})
    given = settle(rule).adjustments["n"]
    found = outcome(rule, node=node("n"), state=old, desired=(), adjustments=given, behind_seconds=0)
    assert found.state == "Pending"


def test_what_a_node_has_no_room_for_is_refused_and_said_by_the_one_of_lowest_standing() -> None:
    many = policy("many", priority=2, oomScoreAdjustments=entries(*(f"e{one}" for one in range(30))))
    late = policy("late", priority=1, oomScoreAdjustments=entries("a", "b", "c"))
    given = settle(many, late).adjustments["n"]
    assert len(given) == MAX_ENTRIES
    found = stands(late, *[adjusted(800)] * 3, given=given)
    assert found.state == "Refused"
    assert "oomScoreAdjustments c: left out" in found.message


def totals(rule: Policy, *states: NodeState | None) -> list[dict[str, Any]]:
    return summed(rule, states)


def test_a_policys_status_adds_its_nodes_up_and_names_who_won() -> None:
    rule = policy("p", oomScoreAdjustments=entries("a", "b"))
    first = adjusted(800, pods=2, in_force=5, failed=1)
    second = adjusted(800, pods=1, overridden=2, overridden_by="q/x")
    states = [
        node_state("n", adjusted={("p", "a"): first}),
        node_state("m", adjusted={("p", "a"): second, ("q", "b"): first}),
        node_state("idle", adjusted={("p", "a"): adjusted(800)}),
        None,
    ]
    found = totals(rule, *states)
    assert found[0] == {
        "name": "a", "nodes": 2, "pods": 3, "inForce": 5, "failed": 1, "overridden": 2, "differing": 0,
        "overriddenBy": ["q/x"],
    }  # fmt: skip
    assert found[1]["nodes"] == 0
    status = policy_status(rule, facts=Facts(outcomes=(), defeats={}, oom=OOM, adjustments=found), now=0.0)
    OOMPolicyStatus.parse(status)
    said = {one["type"]: one for one in status["conditions"]}["Conflicted"]
    assert (said["status"], said["reason"]) == ("True", "Overridden")
    assert "a (by q/x)" in said["message"]


def test_two_entries_of_one_policy_are_no_conflict() -> None:
    rule = policy("p", oomScoreAdjustments=entries("a", "b"))
    found = totals(
        rule, node_state("n", adjusted={("p", "b"): adjusted(800, overridden=1, overridden_by="p/a")})
    )
    status = policy_status(rule, facts=Facts(outcomes=(), defeats={}, oom=OOM, adjustments=found), now=0.0)
    said = {one["type"]: one for one in status["conditions"]}["Conflicted"]
    assert said["status"] == "False"
    assert status["oomScoreAdjustments"][1]["overriddenBy"] == ["p/a"]
