"""The summary: one sentence for an on-call engineer, what ran out of memory and which process was killed."""

from collections.abc import Callable

from ..model.cause import Cause, Outcome
from ..model.escaping import printable
from ..model.units import bytes_text
from . import why_limit, why_node
from .case import Case, resident_bytes
from .filling import filled
from .names import container_name

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
    }
)
"""Causes whose first half of the sentence does not name the victim's pod."""


def summarize(case: Case) -> str:
    """Return the summary of a case: one sentence without markup."""
    return f"{_WHY[case.cause](case)}; {_what_came(case)}."


def _what_came(case: Case) -> str:
    kill = case.kill
    if case.outcome is Outcome.PANICKED:
        panicked = f"the kernel panicked ({printable(kill.panic or '')})"
        return f"no process could be killed, so {panicked}" if kill.no_killable else panicked
    victim = case.victim
    if victim is None:
        if kill.already_exiting:
            return (
                f"the chosen process (pid {kill.already_exiting[0]}) was already exiting, so no process was "
                "killed"
            )
        if kill.no_killable:
            return "no process could be killed, because all are exempt or already exiting"
        return "the log does not show which process was killed"
    resident = resident_bytes(victim)
    held = f", {bytes_text(resident)} resident" if resident is not None else ""
    name = f"{printable(victim.comm) or 'a process'} (pid {victim.pid}{held})"
    if case.outcome is Outcome.KILLED_GROUP and len(kill.victims) > 1:
        return f"the kernel killed all {len(kill.victims)} processes of the group, first {name}"
    return f"the kernel killed {name}{_whereabouts(case)}"


def _whereabouts(case: Case) -> str:
    """Return the victim's container, unless the first half of the sentence names it."""
    if case.is_sandbox:
        return " of the pod's sandbox, which uses almost no memory"
    cgroup = case.victim_cgroup
    if cgroup is None or cgroup.container_id is None or case.equal_container is not None:
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
    where = f"Cgroup {printable(case.kill.oom_memcg)}" if case.kill.oom_memcg else "The node"
    return f"{where} ran out of memory{filled(case)}"


def _unknown(_: Case) -> str:
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
