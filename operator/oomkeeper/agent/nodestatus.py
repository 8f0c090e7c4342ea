"""OOMNode.status from what the agent knows. Pure; equal input gives equal output, so that only a change is
written."""

from dataclasses import dataclass
from typing import Any

from oomkeeper import __version__
from oomkeeper.model.node import NodeFacts

from .desired import Desired
from .kubelet import KubeletFacts
from .oomscoreadj.entry_status import AdjustmentStatus
from .store import Account
from .sysctl_enforcer import KeptState, SysctlView

Document = dict[str, Any]

# What the custom resource has room for: one field too long and the API server refuses the whole status.
MAX_TOKEN, MAX_THRESHOLD, MAX_NOTE, MAX_LINE, MAX_FILE, MAX_MESSAGE = 64, 32, 200, 256, 512, 1024
MAX_THRESHOLDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """Everything that OOMNode.status tells."""

    facts: NodeFacts
    kubelet: KubeletFacts | None
    kubelet_version: str | None
    desired: Desired
    kept: KeptState
    account: Account
    kmsg_problem: str | None
    """Why the kernel log cannot be read; None where it can."""
    panics: Document
    """The note of `panics.panics_of`."""


def build_status(view: NodeView, *, before: Document | None, now: str) -> Document:
    """The status; `before` is the one published last, from which unchanged conditions keep their
    lastTransitionTime."""
    facts = view.facts
    status: Document = {
        "agentVersion": __version__,
        "kernel": {
            "release": facts.kernel_release,
            "bootID": facts.boot_id,
            "cgroupVersion": facts.cgroup_version,
            "pageSizeBytes": facts.page_size_bytes,
            "memory": f"{facts.memory_bytes // 1024}Ki",
            "swap": f"{facts.swap_bytes // 1024}Ki",
            "cpus": facts.cpus,
            "numaNodes": len(facts.online_nodes) or 1,
        },
        "sysctls": [_sysctl(one) for one in view.kept.views],
        "counters": {
            "kernelKills": view.account.vmstat_oom_kill,
            "recorded": view.account.recorded,
            "unattributed": view.account.unattributed,
            "lostLogRecords": view.account.lost_records,
            "panics": view.panics["count"],
            **({"since": view.account.since} if view.account.since else {}),
        },
        "conditions": _conditions(view, before=(before or {}).get("conditions", []), now=now),
    }
    if view.kept.adjustments:
        status["oomScoreAdjustments"] = [_adjustment(one) for one in view.kept.adjustments]
    if view.desired.generation is not None:
        status["observedGeneration"] = view.desired.generation
    if view.panics["last"] is not None:
        status["lastPanic"] = _last_panic(view.panics["last"])
    kubelet = _kubelet(view)
    if kubelet:
        status["kubelet"] = kubelet
    return status


def _last_panic(last: Document) -> Document:
    fields = {
        "time": last["time"],
        "bootID": last["bootID"],
        "cause": last["cause"],
        "message": _cut(last["message"], MAX_MESSAGE),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _kubelet(view: NodeView) -> Document:
    found: Document = {"version": _cut(view.kubelet_version, MAX_TOKEN)}
    if view.kubelet is not None:
        found |= {
            "protectKernelDefaults": view.kubelet.protect_kernel_defaults,
            "singleProcessOOMKill": view.kubelet.single_process_oom_kill,
            "evictionHard": _thresholds(view.kubelet) or None,
            "configFile": _cut(view.kubelet.config_file, MAX_FILE),
        }
    return {name: value for name, value in found.items() if value is not None}


def _thresholds(kubelet: KubeletFacts) -> dict[str, str]:
    thresholds = sorted(kubelet.eviction_hard.items())[:MAX_THRESHOLDS]
    return {signal: value[:MAX_THRESHOLD] for signal, value in thresholds}


def _cut(text: str | None, length: int) -> str | None:
    return None if text is None else text[:length]


def _sysctl(one: SysctlView) -> Document:
    fields = {
        "name": one.key,
        "desired": one.desired,
        "actual": one.actual,
        "original": one.original,
        "policy": one.policy,
        "mode": one.mode,
        "state": one.state,
        "reason": one.reason,
        "message": _cut(one.message, MAX_MESSAGE),
        "persisted": one.persisted,
        "driftCount": one.drift_count,
        "lastDriftTime": one.last_drift,
        "suspectedWriter": _cut(one.suspected_writer, MAX_LINE),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _adjustment(one: AdjustmentStatus) -> Document:
    fields = {
        "policy": one.policy,
        "name": one.name,
        "value": one.value,
        "mode": one.mode,
        "state": one.state,
        "reason": _cut(one.reason, MAX_TOKEN),
        "message": _cut(one.message, MAX_NOTE),
        "pods": one.pods,
        "inForce": one.in_force,
        "failed": one.failed or None,
        "overridden": one.overridden or None,
        "overriddenBy": one.overridden_by,
        "differing": one.differing or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _conditions(view: NodeView, *, before: list[Document], now: str) -> list[Document]:
    old = {condition["type"]: condition for condition in before}
    conditions = []
    for kind, (status, reason, message) in _outcomes(view).items():
        known = old.get(kind)
        since = known["lastTransitionTime"] if known and known["status"] == status else now
        condition = {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": _cut(message, MAX_MESSAGE),
            "lastTransitionTime": since,
        }
        if view.desired.generation is not None:
            condition["observedGeneration"] = view.desired.generation
        conditions.append(condition)
    return conditions


def _outcomes(view: NodeView) -> dict[str, tuple[str, str, str]]:
    """Condition type -> (status, reason, message)."""
    views, adjustments = view.kept.views, view.kept.adjustments
    not_applied = [one for one in views if one.mode != "Audit" and one.state != "InSync"]
    not_adjusted = [one for one in adjustments if one.mode != "Audit" and one.state != "InSync"]
    fights = [one for one in views if one.reason == "FightingForeignWriter"]
    unsupported = [one for one in views if one.state == "Unsupported"]
    if not views and not adjustments:
        applied = ("True", "NothingDesired", "No policy selects a sysctl or process of this node.")
    elif not_applied:
        first = not_applied[0]
        applied = (
            "False",
            first.reason or first.state,
            _names(not_applied) + ": " + (first.message or first.state),
        )
    elif not_adjusted:
        applied = ("False", not_adjusted[0].reason or not_adjusted[0].state, _unadjusted(not_adjusted))
    else:
        applied = ("True", "InSync", _in_sync(len(views), len(adjustments)))
    failing = [one for one in not_adjusted if one.state != "Pending"]
    if view.desired.problems:
        degraded = ("True", "InvalidSpec", "; ".join(view.desired.problems)[:1000])
    elif fights:
        degraded = ("True", "FightingForeignWriter", fights[0].message or _names(fights))
    elif not_applied:
        degraded = (
            "True",
            not_applied[0].reason or "NotApplied",
            not_applied[0].message or _names(not_applied),
        )
    elif failing or view.kept.stuck_adjustments:
        said = _unadjusted(failing) if failing else view.kept.stuck_adjustments or ""
        degraded = ("True", "AdjustmentsNotApplied", said)
    else:
        degraded = ("False", "AsExpected", "Nothing stands in the way.")
    if view.kept.persistent_problem is not None:
        persistent = ("False", "DropInNotWritten", view.kept.persistent_problem)
    elif view.kept.wants_persistence:
        persistent = (
            "True",
            "DropInWritten",
            "The drop-in under /etc/sysctl.d holds the persistent sysctls.",
        )
    else:
        persistent = ("True", "NotWanted", "No policy asks for persistence here.")
    readable = (
        ("True", "Reading", "Every kernel log record is read with its sequence number.")
        if view.kmsg_problem is None
        else ("False", "Unreadable", view.kmsg_problem)
    )
    supported = (
        ("False", "SysctlMissing", f"this kernel has no {_names(unsupported)}")
        if unsupported
        else ("True", "Supported", "This kernel has every sysctl that is asked for.")
    )
    return {
        "Applied": applied,
        "Degraded": degraded,
        "Persistent": persistent,
        "KernelLogReadable": readable,
        "Supported": supported,
    }


def _names(views: list[SysctlView]) -> str:
    return ", ".join(one.key for one in views)


def _unadjusted(views: list[AdjustmentStatus]) -> str:
    """What stands in the way of the first, and how many more there are. No counts of processes: they
    change."""
    first = views[0]
    more = f" (and {len(views) - 1} more)" if len(views) > 1 else ""
    return f"oomScoreAdjustments {first.name} of {first.policy}{more}: {first.message or first.state}"


def _in_sync(sysctls: int, adjustments: int) -> str:
    parts = [f"{sysctls} sysctls"] * bool(sysctls) + [f"{adjustments} oomScoreAdjustments"] * bool(
        adjustments
    )
    return f"{' and '.join(parts)} are as the policies say."
