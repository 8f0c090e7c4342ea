"""Memory limits of a pod: those in its spec, those that kubelet reports in force, and how they changed.

An in-place resize changes the spec; kubelet then changes the cgroups, one after the other, when the node has
room. Until then the kernel enforces other limits than the spec has."""

from collections.abc import Callable

from .pod import ContainerFacts, LimitChange, PodFacts
from .times import parse_time

MAX_BYTES = (1 << 63) - 1
"""The largest resource.Quantity, and the largest integer of the API."""
SEEN_SECONDS = 5.0
"""How long after a change the watch may show it."""


def pod_spec_limit(pod: PodFacts) -> int | None:
    """Return the limit in bytes that kubelet gives the pod's cgroup by the spec; None for a cgroup without
    one."""
    own = pod.spec_limit_bytes
    return _with_overhead(pod, own if own is not None else _sum(pod, lambda one: one.spec_limit_bytes))


def pod_status_limit(pod: PodFacts) -> int | None:
    """Return the same by what kubelet reports in force; None where it does not report that."""
    if pod.spec_limit_bytes is not None:
        return _with_overhead(pod, pod.status_limit_bytes)
    return _with_overhead(pod, _sum(pod, lambda one: one.status_limit_bytes))


def _with_overhead(pod: PodFacts, limit_bytes: int | None) -> int | None:
    return None if limit_bytes is None else min(limit_bytes + pod.overhead_bytes, MAX_BYTES)


def _sum(pod: PodFacts, limit_of: Callable[[ContainerFacts], int | None]) -> int | None:
    """Return the limit of all containers together, as AggregateContainerLimits() has it
    (k8s.io/component-helpers/resource): init containers run one after the other, beside the sidecars that
    were started before. None if one has no limit: kubelet then sets none on the pod
    (pkg/kubelet/cm/helpers_linux.go, ResourceConfigForPod)."""
    together = sidecars = largest = 0
    for container in pod.containers:
        if container.kind == "EphemeralContainer":
            continue
        limit = limit_of(container)
        if not limit:
            return None
        if container.kind != "InitContainer":
            together += limit
        elif container.sidecar:
            sidecars += limit
            largest = max(largest, sidecars)
        else:
            largest = max(largest, sidecars + limit)
    return max(together + sidecars, largest) or None


def limit_changes(before: PodFacts, after: PodFacts, *, at: str) -> tuple[LimitChange, ...]:
    """Return the limits in the spec that differ between two versions of a pod, the later one seen `at`."""
    old = {container.name: container.spec_limit_bytes for container in before.containers}
    pairs: list[tuple[str | None, int | None, int | None]] = [
        (None, before.spec_limit_bytes, after.spec_limit_bytes)
    ]
    pairs += [(one.name, old.get(one.name), one.spec_limit_bytes) for one in after.containers]
    return tuple(
        LimitChange(at=at, container=name, before_bytes=was, after_bytes=now)
        for name, was, now in pairs
        if was is not None and now is not None and was != now
    )


def undo(pod: PodFacts, change: LimitChange) -> PodFacts:
    """Return the pod as it was before a change of its spec. What kubelet reported then is not known."""
    if change.container is None:
        return pod._replace(
            spec_limit_bytes=change.before_bytes, limit_bytes=change.before_bytes, status_limit_bytes=None
        )
    return pod._replace(
        containers=tuple(
            one._replace(
                spec_limit_bytes=change.before_bytes, limit_bytes=change.before_bytes, status_limit_bytes=None
            )
            if one.name == change.container
            else one
            for one in pod.containers
        )
    )


def limits_at(pod: PodFacts, when: str) -> PodFacts:
    """Return the pod without the changes of its limits that came after a time (RFC 3339)."""
    moment = parse_time(when)
    if moment is None:
        return pod
    kept = list(pod.limit_changes)
    while kept and (parse_time(kept[-1].at) or 0.0) > moment + SEEN_SECONDS:
        pod = undo(pod, kept.pop())
    return pod._replace(limit_changes=tuple(kept))
