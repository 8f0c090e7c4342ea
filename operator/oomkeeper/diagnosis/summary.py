"""One sentence that a tired person understands: whose memory ran out and why, and who died of it."""

from collections.abc import Callable

from ..model.cause import BindingCounter, Cause, ContributorName, Outcome
from .case import Case, resident_bytes
from .children import child_name, largest_child
from .nodes import allowed_nodes
from .units import percent, size
from .zones import ZonesState

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
"""Causes that say nothing of the pod the victim lived in."""


def summarize(case: Case) -> str:
    """The summary of a case, without markup."""
    return f"{_WHY[case.cause](case)}; {_what_came(case)}."


def printable(text: str) -> str:
    """A name as it may stand in a sentence: control characters, which a process may put into its comm, are
    escaped."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def pod_name(case: Case) -> str:
    """The pod as people call it, or as its cgroup names it."""
    if case.pod is not None:
        return f"pod {case.pod.namespace}/{case.pod.name}"
    cgroup = case.victim_cgroup
    return f"pod {cgroup.pod_uid}" if cgroup is not None and cgroup.pod_uid else "a pod"


def container_name(case: Case) -> str:
    """The victim's container with its pod."""
    if case.container is not None:
        return f"container {case.container.name} of {pod_name(case)}"
    cgroup = case.victim_cgroup
    if cgroup is not None and cgroup.container_id:
        return f"container {cgroup.container_id[:12]} of {pod_name(case)}"
    return f"a container of {pod_name(case)}"


def limit_phrase(case: Case, what: str = "its memory limit") -> str:
    """`its memory limit of 80 MiB (usage 80 MiB)`."""
    limit, usage = case.binding.limit_bytes, case.binding.usage_bytes
    if case.binding.counter is BindingCounter.MEMORY_SWAP:
        what = what.replace("memory limit", "memory+swap limit")
    elif case.binding.counter is BindingCounter.KMEM:
        what = what.replace("memory limit", "kernel memory limit")
    if limit is None:
        return what + (f" (usage {size(usage)})" if usage is not None else "")
    used = f" (usage {size(usage)})" if usage is not None and usage != limit else ""
    return f"{what} of {size(limit)}{used}"


# Who died


def _what_came(case: Case) -> str:
    kill = case.kill
    if case.outcome is Outcome.PANICKED:
        return f"the kernel panicked ({printable(kill.panic or '')})"
    victim = case.victim
    if victim is None:
        if kill.already_exiting:
            return (
                f"the process chosen (pid {kill.already_exiting[0]}) was exiting already, so none was killed"
            )
        if kill.no_killable:
            return "no process could be killed"
        return "the log does not show who was killed"
    resident = resident_bytes(victim)
    held = f", {size(resident)} resident" if resident is not None else ""
    name = f"{printable(victim.comm) or 'a process'} (pid {victim.pid}{held})"
    if case.outcome is Outcome.KILLED_GROUP and len(kill.victims) > 1:
        return f"the kernel killed all {len(kill.victims)} processes of the group, first {name}"
    return f"the kernel killed {name}{_whereabouts(case)}"


def _whereabouts(case: Case) -> str:
    """The victim's container, unless the first half of the sentence names it."""
    if case.is_sandbox:
        return " in its sandbox, which holds next to nothing"
    cgroup = case.victim_cgroup
    if cgroup is None or cgroup.container_id is None or case.equal_container is not None:
        return ""
    if case.cause is Cause.POD_LIMIT:
        alone = case.container.name if case.container is not None else cgroup.container_id[:12]
        return f" in its container {alone}"
    return f" in {container_name(case)}" if case.cause in _SHARED else ""


# Why: one function per cause


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _container(case: Case) -> str:
    return f"{_first_upper(container_name(case))} reached {limit_phrase(case)}{_filled(case)}"


def _pod(case: Case) -> str:
    equal = case.equal_container
    if equal is not None:
        return (
            f"Container {equal.name} of {pod_name(case)} reached {limit_phrase(case)}, counted at the pod's "
            f"cgroup, whose limit is the same{_filled(case)}"
        )
    shared = ""
    if case.pod is not None and case.pod.limit_bytes is not None:
        shared = ", set on the pod itself"
    elif case.pod is not None and len(case.pod.containers) > 1:
        shared = f", the sum of its {len(case.pod.containers)} containers' limits"
    return (
        f"{_first_upper(pod_name(case))} reached {limit_phrase(case)}{shared}{_filled(case)}{_blamed(case)}"
    )


def _blamed(case: Case) -> str:
    """Where the report tells, the child that filled the parent: often another than the one that died."""
    child = largest_child(case.kill)
    if child is None:
        return ""
    return f", most of it ({size(child.bytes)}) used by {printable(child_name(child, case.pod))}"


def _qos(case: Case) -> str:
    cgroup = case.victim_cgroup
    name = cgroup.qos if cgroup is not None and cgroup.qos else "this QoS class"
    return (
        f"All pods of class {name} together reached {limit_phrase(case, 'their memory limit')}{_filled(case)}"
    )


def _allocatable(case: Case) -> str:
    return (
        f"All pods of the node together reached {limit_phrase(case, 'the node allocatable memory limit')}"
        f"{_filled(case)}"
    )


def _cgroup(case: Case) -> str:
    limit = limit_phrase(case, "its own memory limit")
    return f"Cgroup {printable(case.kill.oom_memcg or '?')} reached {limit}{_filled(case)}"


def _system(case: Case) -> str:
    return (
        f"System cgroup {printable(case.kill.oom_memcg or '?')} reached {limit_phrase(case)}{_filled(case)}"
    )


def _ancestor(case: Case) -> str:
    victim = printable(case.kill.task_memcg or "?")
    return (
        f"Cgroup {printable(case.kill.oom_memcg or '?')}, a parent of the victim's {victim}, reached "
        f"{limit_phrase(case)}{_filled(case)}{_blamed(case)}"
    )


def _enclosing(case: Case) -> str:
    return (
        f"Cgroup {printable(case.kill.oom_memcg or '?')}, which holds this whole node, reached "
        f"{limit_phrase(case)}{_filled(case)}"
    )


def _unknown_cgroup(case: Case) -> str:
    path = case.kill.oom_memcg
    name = f"Cgroup {printable(path)}" if path else "A cgroup that the log does not name"
    return f"{name} reached {limit_phrase(case)}{_filled(case)}"


def _node(case: Case) -> str:
    zones = case.shortage.zones if case.shortage else None
    free = ""
    if zones is not None and zones.eligible and all(state.short for state in zones.eligible):
        shown = "" if case.kill.memory.mem_info_pages else " shown"
        free = f" (free memory was below the minimum of every zone{shown})"
    return f"The node ran out of memory{free}{_swap(case)}{_filled(case)}"


def _zone(case: Case) -> str:
    zones = case.shortage.zones if case.shortage else None
    if zones is None or not zones.eligible:
        return "A memory zone ran out"
    names = list(dict.fromkeys(state.zone.name for state in zones.eligible))
    which = (
        f"Zones {' and '.join(names)}, the only ones" if len(names) > 1 else f"Zone {names[0]}, the only one"
    )
    return (
        f"{which} this request could use, ran out ({_free_against_mark(zones)}) while "
        f"{size(zones.unusable_free_bytes)} were free in {' and '.join(zones.unusable_names)}"
    )


def _free_against_mark(zones: ZonesState) -> str:
    worst = max(zones.eligible, key=lambda state: state.zone.fields_bytes.get("managed", 0))
    return f"{size(max(0, worst.usable_free_bytes))} free, minimum {size(worst.mark_bytes)}"


def _numa(case: Case) -> str:
    what = "memory policy binds" if case.cause is Cause.NUMA_MEMORY_POLICY else "cpuset binds"
    allowed = sorted(allowed_nodes(case.kill) or ())
    nodes = ", ".join(map(str, allowed)) if allowed else "?"
    where = f"NUMA node{'s' if len(allowed) > 1 else ''} {nodes}"
    task = printable(case.kill.invoker.comm) if case.kill.invoker else "the task"
    zones = case.shortage.zones if case.shortage else None
    if zones is not None and not zones.eligible and zones.unusable_names:
        return (
            f"{where}, to which the {what} {task}, has no zone that this request may use (only "
            f"{' and '.join(zones.unusable_names)}, {size(zones.unusable_free_bytes)} free)"
        )
    elsewhere = free_elsewhere_bytes(case)
    rest = f", while {size(elsewhere)} were free elsewhere" if elsewhere else ""
    return f"{where}, to which the {what} {task}, ran out of memory{rest}"


def free_elsewhere_bytes(case: Case) -> int | None:
    """Free memory that the request might not use: the counts after Mem-Info hold all nodes, the zone lines
    only the nodes allowed."""
    memory = case.kill.memory
    free = memory.mem_info_pages.get("free")
    filtered = bool(memory.node_fields_bytes) or case.kill.constraint is not None
    if free is None or not memory.zones or not filtered:
        return None
    rest = free * memory.page_size_bytes - sum(zone.fields_bytes.get("free", 0) for zone in memory.zones)
    return rest if rest > 1 << 20 else None


def _fragmented(case: Case) -> str:
    kill = case.kill
    order = kill.invoker.order if kill.invoker and kill.invoker.order else 0
    block = size(kill.memory.page_size_bytes << order)
    zones = case.shortage.zones if case.shortage else None
    above = [state for state in zones.eligible if not state.short] if zones is not None else []
    free = sum(state.usable_free_bytes for state in above)
    names = " and ".join(dict.fromkeys(state.zone.name for state in above))
    return (
        f"Memory was fragmented: {size(free)} were free in zone {names}, but no block of {block} (order "
        f"{order}) in one "
        "piece that the request could use"
    )


def _manual(_: Case) -> str:
    return "Somebody asked the kernel to kill a process (SysRq f); memory had not run out"


def _external(case: Case) -> str:
    usage = case.binding.usage_bytes
    held = f" in {printable(case.kill.oom_memcg)}" if case.kill.oom_memcg else ""
    used = f" (usage {size(usage)})" if usage is not None else ""
    who = printable(case.kill.constraint or "BPF")
    return f"A policy outside the kernel ({who}) asked for a kill{held}{used}; no limit was met"


def _no_killable(case: Case) -> str:
    where = f"Cgroup {printable(case.kill.oom_memcg)}" if case.kill.oom_memcg else "The node"
    return f"{where} ran out of memory and every process is exempt or already dying{_filled(case)}"


def _unknown(_: Case) -> str:
    return "The log does not show what ran out of memory"


def _swap(case: Case) -> str:
    total, free = case.kill.memory.swap_total_bytes, case.kill.memory.swap_free_bytes
    if total is None:
        return ""
    if total == 0:
        return " without swap"
    if free is not None and free * 100 < total:
        return f" with all {size(total)} of swap in use"
    return ""


_FILLED = {
    ContributorName.SHARED_MEMORY: "shared memory and tmpfs",
    ContributorName.DIRTY_PAGE_CACHE: "page cache not yet written to disk",
    ContributorName.KERNEL_SLAB: "kernel memory",
    ContributorName.PAGE_TABLES: "page tables",
    ContributorName.HUGE_PAGES: "huge pages set aside",
    ContributorName.SOCKETS: "socket buffers",
    ContributorName.UNACCOUNTED: "memory that no counter explains",
}


def _filled(case: Case) -> str:
    """Named only where it is not what everybody expects, the processes' own memory."""
    if not case.contributors:
        return ""
    top = case.contributors[0]
    phrase = _FILLED.get(top.name)
    if phrase is None or (top.share < 0.3 and not (top.share == 0 and top.detail)):
        return ""
    detail = f" {printable(top.detail)}" if top.detail and top.name is ContributorName.KERNEL_SLAB else ""
    share = f" ({percent(top.share)})" if top.share else ""
    return f", mostly filled by {phrase}{detail}: {size(top.bytes)}{share}"


_WHY: dict[Cause, Callable[[Case], str]] = {
    Cause.CONTAINER_LIMIT: _container,
    Cause.POD_LIMIT: _pod,
    Cause.QOS_LIMIT: _qos,
    Cause.NODE_ALLOCATABLE_LIMIT: _allocatable,
    Cause.SYSTEM_SLICE_LIMIT: _system,
    Cause.ENCLOSING_LIMIT: _enclosing,
    Cause.CGROUP_LIMIT: _cgroup,
    Cause.ANCESTOR_CGROUP_LIMIT: _ancestor,
    Cause.UNKNOWN_CGROUP_LIMIT: _unknown_cgroup,
    Cause.NODE_MEMORY: _node,
    Cause.ZONE_MEMORY: _zone,
    Cause.NUMA_MEMORY_POLICY: _numa,
    Cause.NUMA_CPUSET: _numa,
    Cause.FRAGMENTATION: _fragmented,
    Cause.MANUAL_TRIGGER: _manual,
    Cause.EXTERNAL_POLICY: _external,
    Cause.NO_KILLABLE_PROCESS: _no_killable,
    Cause.UNKNOWN: _unknown,
}
