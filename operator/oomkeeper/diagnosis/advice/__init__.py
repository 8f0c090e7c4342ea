"""What to do, with numbers. Advice that the evidence does not support is left out.

One rule per function, `Case` in, `Advice` or None out, in the order in which people should read them."""

from collections.abc import Callable

from ...model.diagnosis import Advice
from ..case import Case
from . import allocator, content, kernelmemory, limit, node, runtime, trigger

_RULES: tuple[Callable[[Case], Advice | None], ...] = (
    trigger.check_trigger,
    content.move_tmpfs,
    content.slow_storage,
    kernelmemory.free_kernel_memory,
    content.find_leak,
    runtime.lower_heap,
    limit.fit_limit,
    limit.reserve_system_memory,
    allocator.spread_numa,
    allocator.compact_memory,
    node.grow_node,
    node.set_missing_limit,
    node.match_requests,
    allocator.lower_oom_score_adj,
)


def advise(case: Case) -> tuple[Advice, ...]:
    """Return the advice of every rule that applies. A panic gets the same advice as a kill."""
    return tuple(advice for rule in _RULES if (advice := rule(case)) is not None)
