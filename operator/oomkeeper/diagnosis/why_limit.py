"""The first half of a summary where a cgroup reached its limit: one function per cause."""

from ..kernel.cgroup.containers import container_of_limit
from ..kernel.cgroup.managers import parse_managed
from ..model.escaping import printable
from ..model.units import bytes_text
from .case import Case
from .children import child_name, largest_child, largest_workload
from .filling import filled
from .names import cgroup_name, container_name, limit_phrase, pod_name, unit_of
from .resize import lag_of


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def container(case: Case) -> str:
    """Name a container and its limit, which may be counted at the pod's cgroup."""
    equal = case.equal_container
    name = f"container {equal.name} of {pod_name(case)}" if equal is not None else container_name(case)
    return f"{_first_upper(name)} reached {limit_phrase(case)}{filled(case)}"


def pod(case: Case) -> str:
    """Name a pod and its limit."""
    shared = ""
    if case.pod is not None and case.pod.limit_bytes is not None:
        shared = ", set on the pod itself"
    elif case.pod is not None and len(case.pod.containers) > 1 and lag_of(case) is None:
        shared = f", the sum of its {len(case.pod.containers)} containers' limits"
    return (
        f"{_first_upper(pod_name(case))} reached {limit_phrase(case)}{shared}{filled(case)}"
        f"{_largest_container(case)}"
    )


_MOST_OF_IT = 0.3
"""Of the usage: a process with less did not fill the memory alone."""


def _largest_container(case: Case) -> str:
    """Name the container of the pod that used most, where the report shows it: often not the victim's."""
    child = largest_child(case.kill)
    if child is None:
        return ""
    return f", the largest part ({bytes_text(child.bytes)}) used by {child_name(child, case.pod)}"


def _largest_user(case: Case) -> str:
    """Name the pod, container or unit that used most. cgroup v2 lists only processes: the largest is
    named unless the sentence names it as the victim."""
    child = largest_workload(case.kill)
    if child is not None:
        name = child_name(child, case.pod, with_pod=True)
        return f", the largest part ({bytes_text(child.bytes)}) used by {name}"
    task, usage = case.largest_task(), case.binding.usage_bytes
    if task is None or not usage or case.task_bytes(task) < usage * _MOST_OF_IT:
        return ""
    if case.victim is not None and task.pid == case.victim.pid:
        return ""
    return f", {bytes_text(case.task_bytes(task))} of it used by {printable(task.comm)} (pid {task.pid})"


def qos(case: Case) -> str:
    """Name a QoS class and its limit."""
    cgroup = case.victim_cgroup
    name = f"QoS class {cgroup.qos}" if cgroup is not None and cgroup.qos else "one QoS class"
    return (
        f"All pods of {name} together reached {limit_phrase(case, 'their memory limit')}{filled(case)}"
        f"{_largest_user(case)}"
    )


def allocatable(case: Case) -> str:
    """Name the limit of all pods together."""
    return (
        f"All pods of the node together reached {limit_phrase(case, 'the node allocatable memory limit')}"
        f"{filled(case)}{_largest_user(case)}"
    )


def cgroup(case: Case) -> str:
    """Name a cgroup outside Kubernetes, the victim's own."""
    path = case.kill.oom_memcg
    what = "its memory limit"
    own_limit = path is not None and container_of_limit(path) is None and parse_managed(path) is None
    if path is not None and own_limit and unit_of(path) is not None:
        what = "its memory limit (MemoryMax)"
    return f"{cgroup_name(path)} reached {limit_phrase(case, what)}{filled(case)}"


def system(case: Case) -> str:
    """Name the cgroup of the node's system services."""
    return (
        f"All system daemons in {printable(case.kill.oom_memcg or '?')} together reached "
        f"{limit_phrase(case, 'their memory limit')}{filled(case)}{_largest_user(case)}"
    )


def ancestor(case: Case) -> str:
    """Name a parent of the victim's cgroup."""
    victim = printable(case.kill.task_memcg or "?")
    return (
        f"{cgroup_name(case.kill.oom_memcg)}, a parent of the victim's cgroup {victim}, reached "
        f"{limit_phrase(case)}{filled(case)}{_largest_user(case)}"
    )


def enclosing(case: Case) -> str:
    """Name the cgroup that contains the whole node."""
    return (
        f"Cgroup {printable(case.kill.oom_memcg or '?')}, which contains the whole node, reached "
        f"{limit_phrase(case)}{filled(case)}{_largest_user(case)}"
    )


def unknown_cgroup(case: Case) -> str:
    """Name a cgroup whose relation to the victim is unknown, or one that the log does not name."""
    return f"{cgroup_name(case.kill.oom_memcg)} reached {limit_phrase(case)}{filled(case)}"
