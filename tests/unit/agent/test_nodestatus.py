"""OOMNode.status: equal input gives equal output, and the models take whatever comes out."""

import json
from dataclasses import replace

import pytest

from oomkeeper.agent.desired import Desired
from oomkeeper.agent.kubelet import KubeletFacts
from oomkeeper.agent.nodestatus import NodeView, build_status
from oomkeeper.agent.oomscoreadj.entry_status import AdjustmentStatus
from oomkeeper.agent.store import Account
from oomkeeper.agent.sysctl_enforcer import KeptState, SysctlView
from oomkeeper.api.oomnode import OOMNode
from oomkeeper.model.node import NodeFacts

FACTS = NodeFacts(
    kernel_release="6.18.44", boot_id="587afb08-a187-419f-bc9f-3df964da34bb", cgroup_version=2,
    page_size_bytes=4096, memory_bytes=8 << 30, swap_bytes=0, cpus=2, online_nodes=(0,),
)  # fmt: skip
IN_SYNC = SysctlView(key="vm.swappiness", desired=10, actual=10, original=60, policy="p")
FAILED = AdjustmentStatus(
    policy="p", name="a", value=-500, mode="Enforce", state="Refused", reason="NeedsCapSysResource",
    message="give it", pods=2, in_force=1, failed=3, overridden=1, overridden_by="q/b",
)  # fmt: skip
VIEW = NodeView(
    facts=FACTS,
    kubelet=None,
    kubelet_version=None,
    desired=Desired(generation=4),
    kept=KeptState(views=(IN_SYNC,)),
    account=Account(recorded=3, unattributed=1, lost_records=2, since="2026-01-01T00:00:00Z"),
    kmsg_problem=None,
    panics={"seen": [], "count": 0, "last": None},
)
NOW = "2026-01-01T10:00:00.000000Z"
LATER = "2026-01-01T11:00:00.000000Z"


def status(view: NodeView = VIEW, *, before=None, now: str = NOW) -> dict:
    built = build_status(view, before=before, now=now)
    obj = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMNode",
        "metadata": {"name": "node-a"},
        "spec": {},
        "status": built,
    }
    OOMNode.model_validate_json(json.dumps(obj))
    return built


def conditions(built: dict) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in built["conditions"]}


def test_equal_input_gives_an_equal_status_later_too() -> None:
    first = status()
    assert status(before=first, now=LATER) == first


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = status()
    fight = replace(IN_SYNC, state="Drifted", actual=3, reason="FightingForeignWriter", message="by x")
    second = status(replace(VIEW, kept=KeptState(views=(fight,))), before=first, now=LATER)
    times = {one["type"]: one["lastTransitionTime"] for one in second["conditions"]}
    assert (times["Applied"], times["Degraded"], times["Supported"]) == (LATER, LATER, NOW)


def test_the_account_adds_up() -> None:
    counters = status()["counters"]
    assert counters["kernelKills"] == counters["recorded"] + counters["unattributed"] == 4


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({"kept": KeptState()}, "Applied", ("True", "NothingDesired")),
        ({}, "Applied", ("True", "InSync")),
        ({}, "Degraded", ("False", "AsExpected")),
        ({"desired": Desired(problems=("spec.sysctls[0]: no",))}, "Degraded", ("True", "InvalidSpec")),
        ({"kept": KeptState(adjustments=(FAILED,))}, "Degraded", ("True", "AdjustmentsNotApplied")),
        ({"kept": KeptState(adjustments=(FAILED,))}, "Applied", ("False", "NeedsCapSysResource")),
        (
            {"kept": KeptState(adjustments=(replace(FAILED, state="InSync"),))},
            "Applied",
            ("True", "InSync"),
        ),
        (
            {"kept": KeptState(adjustments=(replace(FAILED, state="Pending", reason="PodsUnknown"),))},
            "Degraded",
            ("False", "AsExpected"),
        ),
        (
            {"kept": KeptState(adjustments=(replace(FAILED, state="Audited", mode="Audit"),))},
            "Applied",
            ("True", "InSync"),
        ),
        (
            {"kept": KeptState(stuck_adjustments="cannot be given back")},
            "Degraded",
            ("True", "AdjustmentsNotApplied"),
        ),
        (
            {"kept": KeptState(views=(replace(IN_SYNC, state="Refused", reason="AcknowledgeMissing"),))},
            "Applied",
            ("False", "AcknowledgeMissing"),
        ),
        (
            {"kept": KeptState(views=(replace(IN_SYNC, state="Unsupported", actual=None),))},
            "Supported",
            ("False", "SysctlMissing"),
        ),
        (
            {"kept": KeptState(views=(replace(IN_SYNC, state="Audited", mode="Audit"),))},
            "Applied",
            ("True", "InSync"),
        ),
        ({"kept": KeptState(persistent_problem="/etc: no")}, "Persistent", ("False", "DropInNotWritten")),
        ({"kept": KeptState(wants_persistence=True)}, "Persistent", ("True", "DropInWritten")),
        ({"kmsg_problem": "/dev/kmsg: no"}, "KernelLogReadable", ("False", "Unreadable")),
    ],
)
def test_each_outcome_is_a_condition_with_its_reason(changes, kind, expected) -> None:
    assert conditions(status(replace(VIEW, **changes)))[kind] == expected


def test_texts_of_any_length_are_cut_to_what_the_api_takes() -> None:
    long = "x" * 5000
    kubelet = KubeletFacts(
        pid=1,
        start_time=1,
        config_file="/" + long,
        eviction_hard={f"signal-{number}": long for number in range(40)},
    )
    view = replace(
        VIEW,
        kubelet=kubelet,
        kubelet_version=long,
        kmsg_problem=long,
        kept=KeptState(
            views=(replace(IN_SYNC, state="Drifted", message=long, suspected_writer=long),),
            persistent_problem=long,
            adjustments=(replace(FAILED, message=long),),
            stuck_adjustments=long,
        ),
    )
    status(view)


def test_an_adjustment_says_which_entry_how_many_processes_and_what_to_do() -> None:
    built = status(replace(VIEW, kept=KeptState(adjustments=(FAILED,))))
    assert built["oomScoreAdjustments"] == [
        {
            "policy": "p", "name": "a", "value": -500, "mode": "Enforce", "state": "Refused",
            "reason": "NeedsCapSysResource", "message": "give it", "pods": 2, "inForce": 1, "failed": 3,
            "overridden": 1, "overriddenBy": "q/b",
        }
    ]  # fmt: skip
    said = {one["type"]: one["message"] for one in built["conditions"]}
    assert said["Degraded"] == "oomScoreAdjustments a of p: give it"


def test_the_last_panic_is_told_and_may_have_ended_a_boot_that_nobody_watched() -> None:
    assert "lastPanic" not in status()
    last = {"time": NOW, "bootID": None, "cause": "PodLimit", "message": "m" * 5000}
    built = status(replace(VIEW, panics={"seen": ["x"], "count": 2, "last": last}))
    assert built["counters"]["panics"] == 2
    assert built["lastPanic"] == {"time": NOW, "cause": "PodLimit", "message": "m" * 1024}
