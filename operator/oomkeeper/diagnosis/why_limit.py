"""The half of a summary that says whose limit was met: one function per level."""

from .case import Case
from .children import child_name, largest_child
from .filling import filled
from .names import container_name, limit_phrase, pod_name, printable
from .units import size


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def container(case: Case) -> str:
    """A container."""
    return f"{_first_upper(container_name(case))} reached {limit_phrase(case)}{filled(case)}"


def pod(case: Case) -> str:
    """A pod, or the one container whose limit is the pod's."""
    equal = case.equal_container
    if equal is not None:
        return (
            f"Container {equal.name} of {pod_name(case)} reached {limit_phrase(case)}, counted at the pod's "
            f"cgroup, whose limit is the same{filled(case)}"
        )
    shared = ""
    if case.pod is not None and case.pod.limit_bytes is not None:
        shared = ", set on the pod itself"
    elif case.pod is not None and len(case.pod.containers) > 1:
        shared = f", the sum of its {len(case.pod.containers)} containers' limits"
    return f"{_first_upper(pod_name(case))} reached {limit_phrase(case)}{shared}{filled(case)}{_blamed(case)}"


def _blamed(case: Case) -> str:
    """Where the report tells, the child that filled the parent: often another than the one that died."""
    child = largest_child(case.kill)
    if child is None:
        return ""
    return f", most of it ({size(child.bytes)}) used by {printable(child_name(child, case.pod))}"


def qos(case: Case) -> str:
    """A QoS class."""
    cgroup = case.victim_cgroup
    name = cgroup.qos if cgroup is not None and cgroup.qos else "this QoS class"
    return (
        f"All pods of class {name} together reached {limit_phrase(case, 'their memory limit')}{filled(case)}"
    )


def allocatable(case: Case) -> str:
    """All pods together."""
    return (
        f"All pods of the node together reached {limit_phrase(case, 'the node allocatable memory limit')}"
        f"{filled(case)}"
    )


def cgroup(case: Case) -> str:
    """A cgroup outside Kubernetes, the victim's own."""
    limit = limit_phrase(case, "its own memory limit")
    return f"Cgroup {printable(case.kill.oom_memcg or '?')} reached {limit}{filled(case)}"


def system(case: Case) -> str:
    """The daemons of the node."""
    return f"System cgroup {printable(case.kill.oom_memcg or '?')} reached {limit_phrase(case)}{filled(case)}"


def ancestor(case: Case) -> str:
    """A parent of the victim's cgroup."""
    victim = printable(case.kill.task_memcg or "?")
    return (
        f"Cgroup {printable(case.kill.oom_memcg or '?')}, a parent of the victim's {victim}, reached "
        f"{limit_phrase(case)}{filled(case)}{_blamed(case)}"
    )


def enclosing(case: Case) -> str:
    """What holds the whole node."""
    return (
        f"Cgroup {printable(case.kill.oom_memcg or '?')}, which holds this whole node, reached "
        f"{limit_phrase(case)}{filled(case)}"
    )


def unknown_cgroup(case: Case) -> str:
    """A cgroup that the log does not name, or not how it relates to the victim."""
    path = case.kill.oom_memcg
    name = f"Cgroup {printable(path)}" if path else "A cgroup that the log does not name"
    return f"{name} reached {limit_phrase(case)}{filled(case)}"
