"""OOMNode.status: equal input gives equal output, and the models take whatever comes out."""

import json
from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from oomkeeper.agent.desired import Desired
from oomkeeper.agent.kubelet import KubeletFacts
from oomkeeper.agent.nodestatus import NodeView, build_status
from oomkeeper.agent.publisher import Rejections
from oomkeeper.agent.records import PanicNote
from oomkeeper.agent.store import Account
from oomkeeper.agent.sysctl_enforcer import SysctlPass
from oomkeeper.api.oomnode import OOMNode
from oomkeeper.model.node import NodeFacts
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomnode import LastPanic, ObservedAdjustment, ObservedSysctl, OOMNodeStatus
from oomkeeper.resources.oomnode import OOMNode as NodeStruct
from oomkeeper.resources.record import to_document

FACTS = NodeFacts(
    kernel_release="6.18.44", boot_id="587afb08-a187-419f-bc9f-3df964da34bb", cgroup_version=2,
    page_size_bytes=4096, memory_bytes=8 << 30, swap_bytes=0, cpus=2, online_nodes=(0,),
)  # fmt: skip
IN_SYNC = ObservedSysctl(
    name="vm.swappiness", desired=10, actual=10, original=60, policy="p", mode="Enforce", state="InSync"
)
FAILED = ObservedAdjustment(
    policy="p", name="a", value=-500, mode="Enforce", state="Refused", reason="NeedsCapSysResource",
    message="give it", pods=2, in_force=1, failed=3, overridden=1, overridden_by="q/b",
)  # fmt: skip
VIEW = NodeView(
    facts=FACTS,
    kubelet=None,
    kubelet_version=None,
    desired=Desired(generation=4),
    sysctls=SysctlPass(statuses=(IN_SYNC,)),
    adjustments=(),
    adjustments_problem=None,
    account=Account(recorded=3, unattributed=1, lost_records=2, since="2026-01-01T00:00:00Z"),
    log_problem=None,
    log_numbered=True,
    trace_problem=None,
    lost_trace_records=0,
    panics=PanicNote(),
)
NOW = "2026-01-01T10:00:00.000000Z"
LATER = "2026-01-01T11:00:00.000000Z"


def status(view: NodeView = VIEW, *, before: OOMNodeStatus | None = None, now: str = NOW) -> OOMNodeStatus:
    built = build_status(view, before=before, now=now)
    document(built)
    return built


def document(built: OOMNodeStatus) -> dict:
    """The status as it is sent to the API server, which takes it."""
    obj = to_document(NodeStruct(metadata=ObjectMeta(name="node-a"), status=built))
    OOMNode.model_validate_json(json.dumps(obj))
    return obj["status"]


def conditions(built: OOMNodeStatus) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in built.conditions}


def test_equal_input_gives_an_equal_status_at_any_time() -> None:
    first = status()
    assert status(before=first, now=LATER) == first


def test_condition_keeps_its_time_until_its_status_changes() -> None:
    first = status()
    fight = changed(IN_SYNC, state="Drifted", actual=3, reason="FightingForeignWriter", message="by x")
    second = status(replace(VIEW, sysctls=SysctlPass(statuses=(fight,))), before=first, now=LATER)
    times = {one.type: one.last_transition_time for one in second.conditions}
    assert (times["Applied"], times["Degraded"], times["Supported"]) == (LATER, LATER, NOW)


def test_kernel_kills_are_recorded_plus_unattributed() -> None:
    counters = document(status())["counters"]
    assert counters["kernelKills"] == counters["recorded"] + counters["unattributed"] == 4


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({"sysctls": SysctlPass()}, "Applied", ("True", "NothingDesired")),
        ({}, "Applied", ("True", "InSync")),
        ({}, "Degraded", ("False", "AsExpected")),
        ({"desired": Desired(problems=("spec.sysctls[0]: no",))}, "Degraded", ("True", "InvalidSpec")),
        ({"adjustments": (FAILED,)}, "Degraded", ("True", "AdjustmentsNotApplied")),
        ({"adjustments": (FAILED,)}, "Applied", ("False", "NeedsCapSysResource")),
        (
            {"sysctls": SysctlPass(), "adjustments": (changed(FAILED, state="InSync"),)},
            "Applied",
            ("True", "InSync"),
        ),
        (
            {"adjustments": (changed(FAILED, state="Pending", reason="PodsUnknown"),)},
            "Degraded",
            ("False", "AsExpected"),
        ),
        (
            {"sysctls": SysctlPass(), "adjustments": (changed(FAILED, state="Audited", mode="Audit"),)},
            "Applied",
            ("True", "InSync"),
        ),
        (
            {"adjustments_problem": "cannot be restored"},
            "Degraded",
            ("True", "AdjustmentsNotApplied"),
        ),
        (
            {
                "sysctls": SysctlPass(
                    statuses=(changed(IN_SYNC, state="Refused", reason="AcknowledgeMissing"),)
                )
            },
            "Applied",
            ("False", "AcknowledgeMissing"),
        ),
        (
            {"sysctls": SysctlPass(statuses=(changed(IN_SYNC, state="Unsupported", actual=None),))},
            "Supported",
            ("False", "SysctlMissing"),
        ),
        (
            {"sysctls": SysctlPass(statuses=(changed(IN_SYNC, state="Audited", mode="Audit"),))},
            "Applied",
            ("True", "InSync"),
        ),
        ({"sysctls": SysctlPass(persistent_problem="/etc: no")}, "Persistent", ("False", "DropInNotWritten")),
        ({"sysctls": SysctlPass(wants_persistence=True)}, "Persistent", ("True", "DropInWritten")),
        ({"log_problem": "/dev/kmsg: no"}, "KernelLogReadable", ("False", "Unreadable")),
        ({"log_numbered": False}, "KernelLogReadable", ("True", "ReadingSyslog")),
        ({"trace_problem": "tracefs: no"}, "KillsTraced", ("False", "TracingUnavailable")),
    ],
)
def test_each_outcome_is_a_condition_with_its_reason(changes, kind, expected) -> None:
    assert conditions(status(replace(VIEW, **changes)))[kind] == expected


def test_long_texts_are_cut_to_the_bounds_of_the_resource() -> None:
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
        log_problem=long,
        sysctls=SysctlPass(
            statuses=(changed(IN_SYNC, state="Drifted", message=long, suspected_writer=long),),
            persistent_problem=long,
        ),
        adjustments=(changed(FAILED, message=long),),
        adjustments_problem=long,
    )
    status(view)


def test_adjustment_names_its_entry_its_processes_and_the_remedy() -> None:
    built = status(replace(VIEW, adjustments=(FAILED,)))
    assert document(built)["oomScoreAdjustments"] == [
        {
            "policy": "p", "name": "a", "value": -500, "mode": "Enforce", "state": "Refused",
            "reason": "NeedsCapSysResource", "message": "give it", "pods": 2, "inForce": 1, "failed": 3,
            "overridden": 1, "overriddenBy": "q/b",
        }
    ]  # fmt: skip
    said = {one.type: one.message for one in built.conditions}
    assert said["Degraded"] == "oomScoreAdjustments a of p: give it"


def test_last_panic_is_shown_with_or_without_its_boot() -> None:
    assert "lastPanic" not in document(status())
    last = LastPanic(time=NOW, cause="PodLimit", message="m" * 5000)
    built = document(status(replace(VIEW, panics=PanicNote(seen=("x",), count=2, last=last))))
    assert built["counters"]["panics"] == 2
    assert built["lastPanic"] == {"time": NOW, "cause": "PodLimit", "message": "m" * 1024}


@pytest.mark.parametrize(
    ("changes", "kind", "expected", "said"),
    [
        ({}, "StateStored", ("True", "OnDisk"), "on disk"),
        (
            {"state_problem": "disk full", "state_dropped": 7},
            "StateStored",
            ("False", "InMemory"),
            "7 records",
        ),
        ({}, "Degraded", ("False", "AsExpected"), "in force"),
        (
            {"rejections": Rejections(2, "shop/x: 422 denied")},
            "Degraded",
            ("True", "DocumentsRejected"),
            "2 OOMIncidents, for example shop/x: 422 denied",
        ),
        ({}, "ClockInSync", ("Unknown", "NotCompared"), "not been seen"),
        ({"clock_skew_seconds": -3.0}, "ClockInSync", ("True", "InSync"), "within 30 s"),
        ({"clock_skew_seconds": 3000.0}, "ClockInSync", ("False", "Skewed"), "about 3000 s behind"),
        ({"clock_skew_seconds": -86400.0}, "ClockInSync", ("False", "Skewed"), "ahead of"),
    ],
)
def test_problem_of_the_agent_itself_is_a_condition(changes, kind, expected, said) -> None:
    built = status(replace(VIEW, **changes))
    assert conditions(built)[kind] == expected
    assert said in next(one.message for one in built.conditions if one.type == kind)


def test_every_condition_has_room_in_the_resource() -> None:
    built = status()
    assert len(document(built)["conditions"]) == len(built.conditions)
