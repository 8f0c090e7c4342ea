"""Decide whose memory ran out: a memory cgroup's, or the page allocator's.

`constraint=` is not evidence: 5.0 and 5.1 print CONSTRAINT_NONE for memory cgroups too (fixed by 432b1de0de02
in 5.2)."""

from collections.abc import Sequence

from ...model.cause import Scope

_MEMCG = (b"mem_cgroup_out_of_memory+0x", b"mem_cgroup_oom_synchronize+0x")
_SYSRQ = b"moom_callback+0x"
_ALLOCATOR = (b"__alloc_pages", b"__alloc_frozen_pages", b"pagefault_out_of_memory", b"moom_callback")


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
    slab_table: bool = False
    """Printed for global shortages only (dump_header())."""

    def stack(self, trace: Sequence[bytes]) -> None:
        """Search the call trace for the functions of either; their names are longer than any comm."""
        text = b"\n".join(trace)
        if any(name in text for name in _MEMCG):
            self.memcg_stack = True
        elif any(name in text for name in _ALLOCATOR):
            self.allocator_stack = True
            self.sysrq = self.sysrq or _SYSRQ in text

    def verdict_line(self, text: bytes) -> None:
        """Read how the kernel's verdict begins."""
        if text.startswith(b"Memory cgroup out of memory"):
            self.memcg_verdict = True
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
