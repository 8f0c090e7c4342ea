"""Display names of causes, outcomes, levels, contributors, remedies and counters.

Keyed by the values in the JSON, so a page can be made from a record that was stored long ago. A value that is
not listed here (from a newer writer) is shown unchanged.
"""

CAUSES: dict[str, tuple[str, str]] = {
    "ContainerLimit": (
        "Container limit",
        "The container used all the memory that its limit allows; the node may have had free memory.",
    ),
    "PodLimit": (
        "Pod limit",
        "The pod as a whole reached its limit. Its containers, its tmpfs volumes and their kernel memory "
        "count together. In a pod of one container, this is that container's limit.",
    ),
    "QOSLimit": (
        "QoS class limit",
        "The pods of one QoS class reached the limit that they share on this node.",
    ),
    "NodeAllocatableLimit": (
        "Node allocatable limit",
        "All pods on the node together reached the memory that kubelet reserves for pods.",
    ),
    "SystemSliceLimit": (
        "System services limit",
        "The cgroup of the host's system services reached its limit.",
    ),
    "EnclosingLimit": (
        "Enclosing limit",
        "A cgroup that contains the whole node reached its limit, for example the container that a kind node "
        "runs in.",
    ),
    "CgroupLimit": (
        "Cgroup limit",
        (
            "The process's cgroup (not managed by Kubernetes) reached its limit; the host may have had free "
            "memory."
        ),
    ),
    "AncestorCgroupLimit": (
        "Parent cgroup limit",
        "A parent of the process's cgroup reached its limit, which all cgroups below it share.",
    ),
    "UnknownCgroupLimit": (
        "Unknown cgroup limit",
        "A cgroup reached its limit, and the log does not show which one.",
    ),
    "NodeMemory": (
        "Node out of memory",
        "The machine had no memory left; no cgroup limit was involved.",
    ),
    "ZoneMemory": (
        "Memory zone exhausted",
        "The memory zone that this allocation had to use was full, while other zones had free memory.",
    ),
    "NUMAMemoryPolicy": (
        "NUMA nodes of the memory policy full",
        "The process's memory policy (mbind, set_mempolicy, numactl) allows only some NUMA nodes, and "
        "these had no memory left.",
    ),
    "NUMACpuset": (
        "NUMA nodes of the cpuset full",
        "The process's cpuset allows only some NUMA nodes, and these had no memory left.",
    ),
    "Fragmentation": (
        "Fragmentation",
        "Memory was free, but no contiguous block was as large as the kernel needed.",
    ),
    "ManualTrigger": (
        "Manual trigger",
        "The kill was requested by hand (SysRq f); memory was not necessarily short.",
    ),
    "ExternalPolicy": (
        "External policy",
        "A policy outside the kernel, such as a BPF program, requested the kill.",
    ),
    "NoKillableProcess": (
        "No killable process",
        "Memory ran out, and the kernel found no process that it may kill.",
    ),
    "Unknown": ("Cause unknown", "The log does not show why the kernel killed the process."),
}
"""cause -> (title, one sentence that explains it)."""

OUTCOMES: dict[str, str] = {
    "Killed": "OOM kill",
    "KilledGroup": "OOM kill of a whole cgroup",
    "Panicked": "Kernel panic on OOM",
    "NoVictim": "OOM, no process killed",
}
VICTIM_NOT_IN_LOG = "OOM, victim not in this log"
"""Title of an event without a victim whose report is incomplete."""

LEVELS: dict[str, str] = {
    "Container": "the container's cgroup",
    "Pod": "the pod's cgroup",
    "QOS": "the cgroup of the pod's QoS class",
    "Allocatable": "the cgroup of all pods (node allocatable)",
    "SystemSlice": "the cgroup of the host's system services",
    "Enclosing": "a cgroup that contains the whole node",
    "Own": "the process's cgroup",
    "Ancestor": "a parent of the process's cgroup",
    "Unknown": "a cgroup that the log does not name",
}

CONTRIBUTORS: dict[str, str] = {
    "Anonymous": "Anonymous (heap, stacks)",
    "SharedMemory": "Shared memory, tmpfs",
    "DirtyPageCache": "Dirty page cache",
    "PageCache": "Page cache",
    "KernelSlab": "Kernel slab",
    "PageTables": "Page tables",
    "KernelStack": "Kernel stacks",
    "Sockets": "Socket buffers",
    "HugePages": "Huge pages",
    "Swap": "Swap",
    "Unaccounted": "Unaccounted",
}

REMEDIES: dict[str, str] = {
    "FindLeak": "Find the leak",
    "FitLimit": "Fit the limit",
    "GrowNode": "Grow the node",
    "MoveTmpfs": "Move files out of memory",
    "SlowStorage": "Throttle writes",
    "LowerHeap": "Limit the heap",
    "MatchRequests": "Match requests to usage",
    "SpreadNUMA": "Allow more NUMA nodes",
    "ReserveSystemMemory": "Adjust the reservation",
    "CompactMemory": "Compact memory",
    "FreeKernelMemory": "Reduce kernel memory",
    "LowerOOMScoreAdj": "Change oom_score_adj",
    "CheckTrigger": "Find the trigger",
}

COUNTERS: dict[str, str] = {
    "Memory": "memory",
    "MemorySwap": "memory + swap",
    "Kmem": "kernel memory",
    "Swap": "swap",
}

_SIMULATED = {"Panicked": "the kernel panics", "NoVictim": "no process is killed"}


def simulated_outcome(outcome: str | None, victim: str | None) -> str:
    """Return the outcome under other settings: `stress (12) is killed`, `the kernel panics`, `unknown`."""
    if not outcome:
        return "unknown"
    return _SIMULATED.get(outcome) or f"{victim or 'a process'} is killed"


def cause_title(cause: str) -> str:
    """Return the cause's display name; the cause itself where a newer writer used an unknown one."""
    return CAUSES.get(cause, (cause, ""))[0]
