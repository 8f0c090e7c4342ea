"""Compare the limit that was reached with the pod's spec and with what kubelet reports: after an in-place
resize a cgroup may have another limit than the spec, or a lower one than shortly before."""

from typing import NamedTuple

from ..kernel.cgroup.kubepods import parse_kube_cgroup
from ..model.cause import BindingCounter
from ..model.escaping import printable
from ..model.pod import ContainerFacts, PodFacts
from ..model.pod_limits import SEEN_SECONDS, pod_spec_limit, pod_status_limit, undo
from ..model.times import parse_time
from ..model.units import bytes_text
from .case import Case
from .names import swap_limit_is_memory_limit

SHORTLY_SECONDS = 600.0
"""How long before a kill a limit was lowered that is named with it."""


class Lag(NamedTuple):
    """A cgroup whose limit differs from the one in the spec."""

    owner: str
    """`container` or `pod`."""
    limit_bytes: int
    """The limit that was reached."""
    spec_bytes: int
    reported_bytes: int | None
    """What kubelet reports in force; None where it does not report that."""

    @property
    def raised(self) -> bool:
        """Whether the spec has the higher limit."""
        return self.spec_bytes > self.limit_bytes


class Lowered(NamedTuple):
    """A limit that was lowered in the spec to the one that was reached."""

    before_bytes: int
    after_bytes: int
    at: str
    """When the agent saw it, RFC 3339."""


def lag_of(case: Case) -> Lag | None:
    """Return how the cgroup that reached its limit differs from the pod's spec; None if it does not, or if
    that is not known."""
    limit, pod = case.binding.limit_bytes, case.pod
    owner = _owner(case)
    if limit is None or pod is None or owner is None:
        return None
    spec = _spec_limit(pod, owner)
    if spec is None or _same(case, spec, limit):
        return None
    if isinstance(owner, ContainerFacts):
        return Lag("container", limit, spec, owner.status_limit_bytes)
    return Lag("pod", limit, spec, pod_status_limit(pod))


def lowered(case: Case) -> Lowered | None:
    """Return how the limit that was reached was lowered in the spec shortly before the kill."""
    limit, pod, killed_at = case.binding.limit_bytes, case.pod, parse_time(case.kill.wall)
    owner = _owner(case)
    if limit is None or pod is None or owner is None or killed_at is None:
        return None
    changes = list(pod.limit_changes)
    while changes:
        at = changes[-1].at
        after = _spec_limit(pod, owner)
        while changes and changes[-1].at == at:  # one edit of several containers
            pod = undo(pod, changes.pop())
        before = _spec_limit(pod, owner)
        if after is None or before is None or after == before:
            continue
        age = killed_at - (parse_time(at) or 0.0)
        if not -SEEN_SECONDS <= age <= SHORTLY_SECONDS or not _same(case, after, limit):
            return None
        return Lowered(before, after, at) if before > after else None
    return None


def circumstance(case: Case) -> str:
    """Return the part of the summary that names a cgroup behind its spec, or a limit lowered shortly
    before."""
    if (lag := lag_of(case)) is not None:
        had = "did not have it yet" if lag.raised else "still had the higher limit"
        return f", although the spec says {bytes_text(lag.spec_bytes)}: the {lag.owner}'s cgroup {had}"
    if (change := lowered(case)) is not None:
        return f", shortly after the spec lowered it from {bytes_text(change.before_bytes)}"
    return ""


def state_of_resize(case: Case, lag: Lag) -> str:
    """Return which part lags, by what kubelet reports, as a sentence with a blank before it; empty where
    kubelet reports nothing."""
    resize = case.pod.resize if case.pod is not None else None
    if resize is not None:
        return f" kubelet has not applied the resize: condition {printable(resize)}."
    if lag.reported_bytes is None:
        return ""
    reported = bytes_text(lag.reported_bytes)
    if _same(case, lag.reported_bytes, lag.limit_bytes):
        return f" kubelet reports {reported} in force, so it has not applied the resize."
    if not _same(case, lag.reported_bytes, lag.spec_bytes):
        return f" kubelet reports {reported} in force."
    if lag.owner == "pod":
        return f" kubelet reports {reported} in force for the containers, so only the pod's cgroup lagged."
    return f" kubelet reports {reported} in force, so it has applied the resize since."


def _owner(case: Case) -> ContainerFacts | PodFacts | None:
    """Return whose cgroup reached its memory limit, as far as its spec has that limit."""
    pod, path = case.pod, case.kill.oom_memcg
    if pod is None or path is None:
        return None
    if case.binding.counter is not BindingCounter.MEMORY and not swap_limit_is_memory_limit(case):
        return None
    kube = parse_kube_cgroup(path)
    if kube is None or kube.segment not in ("container", "pod"):
        return None
    if kube.segment == "pod":
        return pod
    return next((one for one in pod.containers if kube.container_id in one.container_ids), None)


def _spec_limit(pod: PodFacts, owner: ContainerFacts | PodFacts) -> int | None:
    if isinstance(owner, PodFacts):
        return pod_spec_limit(pod)
    return next((one.spec_limit_bytes for one in pod.containers if one.name == owner.name), None)


def _same(case: Case, one_bytes: int, other_bytes: int) -> bool:
    """Return whether two limits are one: the kernel counts whole pages."""
    return abs(one_bytes - other_bytes) < case.kill.memory.page_size_bytes
