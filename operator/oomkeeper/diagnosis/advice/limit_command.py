"""The command or setting that changes a limit where it is defined, never in a cgroup that a manager owns."""

from oomkeeper.kernel.cgroup.containers import Container, container_of_limit
from oomkeeper.kernel.cgroup.managers import Managed, parse_managed
from oomkeeper.kernel.lazy import lazy

from ...model.cause import BindingCounter, Cause
from ..case import Case
from ..names import unit_of

PLAIN_PATH = lazy(r"(?:/[A-Za-z0-9_@:][A-Za-z0-9_.@:-]*)+")
"""A cgroup path that is safe in a command: anyone who creates cgroups may name one `$(reboot)`."""
OWN_COMMAND = frozenset({Cause.CGROUP_LIMIT, Cause.ANCESTOR_CGROUP_LIMIT, Cause.ENCLOSING_LIMIT})
_UNITS = (".service", ".slice", ".scope")


def set_property(path: str, unit: str) -> str:
    """Return the beginning of the command that changes a unit's MemoryMax."""
    user = " --user" if "/user@" in path and not unit.startswith("user@") else ""
    return f"systemctl{user} set-property {unit} MemoryMax"


def change_command(case: Case, new_bytes: int) -> str:
    """Return the command that changes a host's own cgroup; a container's limit comes from its spec."""
    path, memory = case.kill.oom_memcg, case.kill.memory
    if (
        case.cause in (Cause.CONTAINER_LIMIT, Cause.POD_LIMIT)
        and case.binding.counter is not BindingCounter.KMEM
    ):
        return " Set resources.limits.memory in the pod spec."
    if case.cause not in OWN_COMMAND or path is None or case.binding.counter is not BindingCounter.MEMORY:
        return ""
    managed = parse_managed(path)
    if managed is not None and container_of_limit(path) is None:
        return "" if managed.inner else _manager_command(managed, new_bytes >> 20)
    if not PLAIN_PATH.fullmatch(path):
        return ""
    value = f"{new_bytes >> 20}M"
    container = container_of_limit(path)
    if container is not None:
        return container_command(container, value)
    unit = unit_of(path)
    if unit is not None:
        return f" To change it now: `{set_property(path, unit)}={value}`"
    if any(name.endswith(_UNITS) for name in path.split("/")):
        return ""  # inside a unit, whose processes manage it
    if memory.swap is not None:
        return f" To change it now: `echo {value} > /sys/fs/cgroup{path}/memory.max`"
    both = memory.memory_swap
    if both is None or (both.limit_bytes is not None and both.limit_bytes < new_bytes):
        return ""  # cgroup v1 rejects a memory limit above the memory+swap limit.
    return f" To change it now: `echo {value} > /sys/fs/cgroup/memory{path}/memory.limit_in_bytes`"


def container_command(container: Container, value: str) -> str:
    """Return the command of the container's runtime: it overwrites what is written to the cgroup itself."""
    if container.runtime in ("Docker", "nerdctl"):
        tool = container.runtime.lower()
        return (
            f" To change it now: `{tool} update --memory {value} --memory-swap {value} {container.id[:12]}`"
        )
    if container.runtime == "Podman":
        return f" To change it now: `podman update --memory {value} {container.id[:12]}`"
    return ""


_MANAGER_FIXES = {
    "slurm": "Submit the job with a larger request: `sbatch --mem={mib}M`",
    "libvirt": "Without the hard limit, the guest's RAM and the host bound it: `virsh memtune {name} "
    "--hard-limit -1`",
    "nomad": "Set `memory = {mib}` in the task's `resources` in the job file",
    "yarn": "Set the container's memory in the application (`mapreduce.map.memory.mb`, "
    "`spark.executor.memoryOverhead`)",
    "htcondor": "Set `request_memory = {mib}M` in the submit file",
    "mesos": "Set `mem` of the task to {mib} in its framework",
}
"""Where each manager's limit is defined: it overwrites what is written to the cgroup itself."""


MANAGER_NAMES = {
    "slurm": "Slurm",
    "lxc": "the container's configuration",
    "libvirt": "libvirt",
    "nomad": "the job file",
    "yarn": "the application",
    "htcondor": "the submit file",
    "mesos": "the framework",
}


def _manager_command(managed: Managed, mib: int) -> str:
    name = managed.name
    plain = PLAIN_PATH.fullmatch(f"/{name}") is not None
    if managed.manager == "lxc":
        if name.isdigit():
            return f" On Proxmox VE: `pct set {name} --memory {mib}`"
        where = f" (`incus config set {name} limits.memory {mib}MiB`, or `lxc config set`)" if plain else ""
        return f" Set limits.memory of the instance{where}, or lxc.cgroup2.memory.max in its configuration."
    if "{name}" in _MANAGER_FIXES[managed.manager] and not plain:
        return ""
    return f" {_MANAGER_FIXES[managed.manager].format(name=name, mib=mib)}."
