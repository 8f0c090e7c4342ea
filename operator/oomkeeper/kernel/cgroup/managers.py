"""Read from a cgroup path which workload manager set a limit. Pure text; nothing is opened.

/slurm/uid_1000/job_12/step_0, /system.slice/slurmstepd.scope/job_12    Slurm (cgroup/v1, cgroup/v2 plugin)
/lxc/NAME, /lxc.payload.NAME, /lxc.payload/NAME                         LXC, Incus, LXD; numbers: Proxmox VE
/machine.slice/machine-qemu\\x2d1\\x2dNAME.scope                          libvirt, systemd
/machine/qemu-1-NAME.libvirt-qemu                                       libvirt, cgroupfs
/nomad.slice/share.slice/ALLOCATION.TASK.scope                          Nomad 1.7 and newer
/hadoop-yarn/container_ID, /yarn/container_ID                           YARN
/htcondor/condor_..._slot1_1@host                                       HTCondor
/mesos/ID                                                               Mesos
"""

import re
from typing import NamedTuple

from ..lazy import lazy

_PATH = lazy(
    r"(?:/[^/]+)*?(?:"
    r"/(?:slurm(?:_[^/]+)?|(?:[^/]+_)?slurmstepd\.scope)(?:/uid_\d+)?/job_(?P<slurm>\d+)"
    r"|/lxc(?:\.payload)?[./](?P<lxc>[^/]+)(?:/ns)?"
    r"|/machine-qemu\\x2d\d+\\x2d(?P<libvirt>[^/]+)\.scope"
    r"|/qemu-\d+-(?P<qemu>[^/]+)\.libvirt-qemu"
    r"|/nomad(?:\.slice)?/(?:share|reserve)\.slice/[0-9a-f-]{1,36}\.(?P<nomad>[^/]+)\.scope"
    r"|/(?:hadoop-)?yarn/(?P<yarn>container_\w+)"
    r"|/(?:htcondor|condor)/(?P<htcondor>[^/]+)"
    r"|/mesos/(?P<mesos>[^/]+)"
    r")(?P<inner>/.*)?",
    re.DOTALL,
)
_NAMES = {
    "slurm": "Slurm job",
    "lxc": "LXC container",
    "libvirt": "virtual machine",
    "qemu": "virtual machine",
    "nomad": "Nomad task",
    "yarn": "YARN container",
    "htcondor": "HTCondor job in",
    "mesos": "Mesos task",
}


class Managed(NamedTuple):
    """A workload of a manager that sets the limits of its cgroups itself."""

    manager: str
    """`slurm`, `lxc`, `libvirt`, `nomad`, `yarn`, `htcondor` or `mesos`."""
    name: str
    """The workload's name as its owner gave it: any text."""
    inner: str
    """Path of the cgroup below the workload's own; empty for the workload's own."""

    @property
    def text(self) -> str:
        """The workload in a sentence: `Slurm job 12`."""
        return f"{_NAMES[self.manager]} {self.name}"


def parse_managed(path: str) -> Managed | None:
    """Return the workload of a cgroup path, or None. Any text is accepted."""
    if len(path) > 4096 or (found := _PATH.fullmatch(path)) is None or found.lastgroup is None:
        return None
    for manager in _NAMES:
        if (name := found[manager]) is not None:
            name = name.replace(r"\x2d", "-")
            return Managed("libvirt" if manager == "qemu" else manager, name, found["inner"] or "")
    return None
