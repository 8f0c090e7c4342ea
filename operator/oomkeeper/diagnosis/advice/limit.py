"""Advice about a cgroup's limit."""

from oomkeeper.kernel.cgroup.containers import container_of_limit
from oomkeeper.kernel.cgroup.managers import parse_managed

from ...model.cause import BindingCounter, Cause, ContributorName, Remedy
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.headroom import with_headroom
from ...model.units import bytes_text
from ..case import Case
from ..names import swap_limit_is_memory_limit, unit_of
from ..resize import Lag, lag_of, lowered, state_of_resize
from .limit_command import (
    MANAGER_NAMES,
    OWN_COMMAND,
    PLAIN_PATH,
    change_command,
    container_command,
    set_property,
)

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
_WITHOUT_SWAP = (BindingCounter.MEMORY_SWAP, BindingCounter.KMEM)
"""Counters that already include swapped memory, or never do."""


def fit_limit(case: Case) -> Advice | None:
    """Advise a limit: usage at the limit plus swapped-out memory plus 20 %, rounded up."""
    limit = case.binding.limit_bytes
    if case.cause not in _LIMIT_CAUSES:
        return None
    if limit is None:
        return _unknown_limit(case)
    if case.share(ContributorName.DIRTY_PAGE_CACHE) >= 0.5:
        return None  # More room would be filled by the same writer.
    swapped = _swapped_bytes(case)
    used = max(limit, case.binding.usage_bytes or 0)
    wanted = used + swapped
    new = with_headroom(wanted)
    lag = lag_of(case)
    if lag is not None and lag.raised:
        return _wait_for_resize(case, lag, new_bytes=new)
    also = f" and swapped-out memory ({bytes_text(swapped)})" if swapped > limit // 50 else ""
    return Advice(
        remedy=Remedy.FIT_LIMIT,
        message=(
            f"If this usage is normal, raise {_where(case)} from "
            f"{bytes_text(limit if lag is None else lag.spec_bytes)} to about "
            f"{bytes_text(new)}: usage at the limit ({bytes_text(used)}){also} plus 20 %, rounded up. The "
            f"real peak is unknown, because the limit cut it off.{_lowered(case)}{change_command(case, new)}"
        ),
    )


def _wait_for_resize(case: Case, lag: Lag, *, new_bytes: int) -> Advice:
    """Advise on a limit that the spec has raised already and the cgroup did not have."""
    spec = bytes_text(lag.spec_bytes)
    more = ""
    if new_bytes > lag.spec_bytes:
        more = (
            f" The new limit may be too low as well: about {bytes_text(new_bytes)} is the usage plus 20 %, "
            "rounded up."
        )
    return Advice(
        remedy=Remedy.FIT_LIMIT,
        message=(
            f"The spec says {spec}, but the {lag.owner}'s cgroup had {bytes_text(lag.limit_bytes)} when the "
            f"kernel killed.{state_of_resize(case, lag)} Until the resize is applied, a higher limit in the "
            "spec changes nothing: the pod's conditions PodResizePending and PodResizeInProgress give the "
            f"reason. A pod that its workload creates anew gets the limits of the pod template.{more}"
        ),
    )


def _lowered(case: Case) -> str:
    """Return a sentence about a limit that was lowered shortly before the kill or is above the spec's."""
    if (lag := lag_of(case)) is not None:
        return (
            f" The cgroup still had {bytes_text(lag.limit_bytes)} and the spec says less than was in use."
            f"{state_of_resize(case, lag)}"
        )
    if (change := lowered(case)) is not None:
        return (
            f" The spec lowered the limit from {bytes_text(change.before_bytes)} to "
            f"{bytes_text(change.after_bytes)} (seen at {change.at}), shortly before the kill."
        )
    if case.kill.limit_lowered:
        return " The limit was being lowered to this value when the kernel killed."
    return ""


def _unknown_limit(case: Case) -> Advice | None:
    """Advise on a limit whose value the log does not show: a single kill line, or the output of grep."""
    path = case.kill.oom_memcg
    if case.cause in (Cause.CONTAINER_LIMIT, Cause.POD_LIMIT):
        how = f"raise {_where(case)} (resources.limits.memory in the pod spec)"
    elif case.cause not in OWN_COMMAND or path is None:
        return None
    elif (container := container_of_limit(path)) is not None:
        how = f"raise {_where(case)}{container_command(container, 'SIZE').replace(' To change it now', '')}"
    elif (managed := parse_managed(path)) is not None and not managed.inner:
        how = f"raise {_where(case)} where {MANAGER_NAMES[managed.manager]} defines it"
    elif (unit := unit_of(path)) is not None and PLAIN_PATH.fullmatch(path) is not None:
        how = (
            f"raise MemoryMax of {unit}: `systemctl show -p MemoryMax {unit}` prints the limit, "
            f"`{set_property(path, unit)}=SIZE` changes it"
        )
    else:
        return None  # who set the limit is not known either
    return Advice(
        remedy=Remedy.FIT_LIMIT,
        message=f"The log does not show the limit and the usage. If the usage is normal, {how}.",
    )


def _swapped_bytes(case: Case) -> int:
    """Return swapped-out bytes: cgroup v2 counts swap alone, v1 memory and swap together. Without either
    counter (v1 with swapaccount=0, an excerpt) the task table shows the swap of each process."""
    memory = case.kill.memory
    if memory.swap is not None:
        return memory.swap.usage_bytes
    if memory.memory is None or case.binding.counter in _WITHOUT_SWAP:
        return 0
    if memory.memory_swap is None:
        return sum(task.swapents_pages or 0 for task in case.kill.tasks) * memory.page_size_bytes
    return max(0, memory.memory_swap.usage_bytes - memory.memory.usage_bytes)


def _where(case: Case) -> str:
    if case.binding.counter is BindingCounter.KMEM:
        # Kubernetes has no field for it, so it was set through this file.
        cgroup = printable(case.kill.oom_memcg) if case.kill.oom_memcg is not None else "that cgroup"
        return f"the kernel memory limit of {cgroup} (memory.kmem.limit_in_bytes)"
    equal = case.equal_container
    if equal is not None:
        return f"the memory limit of container {equal.name}"
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
    path = case.kill.oom_memcg
    if path is not None:
        container = container_of_limit(path)
        if container is not None and container.runtime == "ECS":
            return "the container's memory in the ECS task definition"
        if container is not None:
            return f"the memory limit of {container.runtime} container {container.id[:12]}"
        managed = parse_managed(path)
        if managed is not None and not managed.inner:
            return f"the memory limit of {printable(managed.text)}"
        if (unit := unit_of(path)) is not None:
            return f"MemoryMax of {printable(unit)}"
        return f"the limit of {printable(path)} ({_file(case)})"
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


def reserve_system_memory(case: Case) -> Advice | None:
    """Advise on limits that kubelet sets for many pods or for system daemons."""
    limit = case.binding.limit_bytes
    named = f" of {bytes_text(limit)}" if limit is not None else ""
    if case.cause is Cause.NODE_ALLOCATABLE_LIMIT:
        return Advice(
            remedy=Remedy.RESERVE_SYSTEM_MEMORY,
            message=(
                f"All pods together reached the node's allocatable memory{named}. Lower limits or raise "
                "requests so that fewer pods are scheduled here, or reduce kubelet's systemReserved and "
                "kubeReserved if the system needs less."
            ),
        )
    if case.cause is Cause.QOS_LIMIT:
        return Advice(
            remedy=Remedy.RESERVE_SYSTEM_MEMORY,
            message=(
                f"kubelet gives this QoS class a limit{named} (qosReserved). Set the pods' requests closer "
                "to their usage, or lower qosReserved."
            ),
        )
    if case.cause is Cause.SYSTEM_SLICE_LIMIT:
        return Advice(
            remedy=Remedy.RESERVE_SYSTEM_MEMORY,
            message=(
                f"System daemons together reached their limit{named}. On a Kubernetes node, raise "
                "systemReserved or kubeReserved by the amount they lack; elsewhere, raise MemoryMax of "
                f"{printable((case.kill.oom_memcg or 'the slice').rpartition('/')[2])}."
            ),
        )
    return None
