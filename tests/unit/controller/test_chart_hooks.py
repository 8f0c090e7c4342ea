"""What the hooks of the chart decide from OOMNodes and OOMReports."""

import pytest

from oomkeeper.controller.selftest import node_problems, report_problems
from oomkeeper.controller.uninstall import node_problem

HELD = {"name": "vm.panic_on_oom", "actual": 1, "original": 0}


def oomnode(*, spec: dict | None = None, status: dict | None = None, generation: int = 2) -> dict:
    return {"metadata": {"name": "n1", "generation": generation}, "spec": spec or {}, "status": status or {}}


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (oomnode(), None),
        (oomnode(status={"observedGeneration": 2}), None),
        (
            oomnode(spec={"sysctls": [{"name": "kernel.panic"}]}),
            "n1: the controller has not released kernel.panic",
        ),
        (oomnode(status={"observedGeneration": 1}), "n1: the agent has not confirmed the release"),
        (
            oomnode(status={"observedGeneration": 1, "sysctls": [HELD]}),
            "n1: the agent has not confirmed the release of vm.panic_on_oom=1 (original 0)",
        ),
        (
            oomnode(status={"observedGeneration": 2, "oomScoreAdjustments": [{"name": "batch"}]}),
            "n1: the agent has not confirmed the release of oom_score_adj of batch",
        ),
    ],
    ids=["empty", "released", "controller behind", "agent behind", "sysctl held", "oom_score_adj held"],
)
def test_unrestored_node_is_described(node: dict, problem: str | None) -> None:
    assert node_problem(node) == problem


def test_node_without_agent_or_kernel_log_is_a_problem() -> None:
    unreadable = {"type": "KernelLogReadable", "status": "False", "message": "/dev/kmsg: permission denied"}
    assert node_problems([]) == ["no OOMNode exists: the controller has not created any"]
    assert node_problems([oomnode()]) == ["n1: no agent has reported"]
    assert node_problems([oomnode(status={"agentVersion": "1", "conditions": [unreadable]})]) == [
        "n1: KernelLogReadable is False: /dev/kmsg: permission denied"
    ]
    assert node_problems([oomnode(status={"agentVersion": "1"})]) == []


def test_report_that_was_never_refreshed_is_a_problem() -> None:
    report = {"metadata": {"name": "cluster"}}
    assert report_problems([], name="cluster") == ["OOMReport cluster does not exist"]
    assert report_problems([report], name="cluster")
    assert (
        report_problems([{**report, "status": {"refreshTime": "2026-01-01T00:00:00Z"}}], name="cluster") == []
    )
