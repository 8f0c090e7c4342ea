"""Find the child cgroup that filled a parent: cgroup v1 prints the statistics of each cgroup below the limit
(until 5.2)."""

from typing import NamedTuple

from ..kernel.cgroup.containers import parse_container
from ..kernel.cgroup.kubepods import parse_kube_cgroup
from ..model.escaping import printable
from ..model.kill import Kill
from ..model.pod import PodFacts
from .names import workload_name

_CLEARLY = 0.3
"""Of the usage, more than counters per CPU and the kernel's own memory could explain."""


class Child(NamedTuple):
    """A cgroup below the limit, with what was charged to it alone."""

    path: str
    bytes: int
    alone: bool = True
    """False if `bytes` is the sum of several cgroups; `path` is the largest of them."""


def largest_child(kill: Kill) -> Child | None:
    """Return the descendant with the most memory; None where the report has no statistics per descendant."""
    children = [
        Child(path, stats.get("rss", 0) + stats.get("cache", 0))
        for path, stats in kill.memory.child_stats_bytes.items()
    ]
    top = max(children, key=lambda child: child.bytes, default=None)
    return top if top is not None and top.bytes > 0 else None


def largest_workload(kill: Kill) -> Child | None:
    """Return the pod, container or unit below the limit that used most, with the sum over its cgroups and
    the path of the largest of them."""
    sizes: dict[str, int] = {}
    largest: dict[str, Child] = {}
    for path, stats in kill.memory.child_stats_bytes.items():
        name, size = _workload(path), stats.get("rss", 0) + stats.get("cache", 0)
        sizes[name] = sizes.get(name, 0) + size
        if name not in largest or size > largest[name].bytes:
            largest[name] = Child(path, size)
    top = max(sizes, key=sizes.__getitem__, default=None)
    if top is None or sizes[top] == 0:
        return None
    return Child(largest[top].path, sizes[top], alone=sizes[top] == largest[top].bytes)


def _workload(path: str) -> str:
    """Return what the cgroups of one pod, container or unit have in common."""
    kube = parse_kube_cgroup(path)
    if kube is not None:
        return kube.pod_uid or path
    container = parse_container(path)
    return container.id if container is not None else workload_name(path) or path


def child_name(child: Child, pod: PodFacts | None, *, with_pod: bool = False) -> str:
    """Return the container's name, else its id, else its unit, else the last part of its path; `with_pod`
    names the pod, too."""
    cgroup = parse_kube_cgroup(child.path)
    if cgroup is None or cgroup.pod_uid is None:
        return workload_name(child.path) or f"cgroup {printable(child.path.rpartition('/')[2])}"
    of_pod = ""
    if with_pod:
        known = pod is not None and cgroup.pod_uid in (pod.uid, pod.cgroup_uid)
        of_pod = f" of pod {pod.namespace}/{pod.name}" if pod and known else f" of pod {cgroup.pod_uid}"
    if cgroup.container_id is None or not child.alone:
        return of_pod.removeprefix(" of ") or f"cgroup {printable(child.path.rpartition('/')[2])}"
    for container in pod.containers if pod is not None else ():
        if cgroup.container_id in container.container_ids:
            return f"container {container.name}{of_pod}"
    return f"container {cgroup.container_id[:12]}{of_pod}"


def outside_children_bytes(kill: Kill, usage_bytes: int | None) -> int | None:
    """Return the bytes charged to the limit's own cgroup and to none of its children, where that is a large
    part: tmpfs volumes, and memory left by containers that no longer exist. kubernetes/kubernetes#128339
    shows how this kills a pod repeatedly."""
    if not usage_bytes or not kill.memory.child_stats_bytes:
        return None
    below = sum(
        stats.get("rss", 0) + stats.get("cache", 0) for stats in kill.memory.child_stats_bytes.values()
    )
    kernel = kill.memory.kmem.usage_bytes if kill.memory.kmem else 0
    rest = usage_bytes - below - kernel
    return rest if rest > usage_bytes * _CLEARLY else None
