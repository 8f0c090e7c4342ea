"""Decide whose memory ran out: a memory cgroup's, or the page allocator's.

`constraint=` is not evidence: 5.0 and 5.1 print CONSTRAINT_NONE for memory cgroups too (fixed by 432b1de0de02
in 5.2)."""

from ...model.cause import Scope
from ..lazy import lazy
from .killline import VZ_KILL

_MEMCG = (b"mem_cgroup_out_of_memory+0x", b"mem_cgroup_oom_synchronize+0x")
_SYSRQ = b"moom_callback+0x"
_ALLOCATOR = (b"__alloc_pages", b"__alloc_frozen_pages", b"pagefault_out_of_memory", b"moom_callback")
_LIMIT_WRITES = (b"memory_max_write+0x", b"mem_cgroup_resize_max+0x", b"mem_cgroup_resize_limit+0x")
"""memory.max of cgroup v2, memory.limit_in_bytes of v1 (since 4.18 and before)."""
_SWAPOFF = (b"try_to_unuse+0x", b"sys_swapoff+0x")
# Patterns that begin with fixed bytes are searched ten times as fast.
_NO_CHOICE = lazy(rb"dump_header(?<!\wdump_header)(?:\.\w+)*\+0x[^\n]*\n[^\n]*\bout_of_memory(?:\.\w+)*\+0x")
_EITHER = b"Out of memory and no killable process"
"""Printed for a cgroup's shortage, too; after the page allocator's the kernel panics (out_of_memory())."""
_OOPS = lazy(
    rb"\n(?:BUG: |Oops: |general protection fault|Unable to handle kernel |kernel BUG at |Internal error: "
    rb"|Kernel panic - not syncing: (?!.{0,20}[Oo]ut of memory|System is deadlocked))"
)
"""At the beginning of a line."""


class Marks:
    """The evidence in a report for either."""

    oom_memcg: bool = False
    global_oom: bool = False
    limit_of_host: bool = False
    """`Task in V killed as a result of limit of host`: how Alibaba's kernels (4.19) word a global
    shortage."""
    counters: bool = False
    mem_info: bool = False
    memcg_stack: bool = False
    allocator_stack: bool = False
    memcg_verdict: bool = False
    global_verdict: bool = False
    sysrq: bool = False
    limit_lowered: bool = False
    """The trace contains the write of a new limit below the usage."""
    swapoff: bool = False
    """The trace contains swapoff(2), which moves swapped pages back into memory."""
    no_choice: bool = False
    """dump_header() was called directly by out_of_memory(): no process was chosen. The kernel is about to
    panic (vm.panic_on_oom), or no process is killable."""
    oops: bool = False
    """An oops or a panic for another reason interrupts the report."""
    slab_table: bool = False
    """Printed for global shortages only (dump_header())."""

    def stack(self, text: bytes) -> None:
        """Search the call trace for the functions of either; their names are longer than any comm."""
        if any(name in text for name in _MEMCG):
            self.memcg_stack = True
        elif any(name in text for name in _ALLOCATOR):
            self.allocator_stack = True
            self.sysrq = self.sysrq or _SYSRQ in text
        self.limit_lowered = self.limit_lowered or any(name in text for name in _LIMIT_WRITES)
        self.swapoff = self.swapoff or any(name in text for name in _SWAPOFF)
        self.no_choice = self.no_choice or _NO_CHOICE.search(text) is not None
        self.oops = self.oops or _OOPS.search(b"\n" + text) is not None

    def verdict_line(self, text: bytes) -> None:
        """Read how the kernel's verdict begins."""
        if text.startswith((b"Memory cgroup out of memory", VZ_KILL)):
            self.memcg_verdict = True
        elif text.startswith(_EITHER):
            return
        elif (
            text.startswith((b"Out of memory", b"Kernel panic")) and b": compulsory panic_on_oom" not in text
        ):
            # vm.panic_on_oom=2 prints "compulsory" for a cgroup's limit, too (check_panic_on_oom()).
            self.global_verdict = True


def scope_of(marks: Marks) -> Scope:
    """Return the scope; the first match wins, from the most to the least explicit."""
    if marks.oom_memcg:
        return Scope.MEMCG
    if marks.global_oom or marks.limit_of_host:
        return Scope.GLOBAL
    if marks.memcg_verdict or marks.counters or marks.memcg_stack:
        return Scope.MEMCG
    if marks.mem_info or marks.slab_table or marks.allocator_stack or marks.global_verdict:
        return Scope.GLOBAL
    return Scope.UNKNOWN
