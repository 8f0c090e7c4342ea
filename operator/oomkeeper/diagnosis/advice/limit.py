"""Advice about a cgroup's limit."""

from oomkeeper.kernel.cgroup.containers import Container, container_of_limit
from oomkeeper.kernel.lazy import lazy

from ...model.cause import BindingCounter, Cause, ContributorName, Remedy
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.units import bytes_text, round_up
from ..case import Case
from ..names import swap_limit_is_memory_limit, unit_of

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
"""A cgroup path that is safe in a command: anyone who creates cgroups may name one `$(reboot)`."""
_OWN_COMMAND = frozenset({Cause.CGROUP_LIMIT, Cause.ANCESTOR_CGROUP_LIMIT})
_WITHOUT_SWAP = (BindingCounter.MEMORY_SWAP, BindingCounter.KMEM)
"""Counters that already include swapped memory, or never do."""
_MANAGED = (".service", ".slice", ".scope")


def fit_limit(case: Case) -> Advice | None:
    """Advise a limit: usage at the limit plus swapped-out memory plus 20 %, rounded up."""
    limit = case.binding.limit_bytes
    if case.cause not in _LIMIT_CAUSES:
        return None
    if limit is None:
        return _unit_limit(case)
    if case.share(ContributorName.DIRTY_PAGE_CACHE) >= 0.5:
        return None  # More room would be filled by the same writer.
    swapped = _swapped_bytes(case)
    used = max(limit, case.binding.usage_bytes or 0)
    wanted = used + swapped
    new = round_up(int(wanted * (1 + _HEADROOM)))
    also = f" and swapped-out memory ({bytes_text(swapped)})" if swapped > limit // 50 else ""
    return Advice(
        remedy=Remedy.FIT_LIMIT,
        message=(
            f"If this usage is normal, raise {_where(case)} from {bytes_text(limit)} to about "
            f"{bytes_text(new)}: usage at the limit ({bytes_text(used)}){also} plus 20 %, rounded up. The "
            f"real peak is unknown, because the limit cut it off.{_command(case, new)}"
        ),
    )


def _unit_limit(case: Case) -> Advice | None:
    """Advise on the limit of a systemd unit whose value the log does not show."""
    path = case.kill.oom_memcg
    if case.cause is not Cause.CGROUP_LIMIT or path is None or container_of_limit(path) is not None:
        return None
    unit = unit_of(path)
    if unit is None or _PLAIN_PATH.fullmatch(path) is None:
        return None
    return Advice(
        remedy=Remedy.FIT_LIMIT,
        message=(
            f"If the usage of {unit} is normal, raise its MemoryMax: `systemctl show -p MemoryMax {unit}` "
            f"prints the limit, `{_set_property(path, unit)}=SIZE` changes it."
        ),
    )


def _set_property(path: str, unit: str) -> str:
    user = " --user" if "/user@" in path and not unit.startswith("user@") else ""
    return f"systemctl{user} set-property {unit} MemoryMax"


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


def _command(case: Case, new_bytes: int) -> str:
    """Return the command that changes a host's own cgroup; a container's limit comes from its spec."""
    path, memory = case.kill.oom_memcg, case.kill.memory
    if case.cause not in _OWN_COMMAND or path is None or case.binding.counter is not BindingCounter.MEMORY:
        return ""
    if not _PLAIN_PATH.fullmatch(path):
        return ""
    value = f"{new_bytes >> 20}M"
    container = container_of_limit(path)
    if container is not None:
        return _container_command(container, value)
    unit = unit_of(path)
    if unit is not None:
        return f" To change it now: `{_set_property(path, unit)}={value}`"
    if any(name.endswith(_MANAGED) for name in path.split("/")):
        return ""  # inside a unit, whose processes manage it
    if memory.swap is not None:
        return f" To change it now: `echo {value} > /sys/fs/cgroup{path}/memory.max`"
    both = memory.memory_swap
    if both is None or (both.limit_bytes is not None and both.limit_bytes < new_bytes):
        return ""  # cgroup v1 rejects a memory limit above the memory+swap limit.
    return f" To change it now: `echo {value} > /sys/fs/cgroup/memory{path}/memory.limit_in_bytes`"


def _container_command(container: Container, value: str) -> str:
    """Return the command of the container's runtime: it overwrites what is written to the cgroup itself."""
    if container.runtime in ("Docker", "nerdctl"):
        tool = container.runtime.lower()
        return (
            f" To change it now: `{tool} update --memory {value} --memory-swap {value} {container.id[:12]}`"
        )
    if container.runtime == "Podman":
        return f" To change it now: `podman update --memory {value} {container.id[:12]}`"
    return ""


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
