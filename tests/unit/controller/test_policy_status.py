"""What a policy's status spec_matches."""

from collections.abc import Mapping
from typing import Any

import pytest

from oomkeeper.api.oompolicy import OOMPolicyStatus
from oomkeeper.controller.agent_health import AgentHealth
from oomkeeper.controller.conditions import Condition, conditions
from oomkeeper.controller.node_result import NodeResult, node_result
from oomkeeper.controller.objects import OOMNodeState, Policy
from oomkeeper.controller.policy_status import Facts, policy_status
from oomkeeper.controller.precedence import Override, OverrideCount
from oomkeeper.reporting.fold import size_bytes
from oomkeeper.resources.oomnode import ObservedSysctl
from oomkeeper.resources.oompolicy import OOMSummary
from oomkeeper.resources.record import to_document

from .builders import ALLOCATING, DUMPS, entry, node, observed, oomnode, policy

OOM = OOMSummary()
NOW = 1_800_000_000.0


def status_of(
    rule: Policy, *results: NodeResult, overrides: Mapping[Override, OverrideCount] | None = None
) -> dict[str, Any]:
    status = policy_status(
        rule,
        facts=Facts(
            matched=len(results),
            failing=[result for result in results if result.state != "InSync"],
            overrides=overrides or {},
            oom=OOM,
        ),
        now=NOW,
    )
    document = to_document(status)
    OOMPolicyStatus.parse(document)  # as the API server validates it
    return document


def conditions_in(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        condition["type"]: (condition["status"], condition["reason"]) for condition in status["conditions"]
    }


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (observed(1), "InSync"),
        (observed(0, desired=1, state="Drifted"), "Drifted"),
        (observed(0, desired=1, state="Refused", reason="ProtectKernelDefaults"), "Refused"),
        (observed(None, desired=1, state="Unsupported"), "Unsupported"),
        (observed(0, desired=1, state="Pending"), "Pending"),
        (observed(0, desired=0), "Pending"),
        (observed(0, desired=1, state="Unheard"), "Pending"),
        (None, "Pending"),
    ],
)
def test_sysctl_state_follows_the_agents_report(report: ObservedSysctl | None, state: str) -> None:
    desired = (entry(DUMPS, 1, "p"),)
    answered = oomnode("a", sysctls=desired, reports={DUMPS: report} if report else {})
    found = node_result(
        policy("p", sysctls={DUMPS: 1}), node=node("a"), state=answered, desired=desired, unanswered_seconds=0
    )
    assert found.state == state
    if report and report.reason:
        assert report.reason in found.message


@pytest.mark.parametrize(("mode", "state"), [("Audit", "Drifted"), ("Enforce", "Pending")])
def test_difference_on_an_auditing_node_is_drift_unless_another_node_of_its_kernel_enforces(
    mode: str, state: str
) -> None:
    desired = (entry(DUMPS, 1, "p", mode="Audit"),)
    reports = {DUMPS: observed(0, desired=1, state="Audited")}
    answered = oomnode("a", sysctls=desired, reports=reports)
    rule = policy("p", mode=mode, sysctls={DUMPS: 1})
    found = node_result(rule, node=node("a"), state=answered, desired=desired, unanswered_seconds=0)
    assert found.state == state


def test_worst_sysctl_of_the_policy_decides() -> None:
    desired = (entry(DUMPS, 1, "p"), entry("vm.swappiness", 10, "p"), entry(ALLOCATING, 1, "other"))
    reports = {
        DUMPS: observed(1),
        "vm.swappiness": observed(60, desired=10, state="Drifted"),
        ALLOCATING: observed(0, desired=1, state="Refused"),
    }
    answered = oomnode("a", sysctls=desired, reports=reports)
    rule = policy("p", sysctls={DUMPS: 1, "vm.swappiness": 10})
    assert (
        node_result(rule, node=node("a"), state=answered, desired=desired, unanswered_seconds=0).state
        == "Drifted"
    )


@pytest.mark.parametrize(
    ("ready", "state", "behind", "expected"),
    [
        (True, None, 0.0, "Pending"),
        (True, oomnode("a", sysctls=(entry(DUMPS, 1, "p"),), observed=0), 1000.0, "Pending"),
        (None, None, 59.0, "Pending"),
        (None, None, 61.0, "Unreachable"),
        (
            False,
            oomnode("a", sysctls=(entry(DUMPS, 1, "p"),), reports={DUMPS: observed(1)}),
            0.0,
            "Unreachable",
        ),
        # The agent's last answer was to other wishes.
        (True, oomnode("a", sysctls=(entry(DUMPS, 0, "p"),), reports={DUMPS: observed(0)}), 0.0, "Pending"),
    ],
)
def test_node_without_report_is_pending_or_unreachable(
    ready: bool | None,
    state: OOMNodeState | None,
    behind: float,
    expected: str,
) -> None:
    found = node_result(
        policy("p", sysctls={DUMPS: 1}),
        node=node("a", ready=ready),
        state=state,
        desired=(entry(DUMPS, 1, "p"),),
        unanswered_seconds=behind,
    )
    assert found.state == expected


@pytest.mark.parametrize(
    ("value", "actual", "state"), [(0, 0, "InSync"), (0, 60, "Drifted"), (1, 1, "Overridden")]
)
def test_sysctl_of_another_policy_is_in_sync_only_if_the_value_is_the_same_and_in_force(
    value: int, actual: int, state: str
) -> None:
    desired = (entry(DUMPS, value, "other"),)
    reported = observed(actual, desired=value, state="InSync" if actual == value else "Drifted")
    found = node_result(
        policy("p", sysctls={DUMPS: 0}),
        node=node("a"),
        state=oomnode("a", sysctls=desired, reports={DUMPS: reported}),
        desired=desired,
        unanswered_seconds=0,
    )
    assert found.state == state
    if state == "Overridden":
        assert found.message == f"{DUMPS} is 1 by policy other, not 0"


@pytest.mark.parametrize("agent", [AgentHealth("AgentSilent", "why"), AgentHealth("Unmanaged", "why")])
def test_node_without_working_agent_is_not_in_sync(agent: AgentHealth) -> None:
    desired = (entry(DUMPS, 1, "p"),)
    answered = oomnode("a", sysctls=desired, reports={DUMPS: observed(1)})
    arguments: dict[str, Any] = {
        "state": answered,
        "desired": desired,
        "unanswered_seconds": 0,
        "agent": agent,
    }
    rule = policy("p", sysctls={DUMPS: 1})
    assert node_result(rule, node=node("a"), **arguments) == ("a", agent.state, "why")
    assert node_result(rule, node=node("a", ready=False), **arguments).state == "Unreachable"
    status = status_of(rule, NodeResult("a", agent.state, "why"))
    assert conditions_in(status)["Ready"] == ("False", f"Nodes{agent.state}")
    assert conditions_in(status)["Degraded"] == ("True", f"Nodes{agent.state}")


def test_overridden_policy_is_not_ready_and_not_degraded() -> None:
    status = status_of(
        policy("p", sysctls={DUMPS: 1}), NodeResult("a", "Overridden", "why"), NodeResult("b", "InSync", "")
    )
    assert conditions_in(status)["Ready"] == ("False", "NodesOverridden")
    assert conditions_in(status)["Degraded"] == ("False", "AsExpected")
    assert status["conditions"][0]["message"] == "every value is in force on 1 of 2 nodes"
    assert (status["nodes"]["overridden"], status["nodes"]["inSync"]) == (1, 1)


def test_counts_and_examples_show_the_worst_first() -> None:
    results = [
        NodeResult(f"{state}-{number}", state, "m" * 1000)
        for number in range(4)
        for state in ("InSync", "Pending", "Drifted", "Refused", "Unsupported", "Unreachable", "Overridden")
    ]
    status = status_of(policy("p", sysctls={DUMPS: 1}), *results)
    assert status["nodes"] == {
        "matched": 28,
        "inSync": 4,
        "pending": 4,
        "drifted": 4,
        "refused": 4,
        "unsupported": 4,
        "unreachable": 4,
        "overridden": 4,
        "agentSilent": 0,
        "unmanaged": 0,
    }
    states = [example["state"] for example in status["exampleNodes"]]
    assert states == ["Refused"] * 4 + ["Unsupported"] * 4 + ["Drifted"] * 2


@pytest.mark.parametrize(
    ("results", "ready", "progressing", "degraded"),
    [
        ([], ("True", "NoNodesMatch"), ("False", "UpToDate"), ("False", "AsExpected")),
        (["InSync"], ("True", "InSync"), ("False", "UpToDate"), ("False", "AsExpected")),
        (
            ["InSync", "Pending"],
            ("False", "NodesPending"),
            ("True", "WaitingForAgents"),
            ("False", "AsExpected"),
        ),
        (
            ["Drifted", "Pending"],
            ("False", "NodesDrifted"),
            ("True", "WaitingForAgents"),
            ("True", "NodesDrifted"),
        ),
        (
            ["Unreachable", "InSync"],
            ("False", "NodesUnreachable"),
            ("False", "UpToDate"),
            ("True", "NodesUnreachable"),
        ),
        (
            ["Unreachable", "Refused"],
            ("False", "NodesRefused"),
            ("False", "UpToDate"),
            ("True", "NodesRefused"),
        ),
    ],
)
def test_conditions_follow_from_the_nodes(
    results: list[str],
    ready: tuple[str, str],
    progressing: tuple[str, str],
    degraded: tuple[str, str],
) -> None:
    status = status_of(
        policy("p", sysctls={DUMPS: 1}),
        *(NodeResult(f"n{number}", state, "") for number, state in enumerate(results)),
    )
    assert conditions_in(status) == {
        "Ready": ready,
        "Progressing": progressing,
        "Degraded": degraded,
        "Conflicted": ("False", "NoConflict"),
    }


def test_drift_of_an_audit_is_not_degraded() -> None:
    status = status_of(policy("p", mode="Audit", sysctls={DUMPS: 1}), NodeResult("a", "Drifted", "differs"))
    assert conditions_in(status)["Degraded"] == ("False", "AsExpected")
    assert status["nodes"]["drifted"] == 1


def test_conflict_names_sysctl_and_winner_and_shared_kernel_first() -> None:
    overrides = {
        Override(DUMPS, "high"): OverrideCount(nodes=3, differing=3),
        Override(ALLOCATING, "near"): OverrideCount(nodes=1, differing=1, shared_kernel=1),
    }
    status = status_of(policy("p", sysctls={DUMPS: 1}), overrides=overrides)
    assert conditions_in(status)["Conflicted"] == ("True", "SharedKernel")
    assert f"{ALLOCATING} (by near)" in status["conditions"][3]["message"]
    assert status["overridden"][0] == {"sysctl": DUMPS, "by": "high", "nodes": 3}


def test_override_by_an_equal_value_is_no_conflict() -> None:
    status = status_of(
        policy("p", sysctls={DUMPS: 1}), overrides={Override(DUMPS, "high"): OverrideCount(nodes=3)}
    )
    assert conditions_in(status)["Conflicted"] == ("False", "NoConflict")
    assert len(status["overridden"]) == 1


def test_invalid_policy_states_the_problem() -> None:
    status = status_of(policy("p", invalid="spec.sysctls: what?"))
    assert conditions_in(status)["Degraded"] == ("True", "InvalidSpec")
    assert conditions_in(status)["Ready"] == ("False", "InvalidSpec")
    assert status["conditions"][0]["message"].startswith("spec.sysctls: what?; ")


def test_status_of_a_large_cluster_is_bounded() -> None:
    results = [NodeResult("n" * 240 + str(number), "Refused", "m" * 2000) for number in range(5000)]
    overrides = {
        Override(DUMPS, "p" * 240 + str(number)): OverrideCount(nodes=number, differing=number)
        for number in range(500)
    }
    assert size_bytes(status_of(policy("p", sysctls={DUMPS: 1}), *results, overrides=overrides)) < 64 * 1024


def test_transition_time_changes_only_with_the_status() -> None:
    first = conditions([Condition("Ready", True, "A", "m")], previous=(), generation=1, now="t1")
    same = conditions([Condition("Ready", True, "B", "other")], previous=first, generation=2, now="t2")
    assert same[0].last_transition_time == "t1"
    assert (same[0].reason, same[0].observed_generation) == ("B", 2)
    changed = conditions([Condition("Ready", False, "C", "m")], previous=same, generation=2, now="t3")
    assert changed[0].last_transition_time == "t3"


@pytest.mark.parametrize("invalid", [None, "spec: wrong"])
@pytest.mark.parametrize("spec", [{}, {"suspend": True}, {"mode": "Audit"}])
@pytest.mark.parametrize("states", [(), ("InSync",), ("Pending", "Refused")])
def test_every_condition_has_a_message(
    invalid: str | None, spec: dict[str, Any], states: tuple[str, ...]
) -> None:
    status = status_of(
        policy("p", invalid=invalid, **spec), *(NodeResult("n", state, "m") for state in states)
    )
    assert all(condition["message"] for condition in status["conditions"])
