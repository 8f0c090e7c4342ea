"""The closed vocabularies of a verdict in words, for pages that people read.

Keyed by the values that the JSON carries, so a page can be made of what was stored long ago; a value that
is not here (a newer writer's) is shown as it stands.
"""

CAUSES: dict[str, tuple[str, str]] = {
    "ContainerLimit": (
        "Container limit",
        "The container used all the memory that its own limit allows; the node may have had plenty.",
    ),
    "PodLimit": (
        "Pod limit",
        "The pod as a whole reached its limit: its containers, its tmpfs volumes and their kernel memory "
        "count together.",
    ),
    "QOSLimit": (
        "QoS class limit",
        "The cgroup of a whole QoS class reached a limit that all pods of that class on the node share.",
    ),
    "NodeAllocatableLimit": (
        "Node allocatable limit",
        "All pods of the node together reached what kubelet lets pods use.",
    ),
    "SystemSliceLimit": (
        "System services' limit",
        "The cgroup that holds the host's own services reached its limit.",
    ),
    "EnclosingLimit": (
        "Enclosing limit",
        "A cgroup around kubelet's whole tree reached its limit, such as the container that a kind node "
        "runs in.",
    ),
    "CgroupLimit": (
        "Cgroup limit",
        "The process's own cgroup, which is none of Kubernetes', reached its limit; the host may have had "
        "plenty of memory.",
    ),
    "AncestorCgroupLimit": (
        "Parent cgroup limit",
        "A cgroup above the process's own reached its limit; everything beneath it shares that limit.",
    ),
    "UnknownCgroupLimit": (
        "Some cgroup's limit",
        "A cgroup's limit was reached, and the log does not show which one.",
    ),
    "NodeMemory": (
        "Node out of memory",
        "The machine as a whole had no memory left; no limit of a container decided this.",
    ),
    "ZoneMemory": (
        "Memory zone exhausted",
        "The zone that this request had to be served from was used up, while other zones had memory.",
    ),
    "NUMAMemoryPolicy": (
        "NUMA nodes of the memory policy full",
        "The process's memory policy (mbind, set_mempolicy, numactl) allows only some "
        "NUMA nodes, and these had nothing left for it.",
    ),
    "NUMACpuset": (
        "NUMA nodes of the cpuset full",
        "The process's cpuset allows only some NUMA nodes, and these had nothing left for it.",
    ),
    "Fragmentation": (
        "Fragmentation",
        "There was free memory, but no unbroken block as large as the kernel needed.",
    ),
    "ManualTrigger": (
        "Asked for by hand",
        "Somebody told the kernel to kill (SysRq-f); memory need not have been short.",
    ),
    "ExternalPolicy": (
        "External policy",
        "Something other than the kernel's own rules asked for the kill, such as a BPF program.",
    ),
    "NoKillableProcess": (
        "Nothing left to kill",
        "Memory ran out and the kernel found no process that it may kill.",
    ),
    "Unknown": ("Cause unknown", "The log does not show why the kernel killed."),
}
"""cause -> (a few words, what it means)."""

OUTCOMES: dict[str, str] = {
    "Killed": "OOM kill",
    "KilledGroup": "OOM kill of a whole cgroup",
    "Panicked": "Kernel panic on OOM",
    "NoVictim": "OOM without a victim",
}

LEVELS: dict[str, str] = {
    "Container": "the container's own cgroup",
    "Pod": "the pod's cgroup",
    "QOS": "the cgroup of the pod's QoS class",
    "Allocatable": "the cgroup of all pods (node allocatable)",
    "SystemSlice": "the cgroup of the host's services",
    "Enclosing": "a cgroup around kubelet's tree",
    "Own": "the process's own cgroup",
    "Ancestor": "a cgroup above the process's own",
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
    "Unaccounted": "Not accounted for",
}

REMEDIES: dict[str, str] = {
    "FindLeak": "Find the leak",
    "FitLimit": "Fit the limit",
    "GrowNode": "Grow the node",
    "MoveTmpfs": "Find the leak (files in memory)",
    "SlowStorage": "Fit the limit (slow storage)",
    "LowerHeap": "Fit the limit (the runtime's heap)",
    "MatchRequests": "Grow the node (match requests)",
    "SpreadNUMA": "Grow the node (more NUMA nodes)",
    "ReserveSystemMemory": "Fit the limit (the system's share)",
    "CompactMemory": "Compact memory",
    "FreeKernelMemory": "Find the leak (kernel memory)",
    "LowerOOMScoreAdj": "Change oom_score_adj",
    "CheckTrigger": "Find who asked for it",
}

COUNTERS: dict[str, str] = {
    "Memory": "memory",
    "MemorySwap": "memory + swap",
    "Kmem": "kernel memory",
    "Swap": "swap",
}

_ENDINGS = {"Panicked": "the kernel panics", "NoVictim": "nobody dies"}


def ending(outcome: str | None, victim: str | None) -> str:
    """What other settings make of an event: `stress (12) dies`, `the kernel panics`, `not known`."""
    if not outcome:
        return "not known"
    return _ENDINGS.get(outcome) or f"{victim or 'a process'} dies"
