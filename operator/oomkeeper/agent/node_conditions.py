"""The conditions of OOMNode.status: type, status, reason and message. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from oomkeeper.model.policy import AdjustmentState, Mode, SysctlState
from oomkeeper.resources.oomnode import ObservedAdjustment, ObservedSysctl

from .sysctl_enforcer import FIGHT

if TYPE_CHECKING:
    from .nodestatus import NodeView


MAX_SKEW_SECONDS = 30.0
"""A node's clock that is further from the API server's is reported."""


class Outcome(NamedTuple):
    """One condition without its times."""

    status: str
    reason: str
    message: str


def outcomes(view: "NodeView") -> dict[str, Outcome]:
    """Return condition type -> outcome."""
    return {
        "Applied": _applied(view),
        "Degraded": _degraded(view),
        "Persistent": _persistent(view),
        "KernelLogReadable": _log_readable(view),
        "KillsTraced": _kills_traced(view),
        "Supported": _supported(view),
        "StateStored": _state_stored(view),
        "ClockInSync": _clock_in_sync(view),
    }


def _applied(view: "NodeView") -> Outcome:
    sysctls, adjustments = view.sysctls.statuses, view.adjustments
    if not sysctls and not adjustments:
        return Outcome("True", "NothingDesired", "No policy sets a sysctl or oom_score_adj on this node.")
    if bad := _sysctls_not_applied(view):
        first = bad[0]
        return Outcome("False", first.reason or first.state, f"{_names(bad)}: {first.message or first.state}")
    if waiting := _not_adjusted(view):
        return Outcome("False", waiting[0].reason or waiting[0].state, _first_adjustment(waiting))
    counts = [f"{len(sysctls)} sysctls"] * bool(sysctls)
    counts += [f"{len(adjustments)} oomScoreAdjustments"] * bool(adjustments)
    return Outcome("True", "InSync", f"{' and '.join(counts)} have their desired values.")


def _degraded(view: "NodeView") -> Outcome:
    not_applied = _sysctls_not_applied(view)
    fights = [one for one in view.sysctls.statuses if one.reason == FIGHT]
    failing = [one for one in _not_adjusted(view) if one.state != AdjustmentState.PENDING]
    if view.desired.problems:
        return Outcome("True", "InvalidSpec", "; ".join(view.desired.problems))
    if fights:
        return Outcome("True", FIGHT, fights[0].message or _names(fights))
    if not_applied:
        first = not_applied[0]
        return Outcome("True", first.reason or "NotApplied", first.message or _names(not_applied))
    if failing:
        return Outcome("True", "AdjustmentsNotApplied", _first_adjustment(failing))
    if view.adjustments_problem is not None:
        return Outcome("True", "AdjustmentsNotApplied", view.adjustments_problem)
    if view.rejections.number:
        return Outcome(
            "True",
            "DocumentsRejected",
            f"The API server rejects {view.rejections.number} OOMIncidents, for example "
            f"{view.rejections.example}",
        )
    return Outcome("False", "AsExpected", "All desired values are in force.")


def _persistent(view: "NodeView") -> Outcome:
    if view.sysctls.persistent_problem is not None:
        return Outcome("False", "DropInNotWritten", view.sysctls.persistent_problem)
    if view.sysctls.wants_persistence:
        return Outcome("True", "DropInWritten", "The drop-in under /etc/sysctl.d has the persistent sysctls.")
    return Outcome("True", "NotWanted", "No policy asks for persistence on this node.")


def _log_readable(view: "NodeView") -> Outcome:
    if view.log_problem is not None:
        return Outcome("False", "Unreadable", view.log_problem)
    if not view.log_numbered:
        return Outcome(
            "True",
            "ReadingSyslog",
            "The kernel log is read with syslog(2): the number of overwritten records is a lower bound.",
        )
    return Outcome("True", "Reading", "Every kernel log record is read with its sequence number.")


def _kills_traced(view: "NodeView") -> Outcome:
    if view.trace_problem is not None:
        return Outcome("False", "TracingUnavailable", view.trace_problem)
    return Outcome("True", "Recording", "Every kill is recorded by the kernel's trace as well.")


def _supported(view: "NodeView") -> Outcome:
    missing = [one for one in view.sysctls.statuses if one.state == SysctlState.UNSUPPORTED]
    if missing:
        return Outcome("False", "SysctlMissing", f"This kernel does not have {_names(missing)}.")
    return Outcome("True", "Supported", "This kernel has every desired sysctl.")


def _state_stored(view: "NodeView") -> Outcome:
    if view.state_problem is None:
        return Outcome("True", "OnDisk", "The agent's state is on disk.")
    dropped = f"; {view.state_dropped} records dropped" if view.state_dropped else ""
    return Outcome(
        "False",
        "InMemory",
        f"The agent's state is kept in memory until the disk takes it{dropped}: {view.state_problem}",
    )


def _clock_in_sync(view: "NodeView") -> Outcome:
    skew = view.clock_skew_seconds
    if skew is None:
        return Outcome("Unknown", "NotCompared", "The API server's clock has not been seen yet.")
    if abs(skew) < MAX_SKEW_SECONDS:
        return Outcome(
            "True", "InSync", f"The node's clock is within {MAX_SKEW_SECONDS:.0f} s of the API server's."
        )
    side = "behind" if skew > 0 else "ahead of"
    # In steps, so that a slewed clock is not a new status each time.
    seconds = round(abs(skew) / MAX_SKEW_SECONDS) * MAX_SKEW_SECONDS
    return Outcome(
        "False",
        "Skewed",
        f"The node's clock is about {seconds:.0f} s {side} the API server's: times of kills are off by that.",
    )


def _sysctls_not_applied(view: "NodeView") -> list[ObservedSysctl]:
    return [
        one for one in view.sysctls.statuses if one.mode != Mode.AUDIT and one.state != SysctlState.IN_SYNC
    ]


def _not_adjusted(view: "NodeView") -> list[ObservedAdjustment]:
    return [
        one for one in view.adjustments if one.mode != Mode.AUDIT and one.state != AdjustmentState.IN_SYNC
    ]


def _names(sysctls: Sequence[ObservedSysctl]) -> str:
    return ", ".join(one.name for one in sysctls)


def _first_adjustment(adjustments: Sequence[ObservedAdjustment]) -> str:
    """Return the problem of the first entry and the number of others. No counts of processes: they change."""
    first = adjustments[0]
    more = f" (and {len(adjustments) - 1} more)" if len(adjustments) > 1 else ""
    return f"oomScoreAdjustments {first.name} of {first.policy}{more}: {first.message or first.state}"
