"""Advice about what filled the memory."""

from ...model.cause import Cause, ContributorName, Remedy, Scope
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.units import bytes_text, share_text
from ..case import NO_SHORTAGE, Case, resident_bytes, task_pages
from ..children import outside_children_bytes
from ..contributors import managed_bytes
from .guest import fit_guest, is_guest

_TMPFS_SHARE = 0.3
_DIRTY_SHARE = 0.5
_LEAK_SHARE = 0.5
_NEARLY_ALL = 0.95
_FILE_PAGES_ELSEWHERE = 1.5
"""Resident memory beyond this part of the limit is not only file pages charged to another cgroup."""
_HEADROOM = 0.2
_LITTLE = 0.1
_FILES_AT_MOST = 0.8
"""Of the limit, where almost nothing else was in use at the kill."""


def move_tmpfs(case: Case) -> Advice | None:
    """Point to tmpfs and shared memory, which stay charged when the process is gone: killing does not
    help."""
    share = case.share(ContributorName.SHARED_MEMORY)
    if case.cause in NO_SHORTAGE:
        return None
    if share < _TMPFS_SHARE:
        return _left_behind(case)
    victim = case.victim
    if victim is not None and is_guest(victim.comm) and victim.shmem_rss_bytes:
        return None  # the guest's RAM; find_leak() explains it
    shared = case.size(ContributorName.SHARED_MEMORY)
    return Advice(
        remedy=Remedy.MOVE_TMPFS,
        message=(
            f"{bytes_text(shared)} ({share_text(share)}) is files in tmpfs or shared memory (emptyDir with "
            "medium Memory, /dev/shm, System V). They stay until deleted, even if processes are killed. "
            f"Store them on disk, or give the volume a sizeLimit {_size_limit(case, shared)}."
        ),
    )


def _size_limit(case: Case, shared_bytes: int) -> str:
    """Return the room that the limit leaves for files: the limit minus other usage plus 20 % of that."""
    limit, usage = case.binding.limit_bytes, case.binding.usage_bytes
    if case.scope is not Scope.MEMCG or limit is None or usage is None:
        return "below the memory limit"
    rest = max(0, usage - shared_bytes)
    room = int(limit * _FILES_AT_MOST) if rest < limit * _LITTLE else int(limit - rest * (1 + _HEADROOM))
    if room <= 0:
        return "below the memory limit"
    return (
        f"of at most {bytes_text(room)}: the limit of {bytes_text(limit)} minus other usage "
        f"({bytes_text(rest)}) and headroom"
    )


def _left_behind(case: Case) -> Advice | None:
    left = outside_children_bytes(case.kill, case.binding.usage_bytes)
    if case.cause is not Cause.POD_LIMIT or left is None:
        return None
    return Advice(
        remedy=Remedy.MOVE_TMPFS,
        message=(
            f"{bytes_text(left)} is charged to the pod but to none of its containers: files in memory "
            "volumes (emptyDir with medium Memory), or memory left by containers that no longer exist. Give "
            "such volumes a sizeLimit, or store the files on disk."
        ),
    )


def slow_storage(case: Case) -> Advice | None:
    """Point to page cache that could not be written back fast enough."""
    share = case.share(ContributorName.DIRTY_PAGE_CACHE)
    if share < _DIRTY_SHARE or case.cause in NO_SHORTAGE:
        return None
    used = bytes_text(case.size(ContributorName.DIRTY_PAGE_CACHE))
    return Advice(
        remedy=Remedy.SLOW_STORAGE,
        message=(
            f"{used} ({share_text(share)}) is page cache waiting to be written to disk: the storage is "
            "slower than the writer. Call fsync more often or use O_DIRECT, use faster storage, or "
            f"{_slow_down(case)}."
        ),
    )


def _slow_down(case: Case) -> str:
    """Return how to throttle the writer: cgroup v1 only counts the dirty pages of the whole host."""
    limit, memory = case.binding.limit_bytes, case.kill.memory
    if case.scope is not Scope.MEMCG or limit is None:
        return "lower vm.dirty_bytes and vm.dirty_background_bytes"
    if memory.swap is not None:
        high = bytes_text(int(limit * (1 - _HEADROOM)))
        return f"set memory.high to about {high}, where the kernel throttles the writer"
    if memory.memory_swap is not None or memory.kmem is not None:
        return (
            f"lower vm.dirty_bytes below {bytes_text(limit // 2)} (cgroup v1 cannot throttle the writers of "
            "one cgroup)"
        )
    return (
        "set memory.high (cgroup v2) or lower vm.dirty_bytes (cgroup v1 cannot throttle the writers of one "
        "cgroup)"
    )


def find_leak(case: Case) -> Advice | None:
    """Point to one process, or several of one name, with most of the memory."""
    total = _total(case)
    if not total or case.cause in NO_SHORTAGE:
        return None
    holder = _holder(case)
    if holder is None:
        return None
    comm, held, count = holder
    if held < total * _LEAK_SHARE:
        return None
    if is_guest(comm):
        return fit_guest(case, comm, held)
    many = f"{count} processes named {printable(comm)} use" if count > 1 else f"{printable(comm)} alone uses"
    whole = "the limit" if case.scope is Scope.MEMCG else "the node's memory and swap"
    # A limit does not count swap, file pages may be charged to another cgroup, and each process counts the
    # shared pages that it maps.
    share = f" ({share_text(held / total)} of {whole})" if held <= total else ""
    swapped = any(task.swapents_pages for task in case.kill.tasks)
    if total < held <= total * _FILE_PAGES_ELSEWHERE and count == 1 and not swapped:
        share = f" (all of {whole})"
    swap = (
        ", including swap"
        if any(task.swapents_pages for task in case.kill.tasks if task.comm == comm)
        else ""
    )
    each = " (shared pages counted for each)" if count > 1 and held > total else ""
    return Advice(
        remedy=Remedy.FIND_LEAK,
        message=(
            f"{many} {bytes_text(held)}{share}{swap}{each}. If this is more than the workload needs, or if "
            "it grows under constant load, take a heap profile and look for a leak."
        ),
    )


def _holder(case: Case) -> tuple[str, int, int] | None:
    """Return (comm, resident and swapped bytes, processes) of the name whose processes use most; a single
    process where it has nearly all of that."""
    pages: dict[str, int] = {}
    for task in case.kill.tasks:
        pages[task.comm] = pages.get(task.comm, 0) + task.rss_pages + (task.swapents_pages or 0)
    if pages:
        comm = max(pages, key=pages.__getitem__)
        own = [task_pages(task) for task in case.kill.tasks if task.comm == comm]
        most, single = pages[comm], max(own)
        alone = single >= most * _NEARLY_ALL
        held = (single if alone else most) * case.kill.memory.page_size_bytes
        return comm, held, 1 if alone else len(own)
    victim = case.victim
    if victim is None:
        return None
    resident = resident_bytes(victim)
    return (victim.comm, resident, 1) if resident is not None else None


def _total(case: Case) -> int | None:
    if case.scope is Scope.MEMCG:
        return case.binding.limit_bytes or case.binding.usage_bytes
    ram = managed_bytes(case.kill.memory)
    if ram is not None:
        return ram + (case.kill.memory.swap_total_bytes or 0)
    return case.node.memory_bytes if case.node is not None else None
