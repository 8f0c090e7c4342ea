"""Cached objects for the tests."""

from typing import Any

from oomkeeper.api.oompolicy import OOMPolicySpec
from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.controller.objects import (
    AdjustmentReport,
    DesiredSysctl,
    Node,
    OOMNodeState,
    Policy,
    Report,
    SysctlReport,
)
from oomkeeper.model.times import format_time
from oomkeeper.reporting.incident import Incident, read_incident

NOW = 1_800_000_000.0
DUMPS, ALLOCATING, PANIC = "vm.oom_dump_tasks", "vm.oom_kill_allocating_task", "kernel.panic"


def policy(
    name: str,
    *,
    created: float = 0.0,
    invalid: str | None = None,
    generation: int = 1,
    deleting: bool = False,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> Policy:
    parsed = None if invalid else OOMPolicySpec.parse(spec)
    return Policy(
        name=name,
        uid=f"uid-{name}",
        version=1,
        generation=generation,
        created=created,
        deleting=deleting,
        spec=parsed,
        invalid=invalid,
        status=status or {},
    )


def node(
    name: str, *, ready: bool | None = True, linux: bool = True, boot_id: str | None = None, **labels: str
) -> Node:
    return Node(
        name=name, uid=f"uid-{name}", version=1, labels=labels, linux=linux, ready=ready, boot_id=boot_id
    )


def entry(name: str, value: int, policy: str, mode: str = "Enforce") -> DesiredSysctl:
    return DesiredSysctl(name, value, policy, mode)


def said(
    value: int | None,
    *,
    desired: int | None = None,
    state: str = "InSync",
    policy: str = "p",
    reason: str = "",
    message: str = "",
) -> SysctlReport:
    return SysctlReport(
        desired=value if desired is None else desired,
        actual=value,
        policy=policy,
        state=state,
        reason=reason,
        message=message,
    )


def adjusted(
    value: int,
    *,
    state: str = "InSync",
    reason: str = "",
    message: str = "",
    pods: int = 0,
    in_force: int = 0,
    failed: int = 0,
    overridden: int = 0,
    overridden_by: str = "",
    differing: int = 0,
) -> AdjustmentReport:
    return AdjustmentReport(
        value=value,
        state=state,
        reason=reason,
        message=message,
        pods=pods,
        in_force=in_force,
        failed=failed,
        overridden=overridden,
        overridden_by=overridden_by,
        differing=differing,
    )


def oomnode(
    name: str,
    *,
    sysctls: tuple[DesiredSysctl, ...] = (),
    generation: int = 1,
    observed: int | None = None,
    reports: dict[str, SysctlReport] | None = None,
    adjustments: tuple[dict[str, Any], ...] = (),
    adjusted: dict[tuple[str, str], AdjustmentReport] | None = None,
    extras: bool = False,
    owner: str | None = None,
    boot_id: str | None = None,
    unattributed: int = 0,
) -> OOMNodeState:
    return OOMNodeState(
        name=name,
        uid=f"uid-of-oomnode-{name}",
        version=1,
        generation=generation,
        owner_uids=(owner or f"uid-{name}",),
        sysctls=sysctls,
        adjustments=adjustments,
        host_kills=True,
        extras=extras,
        observed_generation=generation if observed is None else observed,
        reports=reports or {},
        adjusted=adjusted or {},
        boot_id=boot_id,
        unattributed=unattributed,
        lost_log_records=0,
    )


def report(
    name: str, *, status: dict[str, Any] | None = None, invalid: str | None = None, **spec: Any
) -> Report:
    return Report(
        name=name,
        uid=f"uid-{name}",
        version=1,
        generation=1,
        spec=None if invalid else OOMReportSpec.parse(spec),
        invalid=invalid,
        status=status or {},
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
    return read_incident(
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
