"""Find the counter that reached its limit.

cgroup v1 has three that can fail a charge: memory, memory+swap (memsw) and kmem (try_charge(),
obj_cgroup_charge_pages()); cgroup v2 has memory alone for RAM. Charges are taken in batches per CPU
(MEMCG_CHARGE_BATCH: 32 pages, 64 since 5.16), so the counter that failed may read a little below its limit by
the time it is printed."""

from typing import NamedTuple

from ..model.cause import BindingCounter
from ..model.memory import Counter, MemoryFacts

_BATCH_PAGES = 64
_DEFAULT_CPUS = 4
_PAGE_BYTES = 4096


class Binding(NamedTuple):
    """The counter at its limit, with the limit and usage printed."""

    counter: BindingCounter | None
    limit_bytes: int | None
    usage_bytes: int | None
    uncertain: str | None = None


def find_binding(memory: MemoryFacts, *, cpus: int | None, swap_used_by_tasks: bool | None) -> Binding:
    """Return the counter nearest to its limit, among those near enough. `swap_used_by_tasks`: whether a row
    of the task table has swapped pages, None without a table."""
    candidates = [
        (kind, counter)
        for kind, counter in (
            (BindingCounter.MEMORY, memory.memory),
            (BindingCounter.MEMORY_SWAP, memory.memory_swap),
            (BindingCounter.KMEM, memory.kmem),
        )
        if counter is not None and counter.limit_bytes is not None
    ]
    slack_bytes = _BATCH_PAGES * memory.page_size_bytes * (cpus or _DEFAULT_CPUS)
    near = [
        (kind, counter) for kind, counter in candidates if _headroom(counter) <= _slack(counter, slack_bytes)
    ]
    # A counter that never refused a charge did not refuse this one.
    near = [(kind, counter) for kind, counter in near if counter.failcnt != 0] or near
    if near:
        kind, counter = min(near, key=_nearness)
        return Binding(kind, counter.limit_bytes, counter.usage_bytes)
    if memory.memory is None:
        return _without_memory_line(memory, swap_used_by_tasks)
    if memory.memory.limit_bytes is None and not candidates:
        return Binding(
            None,
            None,
            memory.memory.usage_bytes,
            "The cgroup has no limit in the log; the limit may have been removed at that moment.",
        )
    return Binding(
        BindingCounter.MEMORY,
        memory.memory.limit_bytes,
        memory.memory.usage_bytes,
        "When the report was printed, usage was well below the limit again.",
    )


def _without_memory_line(memory: MemoryFacts, swap_used_by_tasks: bool | None) -> Binding:
    both = memory.memory_swap
    if both is None or both.limit_bytes is not None or swap_used_by_tasks is not False:
        return Binding(None, None, None)
    # Nothing swapped, so memory+swap counts what memory counts; and that counter was at its limit, for no
    # other has one.
    return Binding(
        BindingCounter.MEMORY,
        both.usage_bytes,
        both.usage_bytes,
        "The log lacks the line with the memory limit; the limit shown is the memory+swap usage, because no "
        "process had memory swapped out.",
    )


def _nearness(candidate: tuple[BindingCounter, Counter]) -> int:
    """Return the headroom, where one batch makes no difference between memory+swap and memory: try_charge()
    charges memory+swap first, and when that is full, memory may be full or not (swapping out lowers memory
    alone)."""
    kind, counter = candidate
    return _headroom(counter) - (_BATCH_PAGES * _PAGE_BYTES if kind is BindingCounter.MEMORY_SWAP else 0)


def _headroom(counter: Counter) -> int:
    assert counter.limit_bytes is not None
    return counter.limit_bytes - counter.usage_bytes


def _slack(counter: Counter, batch_bytes: int) -> int:
    assert counter.limit_bytes is not None
    # A tiny limit must not make every usage "near": batches can hide at most half of it.
    return min(max(batch_bytes, counter.limit_bytes // 1000), counter.limit_bytes // 2)
