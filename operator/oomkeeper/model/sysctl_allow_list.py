"""The closed list of sysctls that a policy may set."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlRule:
    """One allowed key. Ranges are the kernel's own (Documentation/admin-guide/sysctl/vm.rst, kernel.rst),
    made narrower only where a value could not be meant."""

    key: str
    minimum: int
    maximum: int
    what: str
    """What the value does, in one line."""
    kubelet_value: int | None = None
    """The value that kubelet writes at each start (pkg/kubelet/cm/container_manager_linux.go
    setupKernelTunables)."""


SYSCTLS: tuple[SysctlRule, ...] = (
    SysctlRule(
        key="vm.panic_on_oom",
        minimum=0,
        maximum=2,
        kubelet_value=0,
        what="0 kills a process, 1 panics when the whole node is out of memory, 2 panics on any OOM, "
        "including a container's limit",
    ),
    SysctlRule(
        key="vm.oom_kill_allocating_task",
        minimum=0,
        maximum=1,
        what="1 kills the task that asked for memory instead of the highest oom_score; "
        "no effect on cgroup limits",
    ),
    SysctlRule(
        key="vm.oom_dump_tasks",
        minimum=0,
        maximum=1,
        what="1 prints the table of tasks and their memory with each OOM report",
    ),
    SysctlRule(
        key="kernel.panic",
        minimum=0,
        maximum=86400,
        kubelet_value=10,
        what="seconds from a panic to the reboot; 0 hangs forever",
    ),
    SysctlRule(
        key="vm.overcommit_memory",
        minimum=0,
        maximum=2,
        kubelet_value=1,
        what="0 heuristic, 1 always, 2 never more than the commit limit",
    ),
    SysctlRule(
        key="vm.overcommit_ratio",
        minimum=0,
        maximum=1000,
        what="percent of RAM in the commit limit when overcommit_memory is 2",
    ),
    SysctlRule(
        key="vm.min_free_kbytes",
        minimum=1024,
        maximum=67108864,
        what="KiB that the kernel keeps free; the watermarks derive from it",
    ),
    SysctlRule(
        key="vm.watermark_scale_factor",
        minimum=1,
        maximum=3000,
        what="distance between the watermarks, in 1/10000 of the node's memory",
    ),
    SysctlRule(
        key="vm.admin_reserve_kbytes",
        minimum=0,
        maximum=67108864,
        what="KiB that stay for root when overcommit is strict or guessed",
    ),
    SysctlRule(
        key="vm.user_reserve_kbytes",
        minimum=0,
        maximum=67108864,
        what="KiB that stay for a user's recovery when overcommit_memory is 2",
    ),
    SysctlRule(
        key="vm.swappiness",
        minimum=0,
        maximum=200,
        what="how readily anonymous memory is swapped against dropping page cache",
    ),
)
"""Every key that an OOMPolicy may set; nothing outside it is ever written."""

SYSCTL_RULES: dict[str, SysctlRule] = {rule.key: rule for rule in SYSCTLS}
