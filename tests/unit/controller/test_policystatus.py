"""What a policy's status says."""

from collections.abc import Mapping
from typing import Any

import pytest

from oomkeeper.api.oompolicy import OOMPolicyStatus
from oomkeeper.controller.conditions import Finding, conditions
from oomkeeper.controller.nodestates import NodeOutcome, outcome
from oomkeeper.controller.policystatus import Facts, policy_status
from oomkeeper.controller.records import NodeState, Policy, SysctlReport
from oomkeeper.controller.resolution import Defeat, Tally
from oomkeeper.reporting.fold import size_bytes

from .makers import ALLOCATING, DUMPS, entry, node, node_state, policy, said

OOM = {"window": "24h", "kills": 0, "byCause": [], "topWorkloads": []}
NOW = 1_800_000_000.0


def status_of(
    rule: Policy, *outcomes: NodeOutcome, defeats: Mapping[Defeat, Tally] | None = None
) -> dict[str, Any]:
    status = policy_status(rule, facts=Facts(outcomes=outcomes, defeats=defeats or {}, oom=OOM), now=NOW)
    OOMPolicyStatus.parse(status)  # what the API server would say to it
    return status


def said_by(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        condition["type"]: (condition["status"], condition["reason"]) for condition in status["conditions"]
    }


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (said(1), "InSync"),
        (said(0, desired=1, state="Drifted"), "Drifted"),
        (said(0, desired=1, state="Refused", reason="ProtectKernelDefaults"), "Refused"),
        (said(None, desired=1, state="Unsupported"), "Unsupported"),
        (said(0, desired=1, state="Audited"), "Drifted"),
        (said(0, desired=1, state="Pending"), "Pending"),
        (said(0, desired=0), "Pending"),
        (said(0, desired=1, state="Unheard"), "Pending"),
        (None, "Pending"),
    ],
)
def test_a_node_stands_as_its_agent_says_of_the_desired_value(
    report: SysctlReport | None, state: str
) -> None:
    desired = (entry(DUMPS, 1, "p"),)
    answered = node_state("a", sysctls=desired, reports={DUMPS: report} if report else {})
    found = outcome(
        policy("p", sysctls={DUMPS: 1}), node=node("a"), state=answered, desired=desired, behind_seconds=0
    )
    assert found.state == state
    if report and report.reason:
        assert report.reason in found.message


def test_the_worst_key_decides_and_keys_of_other_policies_do_not_count() -> None:
    desired = (entry(DUMPS, 1, "p"), entry("vm.swappiness", 10, "p"), entry(ALLOCATING, 1, "other"))
    reports = {
        DUMPS: said(1),
        "vm.swappiness": said(60, desired=10, state="Drifted"),
        ALLOCATING: said(0, desired=1, state="Refused"),
    }
    answered = node_state("a", sysctls=desired, reports=reports)
    rule = policy("p", sysctls={DUMPS: 1, "vm.swappiness": 10})
    assert outcome(rule, node=node("a"), state=answered, desired=desired, behind_seconds=0).state == "Drifted"


@pytest.mark.parametrize(
    ("ready", "state", "behind", "stands"),
    [
        (True, None, 0.0, "Pending"),
        (True, node_state("a", sysctls=(entry(DUMPS, 1, "p"),), observed=0), 1000.0, "Pending"),
        (None, None, 59.0, "Pending"),
        (None, None, 61.0, "Unreachable"),
        (
            False,
            node_state("a", sysctls=(entry(DUMPS, 1, "p"),), reports={DUMPS: said(1)}),
            0.0,
            "Unreachable",
        ),
        # The agent's last answer was to other wishes.
        (True, node_state("a", sysctls=(entry(DUMPS, 0, "p"),), reports={DUMPS: said(0)}), 0.0, "Pending"),
    ],
)
def test_a_node_that_cannot_answer_is_pending_or_unreachable(
    ready: bool | None,
    state: NodeState | None,
    behind: float,
    stands: str,
) -> None:
    found = outcome(
        policy("p", sysctls={DUMPS: 1}),
        node=node("a", ready=ready),
        state=state,
        desired=(entry(DUMPS, 1, "p"),),
        behind_seconds=behind,
    )
    assert found.state == stands


def test_where_everything_is_overridden_there_is_nothing_to_be_out_of_sync() -> None:
    desired = (entry(DUMPS, 1, "other"),)
    found = outcome(
        policy("p", sysctls={DUMPS: 0}),
        node=node("a"),
        state=node_state("a", sysctls=desired),
        desired=desired,
        behind_seconds=0,
    )
    assert found.state == "InSync"


def test_counts_add_up_and_examples_show_the_worst_first_and_nothing_in_sync() -> None:
    outcomes = [
        NodeOutcome(f"{state}-{number}", state, "m" * 1000)
        for number in range(4)
        for state in ("InSync", "Pending", "Drifted", "Refused", "Unsupported", "Unreachable")
    ]
    status = status_of(policy("p", sysctls={DUMPS: 1}), *outcomes)
    assert status["nodes"] == {
        "matched": 24,
        "inSync": 4,
        "pending": 4,
        "drifted": 4,
        "refused": 4,
        "unsupported": 4,
        "unreachable": 4,
    }
    states = [example["state"] for example in status["exampleNodes"]]
    assert states == ["Refused"] * 4 + ["Unsupported"] * 4 + ["Drifted"] * 2


@pytest.mark.parametrize(
    ("outcomes", "ready", "progressing", "degraded"),
    [
        ([], ("True", "NoNodesMatched"), ("False", "UpToDate"), ("False", "AsExpected")),
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
    outcomes: list[str],
    ready: tuple[str, str],
    progressing: tuple[str, str],
    degraded: tuple[str, str],
) -> None:
    status = status_of(
        policy("p", sysctls={DUMPS: 1}),
        *(NodeOutcome(f"n{number}", state, "") for number, state in enumerate(outcomes)),
    )
    assert said_by(status) == {
        "Ready": ready,
        "Progressing": progressing,
        "Degraded": degraded,
        "Conflicted": ("False", "NoConflict"),
    }


def test_what_an_audit_finds_is_no_failure_of_it() -> None:
    status = status_of(policy("p", mode="Audit", sysctls={DUMPS: 1}), NodeOutcome("a", "Drifted", "differs"))
    assert said_by(status)["Degraded"] == ("False", "AsExpected")
    assert status["nodes"]["drifted"] == 1


def test_a_conflict_names_key_and_winner_and_a_shared_kernel_comes_first() -> None:
    defeats = {
        Defeat(DUMPS, "high"): Tally(nodes=3, differing=3),
        Defeat(ALLOCATING, "near"): Tally(nodes=1, differing=1, shared_kernel=1),
    }
    status = status_of(policy("p", sysctls={DUMPS: 1}), defeats=defeats)
    assert said_by(status)["Conflicted"] == ("True", "SharedKernel")
    assert f"{ALLOCATING} (by near)" in status["conditions"][3]["message"]
    assert status["overridden"][0] == {"sysctl": DUMPS, "by": "high", "nodes": 3}


def test_losing_to_an_equal_value_is_listed_but_no_conflict() -> None:
    status = status_of(policy("p", sysctls={DUMPS: 1}), defeats={Defeat(DUMPS, "high"): Tally(nodes=3)})
    assert said_by(status)["Conflicted"] == ("False", "NoConflict")
    assert len(status["overridden"]) == 1


def test_an_invalid_policy_says_what_is_wrong() -> None:
    status = status_of(policy("p", invalid="spec.sysctls: what?"))
    assert said_by(status)["Degraded"] == ("True", "InvalidSpec")
    assert said_by(status)["Ready"] == ("False", "InvalidSpec")
    assert status["conditions"][0]["message"] == "spec.sysctls: what?"


def test_a_status_of_the_largest_cluster_stays_small() -> None:
    outcomes = [NodeOutcome("n" * 240 + str(number), "Refused", "m" * 2000) for number in range(5000)]
    defeats = {
        Defeat(DUMPS, "p" * 240 + str(number)): Tally(nodes=number, differing=number) for number in range(500)
    }
    assert size_bytes(status_of(policy("p", sysctls={DUMPS: 1}), *outcomes, defeats=defeats)) < 64 * 1024


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = conditions([Finding("Ready", True, "A")], previous=None, generation=1, now="t1")
    same = conditions([Finding("Ready", True, "B", "other words")], previous=first, generation=2, now="t2")
    assert same[0]["lastTransitionTime"] == "t1"
    assert (same[0]["reason"], same[0]["observedGeneration"]) == ("B", 2)
    turned = conditions([Finding("Ready", False, "C")], previous=same, generation=2, now="t3")
    assert turned[0]["lastTransitionTime"] == "t3"


@pytest.mark.parametrize("previous", [{}, "x", [None, 3], [{"type": "Ready"}]])
def test_a_broken_earlier_condition_is_passed_over(previous: object) -> None:
    assert (
        conditions([Finding("Ready", True, "A")], previous=previous, generation=1, now="t")[0]["reason"]
        == "A"
    )
