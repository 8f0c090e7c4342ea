"""What the log has right before an event that lacks its header: a request by sysrq, or the trace of a memory
cgroup's shortage."""

_REACH_LINES = 64
"""A call trace has fewer lines."""
_MEMCG_TRACE = (b"mem_cgroup_out_of_memory+0x", b"mem_cgroup_oom_synchronize+0x")


class Before:
    """The lines before the next event."""

    def __init__(self) -> None:
        self._sysrq_left = 0
        self._trace_left = 0

    def see(self, text: bytes) -> None:
        """Take a line while no report is open."""
        if self._sysrq_left:
            self._sysrq_left -= 1
        if self._trace_left:
            self._trace_left -= 1
        if b"mem_cgroup_o" in text and any(name in text for name in _MEMCG_TRACE):
            self._trace_left = _REACH_LINES

    def sysrq(self) -> None:
        """Take `sysrq: Manual OOM execution`."""
        self._sysrq_left = _REACH_LINES

    def take(self) -> tuple[bool, bool]:
        """Return (sysrq, trace of a memory cgroup) for an event that begins now, and forget both."""
        found = self._sysrq_left > 0, self._trace_left > 0
        self._sysrq_left = self._trace_left = 0
        return found
