"""Cached objects for the tests."""

from typing import Any

from oomkeeper.api.oompolicy import OOMPolicySpec
from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.controller.objects import Node, OOMNodeState, Policy, Report
from oomkeeper.model.times import format_time
from oomkeeper.reporting.incident import Incident, decode_incident
from oomkeeper.resources.oomnode import (
    Counters,
    DesiredAdjustment,
    DesiredSysctl,
    ObservedAdjustment,
    ObservedSysctl,
    OOMNodeSpec,
)
from oomkeeper.resources.oompolicy import OOMPolicyStatus
from oomkeeper.resources.oomreport import OOMReportStatus

NOW = 1_800_000_000.0
DUMPS, ALLOCATING, PANIC = "vm.oom_dump_tasks", "vm.oom_kill_allocating_task", "kernel.panic"


def policy(
    name: str,
    *,
    created: float = 0.0,
    invalid: str | None = None,
    generation: int = 1,
    deleting: bool = False,
    status: OOMPolicyStatus | None = None,
    **spec: Any,
) -> Policy:
    parsed = None if invalid and not spec else OOMPolicySpec.parse(spec)
    return Policy(
        name=name,
        uid=f"uid-{name}",
        version=1,
        generation=generation,
        created=created,
        deleting=deleting,
        spec=parsed,
        spec_generation=generation,
        invalid=invalid,
        priority=parsed.priority if parsed else 100,
        status=status,
    )


def node(
    name: str, *, ready: bool | None = True, linux: bool = True, boot_id: str | None = None, **labels: str
) -> Node:
    return Node(
        name=name, uid=f"uid-{name}", version=1, labels=labels, linux=linux, ready=ready, boot_id=boot_id
    )


def entry(name: str, value: int, policy: str, mode: str = "Enforce") -> DesiredSysctl:
    return DesiredSysctl(name=name, value=value, policy=policy, mode=mode)


def observed(
    value: int | None,
    *,
    desired: int | None = None,
    state: str = "InSync",
    policy: str = "p",
    reason: str | None = None,
    message: str | None = None,
) -> ObservedSysctl:
    return ObservedSysctl(
        name=DUMPS,
        desired=value if desired is None else desired,
        actual=value,
        policy=policy,
        state=state,
        reason=reason,
        message=message,
    )


def adjusted(value: int, *, state: str = "InSync", **counts: Any) -> ObservedAdjustment:
    return ObservedAdjustment(policy="p", name="a", value=value, state=state, **counts)


def oomnode(
    name: str,
    *,
    sysctls: tuple[DesiredSysctl, ...] = (),
    generation: int = 1,
    observed: int | None = None,
    reports: dict[str, ObservedSysctl] | None = None,
    adjustments: tuple[DesiredAdjustment, ...] = (),
    adjusted: dict[tuple[str, str], ObservedAdjustment] | None = None,
    foreign: bool = False,
    owner: str | None = None,
    boot_id: str | None = None,
    unattributed: int = 0,
    history: dict[int, int] | None = None,
) -> OOMNodeState:
    return OOMNodeState(
        name=name,
        uid=f"uid-of-oomnode-{name}",
        version=1,
        generation=generation,
        owner_uids=(owner or f"uid-{name}",),
        spec=OOMNodeSpec(sysctls=sysctls, oom_score_adjustments=adjustments),
        foreign=foreign,
        observed_generation=generation if observed is None else observed,
        sysctls=reports or {},
        adjustments=adjusted or {},
        boot_id=boot_id,
        counters=Counters(unattributed=unattributed),
        history=history or {},
    )


def report(
    name: str, *, status: OOMReportStatus | None = None, invalid: str | None = None, **spec: Any
) -> Report:
    return Report(
        name=name,
        uid=f"uid-{name}",
        version=1,
        generation=1,
        spec=None if invalid else OOMReportSpec.parse(spec),
        invalid=invalid,
        status=status,
    )


def incident(
    *,
    node: str = "n",
    namespace: str = "shop",
    name: str = "web-1-app-0a",
    age: float = 60.0,
    count: int = 3,
    pod: bool = True,
) -> Incident:
    subject: dict[str, Any] = {"nodeName": node, "cause": "PodLimit"}
    if pod:
        subject |= {
            "container": "app",
            "workload": {"kind": "Deployment", "name": "web"},
        }
    else:
        subject["cgroup"] = "/system.slice/big.service"
    return decode_incident(
        {
            "metadata": {"name": name, "namespace": namespace, "uid": "0123456789", "resourceVersion": "7"},
            "spec": subject,
            "status": {
                "cause": "PodLimit",
                "count": count,
                "firstSeen": format_time(NOW - age - 600),
                "lastSeen": format_time(NOW - age),
                "summary": "app was killed",
                "kills": [{"id": "k", "time": format_time(NOW - age), "pod": "web-1", "podUID": "pod-uid"}]
                if pod
                else [],
                "history": [{"hour": format_time((NOW - age) // 3600 * 3600), "kills": count}],
            },
        }
    )
