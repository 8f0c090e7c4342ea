"""The summary: one sentence for an on-call engineer, what ran out of memory and which process was killed."""

from collections.abc import Callable

from ..model.cause import Cause, Outcome, Scope
from ..model.escaping import printable
from ..model.units import bytes_text
from . import why_limit, why_node
from .case import Case, no_process_existed, resident_bytes
from .contributors import managed_bytes
from .filling import filled
from .names import cgroup_name, container_name, limit_phrase, workload_name
from .page_fault import by_page_fault
from .resize import circumstance

_SHARED = frozenset(
    {
        Cause.QOS_LIMIT,
        Cause.NODE_ALLOCATABLE_LIMIT,
        Cause.ENCLOSING_LIMIT,
        Cause.NODE_MEMORY,
        Cause.ZONE_MEMORY,
        Cause.NUMA_CPUSET,
        Cause.NUMA_MEMORY_POLICY,
        Cause.FRAGMENTATION,
        Cause.MANUAL_TRIGGER,
        Cause.SYSTEM_SLICE_LIMIT,
        Cause.UNKNOWN_CGROUP_LIMIT,
        Cause.UNKNOWN,
    }
)
"""Causes whose first half of the sentence does not name the victim's pod."""


_LIMITS_OF_PODS = frozenset({Cause.CONTAINER_LIMIT, Cause.POD_LIMIT})


def summarize(case: Case) -> str:
    """Return the summary of a case: one sentence without markup."""
    if case.cause is Cause.UNKNOWN and _victim_unknown(case):
        return "The log does not show what ran out of memory or which process was killed."
    return f"{_WHY[case.cause](case)}{_circumstance(case)}; {_what_came(case)}."


def _victim_unknown(case: Case) -> bool:
    return case.outcome is Outcome.NO_VICTIM and not case.kill.already_exiting and not case.kill.no_killable


def _circumstance(case: Case) -> str:
    """Return what the call trace shows about the moment."""
    if case.kill.limit_lowered and case.scope is Scope.MEMCG:
        return ", because the limit was being lowered below the usage"
    if (resized := circumstance(case)) and case.cause in _LIMITS_OF_PODS:
        return resized
    if case.kill.swapoff:
        return " while swapoff moved swapped pages back into memory"
    return ""


def _what_came(case: Case) -> str:
    kill = case.kill
    if case.outcome is Outcome.PANICKED:
        panicked = f"the kernel panicked ({printable(kill.panic or '')})"
        if no_process_existed(kill):
            return f"there was no process to kill (the task table is empty), so {panicked}"
        return f"no process could be killed, so {panicked}" if kill.no_killable else panicked
    victim = case.victim
    if victim is None:
        if case.outcome is Outcome.KILLED_GROUP and kill.oom_group is not None:
            group = workload_name(kill.oom_group) or f"cgroup {printable(kill.oom_group)}"
            return f"the kernel killed all processes of {group}"
        if kill.already_exiting:
            return (
                f"the chosen process (pid {kill.already_exiting[0]}) was already exiting, so no process was "
                "killed"
            )
        if no_process_existed(kill):
            return "there was no process to kill (the task table is empty)"
        if kill.no_killable:
            return "no process could be killed, because all are exempt or already exiting"
        return "the log does not show which process was killed"
    resident = resident_bytes(victim)
    held = f", {bytes_text(resident)} resident" if resident is not None else ""
    name = f"{printable(victim.comm) or 'a process'} (pid {victim.pid}{held})"
    if case.outcome is Outcome.KILLED_GROUP and len(kill.victims) > 1:
        return (
            f"the kernel killed all {len(kill.victims)} processes of the group, first {name}"
            f"{_whereabouts(case)}"
        )
    return f"the kernel killed {name}{_whereabouts(case)}"


def _whereabouts(case: Case) -> str:
    """Return the victim's container, unless the first half of the sentence names it."""
    if case.is_sandbox:
        return " of the pod's sandbox, which uses almost no memory"
    cgroup = case.victim_cgroup
    if cgroup is None and case.cause in _SHARED and case.kill.task_memcg is not None:
        workload = workload_name(case.kill.task_memcg)
        return f" in {workload}" if workload is not None else ""
    if cgroup is None or cgroup.container_id is None:
        return ""
    if case.cause is Cause.POD_LIMIT:
        alone = case.container.name if case.container is not None else cgroup.container_id[:12]
        return f" in its container {alone}"
    return f" in {container_name(case)}" if case.cause in _SHARED else ""


def _manual(_: Case) -> str:
    return "An OOM kill was requested by hand (SysRq f), whether or not memory was short"


def _external(case: Case) -> str:
    usage = case.binding.usage_bytes
    held = f" in {printable(case.kill.oom_memcg)}" if case.kill.oom_memcg else ""
    used = f" (usage {bytes_text(usage)})" if usage is not None else ""
    who = printable(case.kill.constraint or "BPF")
    return f"A policy outside the kernel ({who}) requested a kill{held}{used}"


def _no_killable(case: Case) -> str:
    if case.scope is Scope.MEMCG and case.binding.limit_bytes is not None:
        return f"{cgroup_name(case.kill.oom_memcg)} reached {limit_phrase(case)}{filled(case)}"
    if case.scope is Scope.MEMCG:
        return f"{cgroup_name(case.kill.oom_memcg)} ran out of memory{filled(case)}"
    if case.scope is Scope.UNKNOWN:
        return "The log does not show whether a cgroup or the node ran out of memory"
    free = _free_above_marks(case)
    return f"An allocation failed {free}" if free else f"The node ran out of memory{filled(case)}"


def _free_above_marks(case: Case) -> str:
    """Return the free memory of a node that was not short of memory, else nothing."""
    zones = case.shortage.zones if case.shortage else None
    if zones is None or not zones.eligible or any(state.short for state in zones.eligible):
        return ""
    free = sum(zone.fields_bytes.get("free", 0) for zone in case.kill.memory.zones)
    managed = managed_bytes(case.kill.memory)
    of = f" of {bytes_text(managed)}" if managed else ""
    return f"although {bytes_text(free)}{of} was free"


def _unknown(case: Case) -> str:
    if by_page_fault(case.kill):
        return "A page fault failed, and the log does not show whether a cgroup or the node ran out of memory"
    return "The log does not show what ran out of memory"


_WHY: dict[Cause, Callable[[Case], str]] = {
    Cause.CONTAINER_LIMIT: why_limit.container,
    Cause.POD_LIMIT: why_limit.pod,
    Cause.QOS_LIMIT: why_limit.qos,
    Cause.NODE_ALLOCATABLE_LIMIT: why_limit.allocatable,
    Cause.SYSTEM_SLICE_LIMIT: why_limit.system,
    Cause.ENCLOSING_LIMIT: why_limit.enclosing,
    Cause.CGROUP_LIMIT: why_limit.cgroup,
    Cause.ANCESTOR_CGROUP_LIMIT: why_limit.ancestor,
    Cause.UNKNOWN_CGROUP_LIMIT: why_limit.unknown_cgroup,
    Cause.NODE_MEMORY: why_node.node,
    Cause.ZONE_MEMORY: why_node.zone,
    Cause.NUMA_MEMORY_POLICY: why_node.numa,
    Cause.NUMA_CPUSET: why_node.numa,
    Cause.FRAGMENTATION: why_node.fragmented,
    Cause.MANUAL_TRIGGER: _manual,
    Cause.EXTERNAL_POLICY: _external,
    Cause.NO_KILLABLE_PROCESS: _no_killable,
    Cause.UNKNOWN: _unknown,
}
