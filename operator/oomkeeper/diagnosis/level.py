"""Decide which cgroup reached its limit, relative to the victim: B (`oom_memcg`) against V (`task_memcg`).

Kubernetes first, by kubelet's own names (pkg/kubelet/cm); then a cgroup that contains a whole node (kind,
LXC); then any cgroup. A pod's limit that equals its one container's is named as the container's
(`name_equal_limit`)."""

from typing import NamedTuple

from oomkeeper.kernel.lazy import lazy

from ..kernel.cgroup.kubepods import parse_kube_cgroup
from ..model.cause import Cause, Confidence, Level
from ..model.kill import Kill
from .case import Case
from .children import outside_children_bytes

_SEGMENTS = {
    "container": (Cause.CONTAINER_LIMIT, Level.CONTAINER),
    "pod": (Cause.POD_LIMIT, Level.POD),
    "sandbox": (Cause.POD_LIMIT, Level.POD),
    "qos": (Cause.QOS_LIMIT, Level.QOS),
    "node": (Cause.NODE_ALLOCATABLE_LIMIT, Level.ALLOCATABLE),
}
_SYSTEM = frozenset(
    {
        "system.slice",
        "kube-reserved",
        "kube-reserved.slice",
        "system-reserved",
        "system-reserved.slice",
        "podruntime",
        "podruntime.slice",
        "runtime.slice",
    }
)
"""Cgroups of all system daemons together: systemd's own slice, and the names used for kubelet's
kubeReservedCgroup and systemReservedCgroup in its documentation and in cloud images. A service below one of
them has a limit of its own."""
_SERVICE = lazy(r"(?:/[^/]+)*/[^/]+\.service")


class Place(NamedTuple):
    """The verdict on B."""

    cause: Cause
    level: Level
    confidence: Confidence
    uncertain: str | None = None


def place_of(oom_memcg: str | None, task_memcg: str | None) -> Place:
    """Return the cause and level for B and V; a missing path lowers the confidence and is never guessed."""
    if oom_memcg is None:
        return Place(
            Cause.UNKNOWN_CGROUP_LIMIT,
            Level.UNKNOWN,
            Confidence.MEDIUM,
            "The log does not name the cgroup that reached its limit.",
        )
    kube = parse_kube_cgroup(oom_memcg)
    if kube is not None and kube.segment in _SEGMENTS:
        cause, level = _SEGMENTS[kube.segment]
        return Place(cause, level, Confidence.HIGH)
    if kube is None:
        if _encloses_node(oom_memcg, task_memcg):
            return Place(Cause.ENCLOSING_LIMIT, Level.ENCLOSING, Confidence.HIGH)
        if _is_system(oom_memcg):
            return Place(Cause.SYSTEM_SLICE_LIMIT, Level.SYSTEM_SLICE, Confidence.HIGH)
        if _SERVICE.fullmatch(oom_memcg) and (task_memcg is None or is_below(task_memcg, oom_memcg)):
            # MemoryMax is the service's limit, whichever of its cgroups the victim was in.
            return Place(Cause.CGROUP_LIMIT, Level.OWN, Confidence.HIGH)
    return _own_or_ancestor(oom_memcg, task_memcg)


def _own_or_ancestor(oom_memcg: str, task_memcg: str | None) -> Place:
    if task_memcg is None:
        return Place(
            Cause.UNKNOWN_CGROUP_LIMIT,
            Level.UNKNOWN,
            Confidence.MEDIUM,
            f"The log does not name the victim's cgroup, which may be {oom_memcg} or a child of it.",
        )
    if task_memcg == oom_memcg:
        return Place(Cause.CGROUP_LIMIT, Level.OWN, Confidence.HIGH)
    if is_below(task_memcg, oom_memcg):
        return Place(Cause.ANCESTOR_CGROUP_LIMIT, Level.ANCESTOR, Confidence.HIGH)
    return Place(
        Cause.UNKNOWN_CGROUP_LIMIT,
        Level.UNKNOWN,
        Confidence.LOW,
        f"The victim's cgroup {task_memcg} is not below {oom_memcg}; the log may be damaged.",
    )


def is_below(path: str, ancestor: str) -> bool:
    """Return whether `path` is strictly below `ancestor`."""
    return path != ancestor and path.startswith(ancestor.rstrip("/") + "/")


def _encloses_node(oom_memcg: str, task_memcg: str | None) -> bool:
    inside = parse_kube_cgroup(task_memcg) if task_memcg is not None else None
    return inside is not None and task_memcg is not None and is_below(task_memcg, oom_memcg)


def _is_system(path: str) -> bool:
    """Return whether the path is the cgroup of all system daemons, not of one of them."""
    return path.rstrip("/").rpartition("/")[2] in _SYSTEM


def qos_hint(kill: Kill) -> str | None:
    """Return what the victim's oom_score_adj indicates where the log names no cgroup: kubelet sets 1000 for
    BestEffort, 2 to 999 for Burstable and -997 for Guaranteed containers (pkg/kubelet/qos/policy.go)."""
    if kill.oom_memcg is not None or kill.task_memcg is not None or not kill.victims:
        return None
    adj = kill.victims[0].oom_score_adj
    if adj is None or adj == 0 or not (2 <= adj <= 1000 or adj in (-997, -998)):
        return None
    if 2 <= adj < 1000 and adj % 50 == 0:
        return None  # systemd's user units and browsers set 100, 200, 300 on a desktop
    if adj == 1000:
        name = "a BestEffort"
    elif adj > 0:
        name = "a Burstable"
    else:
        name = "a Guaranteed"
    return f"On a Kubernetes node, the victim's oom_score_adj of {adj} indicates a container of {name} pod."


def name_equal_limit(case: Case) -> Case:
    """Return the case with a pod's limit named as its container's where both are the same number: the
    container's limit is what people set. The level still says that the kernel counted it at the pod's cgroup.
    Where the report shows that much of the memory belongs to no container, the pod stays the cause."""
    if case.cause is not Cause.POD_LIMIT or case.equal_container is None:
        return case
    if outside_children_bytes(case.kill, case.binding.usage_bytes) is not None:
        return case
    return case._replace(cause=Cause.CONTAINER_LIMIT)
