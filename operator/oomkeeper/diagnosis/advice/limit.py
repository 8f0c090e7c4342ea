"""Advice about a cgroup's limit."""

from ...model.cause import BindingCounter, Cause, ContributorName, Remedy, Scope
from ...model.diagnosis import Advice
from ..case import Case, resident_bytes
from ..names import printable
from ..units import round_up, size

_LIMIT_CAUSES = frozenset(
    {
        Cause.CONTAINER_LIMIT,
        Cause.POD_LIMIT,
        Cause.CGROUP_LIMIT,
        Cause.ANCESTOR_CGROUP_LIMIT,
        Cause.UNKNOWN_CGROUP_LIMIT,
        Cause.SYSTEM_SLICE_LIMIT,
        Cause.ENCLOSING_LIMIT,
    }
)
_HEADROOM = 0.2
"""As the VerticalPodAutoscaler bumps after an OOM (oomBumpUpRatio 1.2)."""
_JVM = frozenset({"java", "jsvc"})
_JVM_OTHER = 0.25
"""Part of a JVM's memory outside the heap (metaspace, threads, code cache, direct buffers);
MaxRAMPercentage=75 leaves as much."""


def fit_limit(case: Case) -> Advice | None:
    """A limit that holds what was wanted: what was resident, what had been swapped out, and a fifth."""
    limit = case.binding.limit_bytes
    if case.cause not in _LIMIT_CAUSES or limit is None:
        return None
    if case.share(ContributorName.DIRTY_PAGE_CACHE) >= 0.5:
        return None  # More room would be filled by the same writer.
    swapped = _swapped_bytes(case)
    wanted = max(limit, case.binding.usage_bytes or 0) + swapped
    new = round_up(int(wanted * (1 + _HEADROOM)))
    also = f" and {size(swapped)} swapped out" if swapped > limit // 50 else ""
    return Advice(
        remedy=Remedy.FIT_LIMIT,
        message=(
            f"If this use is normal, raise {_where(case)} from {size(limit)} to about {size(new)}: "
            f"{size(limit)} were in "
            f"use{also} when it was met, plus a fifth. The true peak is not known, since the limit cut it "
            "off."
        ),
    )


def _swapped_bytes(case: Case) -> int:
    """What was wanted besides: cgroup v2 counts swap alone, v1 memory and swap together."""
    memory = case.kill.memory
    if memory.swap is not None:
        return memory.swap.usage_bytes
    if (
        memory.memory_swap is None
        or memory.memory is None
        or case.binding.counter is BindingCounter.MEMORY_SWAP
    ):
        return 0
    return max(0, memory.memory_swap.usage_bytes - memory.memory.usage_bytes)


def _where(case: Case) -> str:
    equal = case.equal_container
    if equal is not None:
        return f"the memory limit of container {equal.name} (the pod's follows it)"
    if case.cause is Cause.CONTAINER_LIMIT:
        return (
            f"the memory limit of container {case.container.name}"
            if case.container
            else "the container's memory limit"
        )
    if case.cause is Cause.POD_LIMIT:
        explicit = case.pod is not None and case.pod.limit_bytes is not None
        return (
            "the pod's memory limit" if explicit else "the sum of the memory limits of the pod's containers"
        )
    if case.kill.oom_memcg is not None:
        return f"the limit of {printable(case.kill.oom_memcg)} ({_file(case)})"
    return "the limit of that cgroup"


def _file(case: Case) -> str:
    if case.binding.counter is BindingCounter.MEMORY_SWAP:
        return "memory.memsw.limit_in_bytes"
    v1 = case.kill.memory.memory_swap is not None or case.kill.memory.kmem is not None
    if v1:
        return "memory.limit_in_bytes"
    return (
        "memory.max"
        if case.kill.memory.swap is not None
        else "memory.max, or memory.limit_in_bytes on cgroup v1"
    )


def lower_heap(case: Case) -> Advice | None:
    """A JVM whose heap leaves no room for the rest of the process."""
    victim, limit = case.victim, case.binding.limit_bytes
    if case.scope is not Scope.MEMCG or victim is None or limit is None or victim.comm not in _JVM:
        return None
    resident = resident_bytes(victim)
    if resident is None or resident * 10 < limit * 7:
        return None
    return Advice(
        remedy=Remedy.LOWER_HEAP,
        message=(
            f"The JVM held {size(resident)} of {size(limit)}. Keep its heap at or below "
            f"{size(int(limit * (1 - _JVM_OTHER)))} "
            "(-Xmx, or -XX:MaxRAMPercentage=75): threads, metaspace and direct buffers need the rest."
        ),
    )


def reserve_system_memory(case: Case) -> Advice | None:
    """Limits that kubelet sets for everybody."""
    limit = case.binding.limit_bytes
    named = f" of {size(limit)}" if limit is not None else ""
    if case.cause is Cause.NODE_ALLOCATABLE_LIMIT:
        return Advice(
            remedy=Remedy.RESERVE_SYSTEM_MEMORY,
            message=(
                f"All pods together met the node's allocatable memory{named}. Lower limits or raise requests "
                "so that "
                "fewer pods land here, or reserve less in kubelet's systemReserved and kubeReserved if the "
                "system has room."
            ),
        )
    if case.cause is Cause.QOS_LIMIT:
        return Advice(
            remedy=Remedy.RESERVE_SYSTEM_MEMORY,
            message=(
                f"kubelet gave this QoS class a limit{named} (qosReserved). Give the pods requests nearer to "
                "what they use, or "
                "lower qosReserved."
            ),
        )
    if case.cause is Cause.SYSTEM_SLICE_LIMIT:
        return Advice(
            remedy=Remedy.RESERVE_SYSTEM_MEMORY,
            message=(
                f"System daemons met their limit{named}. On a Kubernetes node raise systemReserved or "
                "kubeReserved by what they "
                "lack; elsewhere the unit's MemoryMax."
            ),
        )
    return None
