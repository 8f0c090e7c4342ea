"""Plans as text, Markdown and JSON; and how far a rollout is, in a line."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oomkeeper.reporting.plan import NodeResult, Plan, groups, plan_record
from oomkeeper.reporting.plan_text import plan_markdown, plan_text
from oomkeeper.reporting.rollout_progress import Progress, progress_of
from oomkeeper.resources.oomnode import NodePlan, PlannedAdjustment, PlannedProcess, PlannedSysctl

SWAP = PlannedSysctl(name="vm.swappiness", before=60, after=10, policy="p", state="InSync")
KEPT = PlannedSysctl(name="kernel.panic", before=10, after=10, policy="p", state="InSync")
REFUSED = PlannedSysctl(
    name="vm.panic_on_oom",
    before=0,
    after=0,
    policy="p",
    state="Refused",
    reason="KubeletUnknown",
    message="no kubelet\x1b[2J",
)
BATCH = PlannedAdjustment(policy="p", name="batch", selected=3, changing=2, state="InSync")
EVIL = PlannedProcess(
    pid=7,
    comm="a|b`c\x1b",
    where="shop/web app",
    memory_bytes=1 << 20,
    adj_before=0,
    adj_after=800,
    score_before=670,
    score_after=1200,
    rank_before=4,
    rank_after=1,
)


def result(node: str, *sysctls: PlannedSysctl, unanswered: str | None = None, **more: Any) -> NodeResult:
    return NodeResult(
        node=node, plan=NodePlan(id="x", expires="y", sysctls=sysctls, **more), unanswered=unanswered
    )


def plan(*results: NodeResult, **more: Any) -> Plan:
    return Plan(policy="p", target="these nodes", selected=len(results), results=results, **more)


def test_equal_nodes_are_one_group_and_counts_are_summed() -> None:
    made = groups(
        [
            result("n1", SWAP, oom_score_adjustments=(BATCH,)),
            result("n2", REFUSED),
            result("n3", SWAP, oom_score_adjustments=(replace(BATCH, selected=5, changing=0),)),
            result("n4", SWAP, oom_score_adjustments=(BATCH,), unanswered="away"),
        ]
    )
    assert [group.nodes for group in made] == [("n1", "n3"), ("n2",), ("n4",)]
    assert [(one.selected, one.changing) for one in made[0].adjustments] == [(8, 2)]


@pytest.mark.parametrize(
    ("sysctls", "more", "changes", "refuses"),
    [
        ((KEPT,), {}, False, False),
        ((SWAP,), {}, True, False),
        ((KEPT, REFUSED), {}, False, True),
        ((PlannedSysctl(name="vm.swappiness", before=10, after=60),), {}, True, False),
        ((), {"oom_score_adjustments": (BATCH,)}, True, False),
        ((), {"oom_score_adjustments": (replace(BATCH, changing=0),)}, False, False),
        ((), {"oom_score_adjustments": (replace(BATCH, state="Audited"),)}, False, False),
        ((), {"oom_score_adjustments": (replace(BATCH, state="Refused"),)}, False, True),
        ((), {"oom_score_adjustments": (replace(BATCH, changing=0, reason="NoSuchUnit"),)}, False, False),
        ((), {"restored_processes": 1}, True, False),
    ],
)
def test_changes_and_refusals(sysctls: Any, more: Any, changes: bool, refuses: bool) -> None:
    made = plan(result("n", *sysctls, **more))
    assert (made.changes, made.refuses) == (changes, refuses)
    record = plan_record(made)
    assert (record["changes"], record["refusals"]) == (changes, refuses)


def test_text_says_what_changes_and_escapes_names() -> None:
    made = plan(
        result(
            "n1", SWAP, KEPT, REFUSED, processes=(EVIL,), choice_before="HighestScore", choice_after="Panic"
        ),
        batch_nodes=2,
        first=("n1",),
        soak_seconds=60,
        overridden={"vm.oom_dump_tasks": ("base", 3)},
    )
    text = "\n".join(plan_text(made))
    assert "\x1b" not in text
    assert "Rolled out in batches of 2, which soak for 60 s; first n1" in text
    assert "vm.oom_dump_tasks is decided by policy base on 3 nodes" in text
    assert "  vm.swappiness: 60 -> 10\n  kernel.panic: 10, unchanged\n" in text
    assert "vm.panic_on_oom: 0, Refused; KubeletUnknown: no kubelet\\x1b[2J" in text
    assert "out of memory: the node panics (now: the process with the highest oom_score is killed)" in text
    assert "    4    1      670 -> 1200  0 -> 800" in text
    assert "a|b`c\\x1b (7)" in text
    markdown = "\n".join(plan_markdown(made))
    assert "\x1b" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| 4")]
    assert len(rows) == 1
    assert "a\\|b\\`c" in rows[0]


def policy(**status: Any) -> dict[str, Any]:
    observed = status.pop("observedGeneration", 2)
    return {
        "metadata": {"name": "p", "generation": 2},
        "status": {"observedGeneration": observed, **status},
    }


def rollout(phase: str, **more: Any) -> dict[str, Any]:
    return {
        "generation": 2,
        "phase": phase,
        "progress": "1/4",
        "reason": "X",
        "message": "because",
        "since": "2026-11-28T00:00:00Z",
        **more,
    }


READY = {"type": "Ready", "status": "False", "message": "m", "lastTransitionTime": "2026-11-28T00:00:00Z"}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (policy(observedGeneration=1), ("generation 2: waiting for the controller to read it", False, False)),
        (
            {"metadata": {"name": "p", "generation": 1}},
            ("generation 1: waiting for the controller to read it", False, False),
        ),
        (
            policy(rollout=rollout("Progressing")),
            ("generation 2: Progressing, 1/4 nodes: because", False, False),
        ),
        (policy(rollout=rollout("Paused")), ("generation 2: Paused, 1/4 nodes: because", False, False)),
        (
            policy(rollout=rollout("Halted", message="n\x1b")),
            ("generation 2: Halted, 1/4 nodes: n\\x1b", True, True),
        ),
        (
            policy(rollout=rollout("Complete")),
            ("generation 2: Complete, 1/4 nodes have the values", True, False),
        ),
        (
            policy(rollout=rollout("Complete"), nodes={"refused": 1, "unreachable": 2}),
            ("generation 2: Complete, 1/4 nodes: 1 refuse a value, 2 are not Ready", True, True),
        ),
        (
            policy(rollout=rollout("Complete"), nodes={"agentSilent": 2}),
            ("generation 2: Complete, 1/4 nodes: 2 have an agent that does not work", True, False),
        ),
        (policy(), ("policy p is suspended: nothing is rolled out", True, False)),
        (policy(conditions=[{**READY, "reason": "InvalidSpec"}]), ("InvalidSpec: m", True, True)),
        (
            policy(conditions=[{**READY, "reason": "PanicBreakerTripped"}]),
            ("PanicBreakerTripped: m", True, True),
        ),
        (
            {"metadata": {"name": "p", "deletionTimestamp": "2026-11-28T00:00:00Z"}},
            ("policy p is being deleted", True, True),
        ),
        (
            {"metadata": {"name": "p", "generation": 1}, "status": "odd"},
            ("generation 1: waiting for the controller to read it", False, False),
        ),
    ],
)
def test_progress_of_a_rollout(obj: dict[str, Any], expected: tuple[str, bool, bool]) -> None:
    assert progress_of(obj) == Progress(*expected)
