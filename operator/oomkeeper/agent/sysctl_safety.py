"""When a desired sysctl must not be applied on this node, and why. Pure.

The dangers are real: kubelet with protectKernelDefaults does not start when a tunable differs from what it
expects (pkg/kubelet/cm/container_manager_linux.go setupKernelTunables); vm.panic_on_oom=2 makes a mere
container limit panic the node (mm/oom_kill.c check_panic_on_oom); and a panic with kernel.panic=0 hangs for
ever (kernel/panic.c).
"""

from dataclasses import dataclass

from oomkeeper.model.sysctl import SYSCTL_RULES

from .desired import DesiredSysctl
from .kubelet import KubeletFacts

NODE_PANIC = "NodePanic"
CONTAINER_LIMIT_PANICS_NODE = "ContainerLimitPanicsNode"
KUBELET_CONFLICT = "KubeletConflict"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A CamelCase reason and a sentence that says what to do."""

    reason: str
    message: str


def refuse(
    wanted: DesiredSysctl, *, kubelet: KubeletFacts | None, kernel_panic_seconds: int | None
) -> Refusal | None:
    """`kubelet` None: none runs here. `kernel_panic_seconds`: kernel.panic as it will be in effect. None
    when nothing stands against it."""
    kubelet_value = SYSCTL_RULES[wanted.key].kubelet_value
    conflicts = kubelet is not None and kubelet_value is not None and wanted.value != kubelet_value
    if conflicts and kubelet is not None and kubelet.protect_kernel_defaults:
        return Refusal(
            "ProtectKernelDefaults",
            f"kubelet runs with protectKernelDefaults and would not start with {wanted.key}={wanted.value}; "
            f"it wants {kubelet_value}",
        )
    if conflicts and KUBELET_CONFLICT not in wanted.acknowledge:
        return Refusal(
            "AcknowledgeMissing",
            f"kubelet sets {wanted.key} to {kubelet_value} at each start; "
            f"write panicSafety.acknowledge: [{KUBELET_CONFLICT}] to have {wanted.value} put back each time",
        )
    if wanted.key == "vm.panic_on_oom" and wanted.value > 0:
        needed = NODE_PANIC if wanted.value == 1 else CONTAINER_LIMIT_PANICS_NODE
        if needed not in wanted.acknowledge:
            return Refusal(
                "AcknowledgeMissing",
                f"vm.panic_on_oom={wanted.value} panics the node; write panicSafety.acknowledge: [{needed}]",
            )
        if not kernel_panic_seconds:
            return Refusal(
                "KernelPanicHangs",
                "kernel.panic is 0 here: a panicked node would hang for ever; "
                "set kernel.panic to the seconds until the reboot as well",
            )
    return None
