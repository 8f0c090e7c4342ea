"""Advice about what the memory was filled with."""

from ...model.cause import Cause, ContributorName, Remedy, Scope
from ...model.diagnosis import Advice
from ..case import NO_SHORTAGE, Case, anonymous_bytes, resident_bytes
from ..children import outside_children_bytes
from ..contributors import managed_bytes
from ..names import printable
from ..units import percent, size

_TMPFS_SHARE = 0.3
_DIRTY_SHARE = 0.5
_LEAK_SHARE = 0.5
_NEARLY_ALL = 0.95
_HEADROOM = 0.2
_LITTLE = 0.1
_FILES_AT_MOST = 0.8
"""Of the limit, where next to nothing else was in use at the kill."""


def move_tmpfs(case: Case) -> Advice | None:
    """tmpfs and shared memory stay charged after the process is gone, so killing does not help."""
    share = case.share(ContributorName.SHARED_MEMORY)
    if case.cause in NO_SHORTAGE:
        return None
    if share < _TMPFS_SHARE:
        return _left_behind(case)
    shared = case.size(ContributorName.SHARED_MEMORY)
    return Advice(
        remedy=Remedy.MOVE_TMPFS,
        message=(
            f"{size(shared)} ({percent(share)}) are files in tmpfs or shared memory (emptyDir with medium "
            "Memory, /dev/shm, System V): they stay until deleted, whoever is killed. Keep them on disk, or "
            f"give the volume a sizeLimit {_size_limit(case, shared)}."
        ),
    )


def _size_limit(case: Case, shared_bytes: int) -> str:
    """What the limit leaves for files: less all else that was in use, and a fifth more of that."""
    limit, usage = case.binding.limit_bytes, case.binding.usage_bytes
    if case.scope is not Scope.MEMCG or limit is None or usage is None:
        return "below the memory limit"
    rest = max(0, usage - shared_bytes)
    room = int(limit * _FILES_AT_MOST) if rest < limit * _LITTLE else int(limit - rest * (1 + _HEADROOM))
    if room <= 0:
        return "below the memory limit"
    return f"of at most {size(room)}: {size(limit)} less the {size(rest)} in use besides, and some room"


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
    if share < _DIRTY_SHARE or case.cause in NO_SHORTAGE:
        return None
    used = size(case.size(ContributorName.DIRTY_PAGE_CACHE))
    return Advice(
        remedy=Remedy.SLOW_STORAGE,
        message=(
            f"{used} ({percent(share)}) are page cache that waits to be written: the storage is slower than "
            f"the writer. Write with fsync in between or O_DIRECT, use faster storage, or {_slow_down(case)}."
        ),
    )


def _slow_down(case: Case) -> str:
    """What makes the writer wait in time: cgroup v1 knows only the whole host's dirty pages."""
    limit, memory = case.binding.limit_bytes, case.kill.memory
    if case.scope is not Scope.MEMCG or limit is None:
        return "lower vm.dirty_bytes and vm.dirty_background_bytes"
    if memory.swap is not None:
        high = size(int(limit * (1 - _HEADROOM)))
        return f"set memory.high to about {high}, at which the kernel makes the writer wait"
    if memory.memory_swap is not None or memory.kmem is not None:
        return (
            f"lower vm.dirty_bytes below {size(limit // 2)}, for on cgroup v1 nothing slows a writer down by "
            "its cgroup"
        )
    return (
        "lower vm.dirty_bytes; on cgroup v1 nothing slows a writer down by its cgroup, on v2 memory.high does"
    )


def find_leak(case: Case) -> Advice | None:
    """One process, or many of one name, with most of the memory."""
    total = _total(case)
    if not total or case.cause in NO_SHORTAGE:
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
    each = ", each with the pages that they share" if count > 1 and held > total else ""
    return Advice(
        remedy=Remedy.FIND_LEAK,
        message=(
            f"{many} {size(held)}{share}{swap}{each}. If that is more than the work needs, or grows "
            "with time under equal load, take a heap profile and look for a leak."
        ),
    )


def _holder(case: Case) -> tuple[str, int, int] | None:
    """(comm, bytes, processes) of those of one name that hold most; a single process where it has nearly all
    of that."""
    names: dict[str, int] = {}
    pages: dict[str, int] = {}
    largest: dict[str, int] = {}
    for task in case.kill.tasks:
        comm, own = task.comm, task.rss_pages + (task.swapents_pages or 0)
        if comm in names:
            names[comm] += 1
            pages[comm] += own
            if own > largest[comm]:
                largest[comm] = own
        else:
            names[comm], pages[comm], largest[comm] = 1, own, own
    if pages:
        comm = max(pages, key=pages.__getitem__)
        most, single = pages[comm], largest[comm]
        alone = single >= most * _NEARLY_ALL
        held = (single if alone else most) * case.kill.memory.page_size_bytes
        return comm, _own(case, comm, held) if alone else held, 1 if alone else names[comm]
    victim = case.victim
    if victim is None:
        return None
    resident = anonymous_bytes(victim) if case.scope is Scope.MEMCG else resident_bytes(victim)
    return (victim.comm, resident, 1) if resident is not None else None


def _own(case: Case, comm: str, held_bytes: int) -> int:
    """Of a victim that held most of a cgroup, without pages of files, which may be charged to another."""
    victim = case.victim
    if case.scope is not Scope.MEMCG or victim is None or victim.comm != comm:
        return held_bytes
    anonymous = anonymous_bytes(victim)
    row = next((task for task in case.kill.tasks if task.pid == victim.pid), None)
    if anonymous is None or row is None:
        return held_bytes
    return min(held_bytes, anonymous + (row.swapents_pages or 0) * case.kill.memory.page_size_bytes)


def _total(case: Case) -> int | None:
    if case.scope is Scope.MEMCG:
        return case.binding.limit_bytes or case.binding.usage_bytes
    ram = managed_bytes(case.kill.memory)
    if ram is not None:
        return ram + (case.kill.memory.swap_total_bytes or 0)
    return case.node.memory_bytes if case.node is not None else None
