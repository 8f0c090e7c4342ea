"""Names and limits as a sentence puts them."""

from ..model.cause import BindingCounter
from .case import Case
from .units import size


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


def swap_limit_is_memory_limit(case: Case) -> bool:
    """Whether memory+swap was at its limit, and that limit is no other number than memory's: how runtimes
    forbid swap on cgroup v1. Of the two, which a charge asks first is the one that fails it."""
    memory, both = case.kill.memory.memory, case.kill.memory.memory_swap
    return (
        case.binding.counter is BindingCounter.MEMORY_SWAP
        and memory is not None
        and both is not None
        and memory.limit_bytes == both.limit_bytes
    )


def limit_phrase(case: Case, what: str = "its memory limit") -> str:
    """`its memory limit of 80 MiB (usage 80 MiB)`."""
    limit, usage = case.binding.limit_bytes, case.binding.usage_bytes
    also = ""
    if swap_limit_is_memory_limit(case):
        also = " (memory+swap is limited to the same)"
    elif case.binding.counter is BindingCounter.MEMORY_SWAP:
        what = what.replace("memory limit", "memory+swap limit")
    elif case.binding.counter is BindingCounter.KMEM:
        what = what.replace("memory limit", "kernel memory limit")
    if limit is None:
        return what + (f" (usage {size(usage)})" if usage is not None else "")
    used = f" (usage {size(usage)})" if usage is not None and usage != limit else ""
    return f"{what} of {size(limit)}{used}{also}"
