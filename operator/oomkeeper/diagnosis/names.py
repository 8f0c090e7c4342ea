"""Names and limits as they appear in a sentence."""

from ..kernel.cgroup.containers import parse_container
from ..kernel.cgroup.kubepods import parse_kube_cgroup
from ..kernel.cgroup.managers import parse_managed
from ..model.cause import BindingCounter
from ..model.escaping import printable
from ..model.units import bytes_text
from .case import Case

_UNITS = {"service": "Service", "scope": "Scope", "slice": "Slice"}


def pod_name(case: Case) -> str:
    """Return `pod NAMESPACE/NAME`, or the pod's uid where only its cgroup is known."""
    if case.pod is not None:
        return f"pod {case.pod.namespace}/{case.pod.name}"
    cgroup = case.victim_cgroup
    return f"pod {cgroup.pod_uid}" if cgroup is not None and cgroup.pod_uid else "a pod"


def container_name(case: Case) -> str:
    """Return the victim's container with its pod."""
    if case.container is not None:
        return f"container {case.container.name} of {pod_name(case)}"
    cgroup = case.victim_cgroup
    if cgroup is not None and cgroup.container_id:
        return f"container {cgroup.container_id[:12]} of {pod_name(case)}"
    return f"a container of {pod_name(case)}"


def cgroup_name(path: str | None) -> str:
    """Return a cgroup outside Kubernetes by the name that its owner uses: `Service nginx.service`, `Docker
    container 0123456789ab`, `Cgroup /a/b`."""
    if path is None:
        return "A cgroup that the log does not name"
    container = parse_container(path)
    if container is not None:
        name = f"{container.runtime} container {container.id[:12]}"
        return f"Cgroup {printable(container.inner)} in {name}" if container.inner else name
    managed = parse_managed(path)
    if managed is not None and not managed.inner:
        name = printable(managed.text)
        return name[:1].upper() + name[1:]
    unit = unit_of(path)
    if unit is not None:
        return f"{_UNITS[unit.rpartition('.')[2]]} {printable(unit)}"
    return f"Cgroup {printable(path)}"


def workload_name(path: str) -> str | None:
    """Return the workload that a cgroup belongs to, in a sentence: `container 0123456789ab of pod UID`,
    `Docker container 0123456789ab`, `Slurm job 12`, `postgresql.service`; None for another cgroup."""
    kube = parse_kube_cgroup(path)
    if kube is not None and kube.pod_uid is not None:
        pod = f"pod {kube.pod_uid}"
        return f"container {kube.container_id[:12]} of {pod}" if kube.container_id else pod
    if kube is not None:
        return None
    container = parse_container(path)
    if container is not None:
        return f"{container.runtime} container {container.id[:12]}"
    managed = parse_managed(path)
    if managed is not None:
        return printable(managed.text)
    # The innermost unit that is no slice: `user@1000.service/app.slice/app-a.scope` is app-a.scope.
    units = [name for name in path.split("/") if unit_of(name) is not None and not name.endswith(".slice")]
    return printable(units[-1]) if units else None


def unit_of(path: str) -> str | None:
    """Return the systemd unit whose cgroup the path is, or None."""
    name = path.rstrip("/").rpartition("/")[2]
    return name if name.rpartition(".")[2] in _UNITS and name.rpartition(".")[0] else None


def swap_limit_is_memory_limit(case: Case) -> bool:
    """Return whether memory+swap was at its limit and has the same limit as memory: this is how container
    runtimes forbid swap on cgroup v1. The counter that a charge tries first is the one that fails it."""
    memory, both = case.kill.memory.memory, case.kill.memory.memory_swap
    return (
        case.binding.counter is BindingCounter.MEMORY_SWAP
        and memory is not None
        and both is not None
        and memory.limit_bytes == both.limit_bytes
    )


def limit_phrase(case: Case, what: str = "its memory limit") -> str:
    """Return `its memory limit of 80 MiB (usage 79.5 MiB)`."""
    limit, usage = case.binding.limit_bytes, case.binding.usage_bytes
    also = ""
    if swap_limit_is_memory_limit(case):
        also = " (memory+swap has the same limit)"
    elif case.binding.counter is BindingCounter.MEMORY_SWAP:
        what = what.replace("memory limit", "memory+swap limit")
    elif case.binding.counter is BindingCounter.KMEM:
        what = what.replace("memory limit", "kernel memory limit")
    if limit is None:
        return what + (f" (usage {bytes_text(usage)})" if usage is not None else "")
    used = (
        f" (usage {bytes_text(usage)})"
        if bytes_text(usage, missing=bytes_text(limit)) != bytes_text(limit)
        else ""
    )
    return f"{what} of {bytes_text(limit)}{used}{also}"
