"""What to say of an OOM kill that only kubelet reports, by the pod's runtime class.

A runtime that runs containers in a virtual machine, or on a kernel of its own, kills outside of this node's
kernel and log. The handler of a RuntimeClass is in an object of the cluster that the agent does not read, so
the usual names decide, and the incident says so."""

import re
from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.pod import PodFacts

from .pods import ContainerState

_VIRTUAL_MACHINE = re.compile(r"kata|firecracker|cloud-hypervisor|peer-?pod|(?:^|-)(?:qemu|clh|fc)(?:-|$)")
"""The names that kata-deploy, AKS, OpenShift and the cloud API adaptor create."""
_GVISOR = re.compile(r"gvisor|runsc")
_MISSING = "Only the kernel log shows which limit was reached and which process was killed."
_KATA_LOG = (
    "Only the guest's log shows which limit was reached and which process was killed. To read it, set "
    "`debug_console_enabled = true` below `[agent.kata]` in Kata's configuration.toml and run kata-monitor "
    "on the node; in pods started after that, `kata-runtime exec SANDBOX-ID` opens a shell. Give what "
    "`dmesg` prints there to `oomkeeper explain -`."
)
_GVISOR_LOG = (
    "gVisor has no OOM killer inside its sandbox: this node's kernel kills the sandbox's process, and its "
    "log, as far as the agent could read it, has no such kill. runsc's own log (`debug-log` in runsc.toml) "
    "shows how the sandbox ended."
)


class KubeletReport(NamedTuple):
    """The words of an incident for which a container's status is the only evidence."""

    summary: str
    uncertain: tuple[str, ...]


def is_sandboxed(runtime_class: str | None) -> bool:
    """Return whether a runtime class has the name of a virtual machine's or of gVisor."""
    return runtime_class is not None and any(
        pattern.search(runtime_class) is not None for pattern in (_VIRTUAL_MACHINE, _GVISOR)
    )


def kubelet_report(
    pod: PodFacts | None, *, container: str | None, state: ContainerState, before_install: bool = False
) -> KubeletReport:
    """Return what a status with OOMKilled shows where this node's kernel log has no kill for it."""
    how = f"ended OOMKilled (exit code {state.exit_code})"
    if before_install:
        how += " before oomkeeper was installed"
    no_kill = "the kernel log that this agent could read has no kill in it"
    runtime_class = pod.runtime_class if pod is not None else None
    if pod is None or runtime_class is None:
        return KubeletReport(f"kubelet reports that container {container} {how}, and {no_kill}.", (_MISSING,))
    name = printable(runtime_class)
    subject = f"Container {container} of pod {pod.namespace}/{pod.name} (runtime class {name}) {how}"
    by_name = f"What runtime class {name} does is taken from its name."
    if _VIRTUAL_MACHINE.search(runtime_class) is not None:
        return KubeletReport(
            f"{subject}, as kubelet reports; it ran in a virtual machine: the guest's kernel, whose log this "
            "node cannot read, killed it.",
            (_KATA_LOG, by_name),
        )
    if _GVISOR.search(runtime_class) is not None:
        return KubeletReport(f"{subject}, as kubelet reports, and {no_kill}.", (_GVISOR_LOG, by_name))
    return KubeletReport(
        f"{subject}, as kubelet reports, and {no_kill}.",
        (
            f"{_MISSING} If runtime class {name} runs its pods in virtual machines, that is the guest's log, "
            "which this node cannot read.",
        ),
    )
