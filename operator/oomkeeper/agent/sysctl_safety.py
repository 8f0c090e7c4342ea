"""When a desired sysctl must not be applied on this node, and why. Pure.

The reasons: kubelet with protectKernelDefaults does not start when a tunable differs from what it expects
(pkg/kubelet/cm/container_manager_linux.go setupKernelTunables); vm.panic_on_oom=2 makes a container at its
limit panic the node (mm/oom_kill.c check_panic_on_oom); and a panic with kernel.panic=0 hangs the node
(kernel/panic.c).
"""

from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES
from oomkeeper.resources.oomnode import DesiredSysctl

from .kubelet import KubeletFacts
from .refusal import Refusal
from .sysctl_order import PANIC_ON_OOM, may_become

NODE_PANIC = "NodePanic"
CONTAINER_LIMIT_PANICS_NODE = "ContainerLimitPanicsNode"
KUBELET_CONFLICT = "KubeletConflict"


def refuse(
    wanted: DesiredSysctl,
    *,
    kubelet: KubeletFacts | None,
    kernel_panic_seconds: int | None,
    panic_on_oom: int | None = None,
    kubelet_expected: bool = False,
) -> Refusal | None:
    """Return why a value must not be applied; None where nothing prevents it.

    `kubelet`: the one that runs here, None where none is found; `kubelet_expected`: this host is a node of a
    cluster, so that one must run. `kernel_panic_seconds`, `panic_on_oom`: as they are in force.
    """
    kubelet_value = SYSCTL_RULES[wanted.name].kubelet_value
    if kubelet_value is not None and wanted.value != kubelet_value:
        refusal = _kubelet_conflict(
            wanted, kubelet_value=kubelet_value, kubelet=kubelet, kubelet_expected=kubelet_expected
        )
        if refusal is not None:
            return refusal
    if not may_become(wanted.name, wanted.value, panic_on_oom=panic_on_oom):
        return Refusal(
            "KernelPanicHangs",
            f"vm.panic_on_oom is {panic_on_oom} here, and with kernel.panic=0 a panicked node hangs; set "
            "vm.panic_on_oom to 0 first",
        )
    if wanted.name == PANIC_ON_OOM and wanted.value > 0:
        needed = NODE_PANIC if wanted.value == 1 else CONTAINER_LIMIT_PANICS_NODE
        if needed not in wanted.acknowledge:
            return Refusal(
                "AcknowledgeMissing",
                f"vm.panic_on_oom={wanted.value} panics the node; write panicSafety.acknowledge: [{needed}]",
            )
        if not kernel_panic_seconds:
            return Refusal(
                "KernelPanicHangs",
                "kernel.panic is 0 here: a panicked node would hang; "
                "set kernel.panic to the seconds until the reboot as well",
            )
    return None


def refuse_after_panics(panics: int) -> Refusal:
    """Return why vm.panic_on_oom must not be set after this many OOM panics (panic_breaker.py)."""
    had = "1 OOM panic" if panics == 1 else f"{panics} OOM panics"
    return Refusal(
        "PanicBreaker",
        f"this node had {had}, more than panicSafety.maxPanics; vm.panic_on_oom is 0 until a person resets "
        "the policy's breaker",
    )


def _kubelet_conflict(
    wanted: DesiredSysctl, *, kubelet_value: int, kubelet: KubeletFacts | None, kubelet_expected: bool
) -> Refusal | None:
    """Return why a value other than kubelet's own must not be applied. A kubelet whose settings are not known
    may run with protectKernelDefaults, and would then not start again."""
    setting = f"{wanted.name}={wanted.value}"
    if kubelet is None:
        if not kubelet_expected:
            return None
        return Refusal(
            "KubeletNotFound",
            f"no kubelet is found among this node's processes, so whether it would start with {setting} is "
            f"not known; write {kubelet_value}, or run the agent with hostPID",
        )
    if kubelet.protect_kernel_defaults:
        return Refusal(
            "ProtectKernelDefaults",
            f"kubelet runs with protectKernelDefaults and would not start with {setting}; "
            f"it needs {kubelet_value}",
        )
    if kubelet.problem is not None:
        return Refusal(
            "KubeletSettingsUnknown",
            f"whether kubelet runs with protectKernelDefaults, and would start with {setting}, is not known: "
            f"{kubelet.problem}; write {kubelet_value}, or make the setting readable",
        )
    if KUBELET_CONFLICT not in wanted.acknowledge:
        return Refusal(
            "AcknowledgeMissing",
            f"kubelet sets {wanted.name} to {kubelet_value} at each start; write panicSafety.acknowledge: "
            f"[{KUBELET_CONFLICT}] to have {wanted.value} restored each time",
        )
    return None
