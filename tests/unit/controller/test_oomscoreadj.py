"""oom_score_adj entries: which a node is given, in which order, and what a policy's status makes of the
answers."""

from __future__ import annotations

from typing import Any

import pytest

from oomkeeper.api.oomnode import OOMNode
from oomkeeper.api.oompolicy import OOMPolicyStatus
from oomkeeper.controller import oomnode_spec
from oomkeeper.controller.node_result import NodeResult, node_result
from oomkeeper.controller.objects import OOMNodeState, Policy
from oomkeeper.controller.oomscoreadj import MAX_ENTRIES, adjustment_totals
from oomkeeper.controller.policy_status import Facts, policy_status
from oomkeeper.controller.precedence import Resolution, resolve
from oomkeeper.resources.meta import Condition
from oomkeeper.resources.oomnode import ObservedAdjustment
from oomkeeper.resources.oompolicy import AdjustmentTotals, OOMSummary
from oomkeeper.resources.record import to_document

from .builders import adjusted, node, oomnode, policy

OOM = OOMSummary()


def entries(*names: str, value: int = 800) -> list[dict[str, Any]]:
    return [{"name": name, "podSelector": {}, "value": value} for name in names]


def settle(*policies: Policy) -> Resolution:
    return resolve(policies=policies, nodes=[node("n")], boot_ids={})


def order(*policies: Policy) -> list[str]:
    return [f"{entry.policy}/{entry.name}" for entry in settle(*policies).adjustments["n"]]


def test_entries_are_ordered_by_precedence() -> None:
    low = policy("low", priority=1, oomScoreAdjustments=entries("b", "a"))
    high = policy("high", priority=2, oomScoreAdjustments=entries("z"))
    older = policy("older", created=-1.0, priority=1, oomScoreAdjustments=entries("o"))
    assert order(low, high, older) == ["high/z", "older/o", "low/b", "low/a"]


def test_audit_entries_come_last() -> None:
    audit = policy("audit", priority=9, mode="Audit", oomScoreAdjustments=entries("a"))
    assert order(audit, policy("p", oomScoreAdjustments=entries("b"))) == ["p/b", "audit/a"]


def test_suspended_deleted_and_other_nodes_policies_add_no_entries() -> None:
    others = {"nodeSelector": {"matchLabels": {"pool": "x"}}}
    assert not order(
        policy("s", suspend=True, oomScoreAdjustments=entries("a")),
        policy("d", deleting=True, oomScoreAdjustments=entries("a")),
        policy("o", oomScoreAdjustments=entries("a"), **others),
    )


def test_oomnode_manifest_holds_the_entries() -> None:
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
    spec = oomnode_spec.node_spec((), given)
    manifest = oomnode_spec.manifest(node=node("n"), spec=spec)
    held = OOMNode.parse(manifest).spec.oom_score_adjustments
    assert [(one.policy, one.name, one.value, one.on_release) for one in held] == [
        ("p", "a", -5, "Keep"),
        ("p", "b", 0, "Keep"),
    ]
    assert held[0].containers == ("app",)
    assert held[0].namespace_selector is not None
    assert oomnode_spec.spec_matches(manifest, spec)
    assert not oomnode_spec.spec_matches(manifest, oomnode_spec.node_spec((), given[::-1]))
    assert not oomnode_spec.spec_matches(manifest, oomnode_spec.node_spec())


def result(rule: Policy, *reports: ObservedAdjustment, given: Any = None, **state: Any) -> NodeResult:
    given = settle(rule).adjustments["n"] if given is None else given
    names = [entry.name for entry in rule.spec.oom_score_adjustments] if rule.spec else []
    answered = oomnode(
        "n",
        adjustments=given,
        adjusted={(rule.name, name): report for name, report in zip(names, reports, strict=False)},
        **state,
    )
    return node_result(
        rule, node=node("n"), state=answered, desired=(), adjustments=given, unanswered_seconds=0
    )


@pytest.mark.parametrize(
    ("report", "state", "spec_matches"),
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
def test_entry_state_follows_the_agents_report(
    report: ObservedAdjustment, state: str, spec_matches: str
) -> None:
    found = result(policy("p", oomScoreAdjustments=entries("a")), report)
    assert found.state == state
    assert spec_matches in found.message


def test_unreported_entry_is_pending() -> None:
    rule = policy("p", oomScoreAdjustments=entries("a"))
    assert result(rule).state == "Pending"
    assert result(rule, adjusted(800), observed=0).state == "Pending"
    old = oomnode("n", adjusted={("p", "a"): adjusted(800)})
    given = settle(rule).adjustments["n"]
    found = node_result(rule, node=node("n"), state=old, desired=(), adjustments=given, unanswered_seconds=0)
    assert found.state == "Pending"


def test_entry_beyond_the_limit_is_refused_for_the_lowest_precedence() -> None:
    many = policy("many", priority=2, oomScoreAdjustments=entries(*(f"e{one}" for one in range(30))))
    late = policy("late", priority=1, oomScoreAdjustments=entries("a", "b", "c"))
    given = settle(many, late).adjustments["n"]
    assert len(given) == MAX_ENTRIES
    found = result(late, *[adjusted(800)] * 3, given=given)
    assert found.state == "Refused"
    assert "oomScoreAdjustments c: left out" in found.message


def totals(rule: Policy, *states: OOMNodeState | None) -> tuple[AdjustmentTotals, ...]:
    return adjustment_totals(rule, states)


def test_entry_totals_sum_the_nodes_and_name_the_overriding_entry() -> None:
    rule = policy("p", oomScoreAdjustments=entries("a", "b"))
    first = adjusted(800, pods=2, in_force=5, failed=1)
    second = adjusted(800, pods=1, overridden=2, overridden_by="q/x")
    states = [
        oomnode("n", adjusted={("p", "a"): first}),
        oomnode("m", adjusted={("p", "a"): second, ("q", "b"): first}),
        oomnode("idle", adjusted={("p", "a"): adjusted(800)}),
        None,
    ]
    found = totals(rule, *states)
    assert found[0] == AdjustmentTotals(
        name="a", nodes=2, pods=3, in_force=5, failed=1, overridden=2, differing=0, overridden_by=("q/x",)
    )
    assert found[1].nodes == 0
    conflicted = conflicted_condition(rule, found)
    assert (conflicted.status, conflicted.reason) == ("True", "Overridden")
    assert "a (by q/x)" in conflicted.message


def conflicted_condition(rule: Policy, found: tuple[AdjustmentTotals, ...]) -> Condition:
    status = policy_status(
        rule, facts=Facts(matched=0, failing=(), overrides={}, oom=OOM, adjustments=found), now=0.0
    )
    OOMPolicyStatus.parse(to_document(status))  # as the API server validates it
    return {condition.type: condition for condition in status.conditions}["Conflicted"]


def test_entries_of_one_policy_do_not_conflict() -> None:
    rule = policy("p", oomScoreAdjustments=entries("a", "b"))
    found = totals(
        rule, oomnode("n", adjusted={("p", "b"): adjusted(800, overridden=1, overridden_by="p/a")})
    )
    assert conflicted_condition(rule, found).status == "False"
    assert found[1].overridden_by == ("p/a",)
