"""Advice about a cgroup's limit."""

from oomkeeper.kernel.lazy import lazy

from ...model.cause import BindingCounter, Cause, ContributorName, Remedy
from ...model.diagnosis import Advice
from ..case import Case
from ..names import printable, swap_limit_is_memory_limit
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
_PLAIN_PATH = lazy(r"(?:/[A-Za-z0-9_@:][A-Za-z0-9_.@:-]*)+")
"""A cgroup's path that may stand in a command: whoever makes cgroups may call them `$(reboot)`."""
_OWN_COMMAND = frozenset({Cause.CGROUP_LIMIT, Cause.ANCESTOR_CGROUP_LIMIT})
_WITHOUT_SWAP = (BindingCounter.MEMORY_SWAP, BindingCounter.KMEM)
"""Counters that hold what is swapped already, or never do."""
_MANAGED = (".service", ".slice", ".scope")


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
            f"{size(limit)} were in use{also} when it was met, plus a fifth, rounded up. The true peak is "
            f"not known, since the limit cut it off.{_command(case, new)}"
        ),
    )


def _swapped_bytes(case: Case) -> int:
    """What was wanted besides: cgroup v2 counts swap alone, v1 memory and swap together."""
    memory = case.kill.memory
    if memory.swap is not None:
        return memory.swap.usage_bytes
    if memory.memory_swap is None or memory.memory is None or case.binding.counter in _WITHOUT_SWAP:
        return 0
    return max(0, memory.memory_swap.usage_bytes - memory.memory.usage_bytes)


def _where(case: Case) -> str:
    if case.binding.counter is BindingCounter.KMEM:
        # Kubernetes has no field for it; whoever set it wrote the file.
        cgroup = printable(case.kill.oom_memcg) if case.kill.oom_memcg is not None else "that cgroup"
        return f"the kernel memory limit of {cgroup} (memory.kmem.limit_in_bytes)"
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
    if swap_limit_is_memory_limit(case):
        return "memory.memsw.limit_in_bytes, then memory.limit_in_bytes"
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


def _command(case: Case, new_bytes: int) -> str:
    """How to set it at once on a host's own cgroup; a container's comes from its spec, so not there."""
    path, memory = case.kill.oom_memcg, case.kill.memory
    if case.cause not in _OWN_COMMAND or path is None or case.binding.counter is not BindingCounter.MEMORY:
        return ""
    if not _PLAIN_PATH.fullmatch(path):
        return ""
    value = f"{new_bytes >> 20}M"
    unit = path.rpartition("/")[2]
    if path.startswith("/system.slice/") and path.count("/") == 2 and unit.endswith(_MANAGED):
        return f" At once: systemctl set-property {unit} MemoryMax={value}"
    if unit.endswith(_MANAGED):
        return ""
    if memory.swap is not None:
        return f" At once: echo {value} > /sys/fs/cgroup{path}/memory.max"
    both = memory.memory_swap
    if both is None or (both.limit_bytes is not None and both.limit_bytes < new_bytes):
        return ""  # cgroup v1 takes no memory limit above the memory+swap limit.
    return f" At once: echo {value} > /sys/fs/cgroup/memory{path}/memory.limit_in_bytes"


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
