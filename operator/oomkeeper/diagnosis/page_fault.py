"""OOM events that the page fault handler requested.

pagefault_out_of_memory() (mm/oom_kill.c) prints gfp_mask=0x0 and order=0. It is called when a page fault
returned VM_FAULT_OOM: an allocation failed earlier, for a reason that this report does not show, such as the
limit of a cgroup. Since 5.15 (60e2793d440a) it does not call the OOM killer any more."""

from ..kernel.lazy import lazy
from ..model.cause import Scope
from ..model.kill import Kill

_NO_FLAGS = lazy(r"(?:0x)?0+(?:\(\))?")


def by_page_fault(kill: Kill) -> bool:
    """Return whether the page fault handler requested the event, and no memory cgroup is involved."""
    invoker = kill.invoker
    return (
        kill.scope is not Scope.MEMCG
        and invoker is not None
        and invoker.gfp is not None
        and _NO_FLAGS.fullmatch(invoker.gfp) is not None
        and not invoker.order
    )
