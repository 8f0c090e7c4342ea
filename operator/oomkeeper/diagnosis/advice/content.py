"""Advice about what the memory was filled with."""

from collections import Counter as Tally

from ...model.cause import Cause, ContributorName, Remedy, Scope
from ...model.diagnosis import Advice
from ..case import Case, resident_bytes, task_pages
from ..children import outside_children_bytes
from ..names import printable
from ..units import percent, size

_TMPFS_SHARE = 0.3
_DIRTY_SHARE = 0.5
_KERNEL_SHARE = 0.3
_LEAK_SHARE = 0.5
_NEARLY_ALL = 0.95
_KERNEL = (
    ContributorName.KERNEL_SLAB,
    ContributorName.PAGE_TABLES,
    ContributorName.KERNEL_STACK,
    ContributorName.SOCKETS,
)
_NO_SHORTAGE = frozenset(
    {Cause.MANUAL_TRIGGER, Cause.EXTERNAL_POLICY, Cause.FRAGMENTATION, Cause.ZONE_MEMORY}
)


def move_tmpfs(case: Case) -> Advice | None:
    """tmpfs and shared memory stay charged after the process is gone, so killing does not help."""
    share = case.share(ContributorName.SHARED_MEMORY)
    if case.cause in _NO_SHORTAGE:
        return None
    if share < _TMPFS_SHARE:
        return _left_behind(case)
    used = size(case.size(ContributorName.SHARED_MEMORY))
    return Advice(
        remedy=Remedy.MOVE_TMPFS,
        message=(
            f"{used} ({percent(share)}) are files in tmpfs or shared memory (emptyDir with medium Memory, "
            "/dev/shm, System V): "
            "they stay until deleted, whoever is killed. Keep them on disk, or give the volume a sizeLimit "
            "below the memory "
            "limit."
        ),
    )


def _left_behind(case: Case) -> Advice | None:
    left = outside_children_bytes(case.kill, case.binding.usage_bytes)
    if case.cause is not Cause.POD_LIMIT or left is None:
        return None
    return Advice(
        remedy=Remedy.MOVE_TMPFS,
        message=(
            f"{size(left)} are charged to the pod and to none of its containers: files in memory volumes "
            "(emptyDir with medium Memory), or what containers left that are gone. Give such volumes a "
            "sizeLimit, or keep them on disk."
        ),
    )


def slow_storage(case: Case) -> Advice | None:
    """Page cache that could not be written back fast enough."""
    share = case.share(ContributorName.DIRTY_PAGE_CACHE)
    if share < _DIRTY_SHARE or case.cause in _NO_SHORTAGE:
        return None
    used = size(case.size(ContributorName.DIRTY_PAGE_CACHE))
    return Advice(
        remedy=Remedy.SLOW_STORAGE,
        message=(
            f"{used} ({percent(share)}) are page cache that waits to be written: the storage is slower than "
            "the writer. Write with "
            "fsync in between or O_DIRECT, use faster storage, or lower vm.dirty_bytes; on cgroup v1 nothing "
            "slows a writer "
            "down by its cgroup, on v2 memory.high does."
        ),
    )


def free_kernel_memory(case: Case) -> Advice | None:
    """The kernel's own memory, with the cache's name where the report has it."""
    share = case.share(*_KERNEL)
    named = case.detail(ContributorName.KERNEL_SLAB) if case.kill.memory.slabs else None
    if (share < _KERNEL_SHARE and not named) or case.cause in _NO_SHORTAGE:
        return None
    used = size(case.size(*_KERNEL))
    shown = f"{used} ({percent(share)})" if share else used
    cache = f", most of it in slab cache {printable(named)}" if named else ""
    return Advice(
        remedy=Remedy.FREE_KERNEL_MEMORY,
        message=(
            f"{shown} belong to the kernel{cache}; no kill gives them back. Compare `slabtop` over time; a "
            "cache that only grows is "
            "a leak in a driver or file system, or an object (sockets, open files, dentries) that some "
            "process holds."
        ),
    )


def find_leak(case: Case) -> Advice | None:
    """One process, or many of one name, with most of the memory."""
    total = _total(case)
    if not total or case.cause in _NO_SHORTAGE:
        return None
    holder = _holder(case)
    if holder is None:
        return None
    comm, held, count = holder
    if held < total * _LEAK_SHARE:
        return None
    many = (
        f"{count} processes named {printable(comm)} hold" if count > 1 else f"{printable(comm)} alone holds"
    )
    whole = "the limit" if case.scope is Scope.MEMCG else "the node's memory and swap"
    # Swap adds to what a limit counts, and each process that maps a shared page counts it.
    share = f" ({percent(held / total)} of {whole})" if held <= total else ""
    swap = (
        ", swap included" if any(task.swapents_pages for task in case.kill.tasks if task.comm == comm) else ""
    )
    return Advice(
        remedy=Remedy.FIND_LEAK,
        message=(
            f"{many} {size(held)}{share}{swap}. If that is more than the work needs, or grows "
            "with time under equal load, take a heap profile and look for a leak."
        ),
    )


def _holder(case: Case) -> tuple[str, int, int] | None:
    """(comm, bytes, processes) of those of one name that hold most; a single process where it has nearly all
    of that."""
    names: Tally[str] = Tally()
    pages: Tally[str] = Tally()
    for task in case.kill.tasks:
        names[task.comm] += 1
        pages[task.comm] += task_pages(task)
    if pages:
        comm, most = pages.most_common(1)[0]
        single = max(task_pages(task) for task in case.kill.tasks if task.comm == comm)
        alone = single >= most * _NEARLY_ALL
        held = (single if alone else most) * case.kill.memory.page_size_bytes
        return comm, held, 1 if alone else names[comm]
    victim = case.victim
    resident = resident_bytes(victim) if victim is not None else None
    return (victim.comm, resident, 1) if victim is not None and resident is not None else None


def _total(case: Case) -> int | None:
    if case.scope is Scope.MEMCG:
        return case.binding.limit_bytes or case.binding.usage_bytes
    memory = case.kill.memory
    if memory.ram_pages is not None:
        ram = (memory.ram_pages - (memory.reserved_pages or 0)) * memory.page_size_bytes
        return ram + (memory.swap_total_bytes or 0)
    return case.node.memory_bytes if case.node is not None else None
