"""Find the child cgroup that filled a parent: cgroup v1 prints the statistics of each cgroup below the limit
(until 5.2)."""

from typing import NamedTuple

from ..kernel.cgroup.kubepods import parse_kube_cgroup
from ..model.kill import Kill
from ..model.pod import PodFacts

_CLEARLY = 0.3
"""Of the usage, more than counters per CPU and the kernel's own memory could explain."""


class Child(NamedTuple):
    """A cgroup below the limit, with what was charged to it alone."""

    path: str
    bytes: int


def largest_child(kill: Kill) -> Child | None:
    """Return the descendant with the most memory; None where the report has no statistics per descendant."""
    children = [
        Child(path, stats.get("rss", 0) + stats.get("cache", 0))
        for path, stats in kill.memory.child_stats_bytes.items()
    ]
    top = max(children, key=lambda child: child.bytes, default=None)
    return top if top is not None and top.bytes > 0 else None


def child_name(child: Child, pod: PodFacts | None) -> str:
    """Return the container's name, else its id, else the last part of its path."""
    cgroup = parse_kube_cgroup(child.path)
    if cgroup is None or cgroup.container_id is None:
        return f"cgroup {child.path.rpartition('/')[2]}"
    for container in pod.containers if pod is not None else ():
        if cgroup.container_id in container.container_ids:
            return f"container {container.name}"
    return f"container {cgroup.container_id[:12]}"


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
