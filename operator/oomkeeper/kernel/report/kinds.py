"""Classify the lines of an OOM report by a dictionary look-up of the first five bytes.

Every line that can start or end an event begins with fixed text, except the header, which begins with the
comm of the allocating task. Anchoring at the start is what keeps text that a process controls (comm, file
names that other kernel messages print) from posing as one of them."""

from enum import IntEnum, auto

from .header import parse_header
from .killline import VZ_KILL, parse_killed


class Kind(IntEnum):
    """What a line means for the life of an event."""

    HEADER = auto()
    """`comm invoked oom-killer: ...` (dump_header())."""
    OOM_KILL = auto()
    """`oom-kill:constraint=...` (dump_oom_summary(), since 5.0: ef8444ea01d7; also in el8's 4.18; vendors
    leave out the constraint)."""
    TASK_IN = auto()
    """`Task in V killed as a result of limit of B` (mem_cgroup_print_oom_info(), until 4.20)."""
    LIMIT_REACHED = auto()
    """`Memory limit reached of cgroup B`: the same without a victim (3.17 to 4.20)."""
    CHOSEN = auto()
    """`...: Kill process N (comm) score S or sacrifice child` (until 5.1: bbbe48029720; until 2.6.35 with a
    small k, and `or a child`)."""
    KILLED = auto()
    """`...Killed process N (comm) total-vm:...` (__oom_kill_process()): one per kill that vmstat's oom_kill
    counts."""
    EXITING = auto()
    """`...: OOM victim N (comm) is already exiting. Skip killing the task`; older kernels skip silently."""
    NO_KILLABLE = auto()
    """`Out of memory and no killable processes...` (out_of_memory())."""
    PANIC = auto()
    """`Kernel panic - not syncing: Out of memory...` or `...System is deadlocked on memory`."""
    GROUP = auto()
    """`Tasks in B are going to be killed due to memory.oom.group set` (since 4.19: 3d8b38eb81ca)."""
    REAPED = auto()
    """`oom_reaper: reaped process N (comm)...` (since 4.6: aac453635549)."""
    SYSRQ = auto()
    """`sysrq: Manual OOM execution` (drivers/tty/sysrq.c): the next report was requested by hand."""
    CONTEXT = auto()
    """A line of a report that proves no kill by itself."""


_MEMCG_HEADS = (b"Memory cgroup stats for ", b"Memory cgroup min protection ")
_COUNTER_HEADS = (b"memory: usage ", b"memory+swap: usage ")
_TABLE_HEAD = b"Tasks state (memory values in pages)"


def _memory_cgroup(text: bytes) -> Kind | None:
    if text.startswith(b"Memory cgroup out of memory: "):
        return _verdict(text, 29)
    if text.startswith(b"Memory limit reached of cgroup "):
        return Kind.LIMIT_REACHED
    if text.startswith(_MEMCG_HEADS):
        return Kind.CONTEXT
    return None


def _out_of_memory(text: bytes) -> Kind | None:
    if text.startswith(b"Out of memory: "):
        return _verdict(text, 15)
    if text.startswith(VZ_KILL):
        return Kind.KILLED if parse_killed(text) is not None else None
    if text.startswith(b"Out of memory and no killable process"):
        return Kind.NO_KILLABLE
    if text.startswith(b"Out of memory (oom_kill_allocating_task): "):
        return _verdict(text, 42)
    return None


def _verdict(text: bytes, at: int) -> Kind | None:
    if text.startswith(b"Killed process ", at):
        return Kind.KILLED
    if text.startswith((b"Kill process ", b"kill process "), at):
        return Kind.CHOSEN
    if text.startswith(b"OOM victim ", at):
        return Kind.EXITING
    return None


def _panic(text: bytes) -> Kind | None:
    text = text[28:]
    if text.startswith((b"Out of memory", b"System is deadlocked on memory", b"out of memory")):
        return Kind.PANIC
    return None


def _starts(prefix: bytes, kind: Kind) -> "dict[bytes, tuple[bytes, Kind]]":
    return {prefix[:5]: (prefix, kind)}


_FIXED: dict[bytes, tuple[bytes, Kind]] = {
    **_starts(b"oom-kill:", Kind.OOM_KILL),
    **_starts(b"Killed process ", Kind.KILLED),
    **_starts(b"Task in ", Kind.TASK_IN),
    **_starts(b"oom_reaper: reaped process ", Kind.REAPED),
    **_starts(b"sysrq: ", Kind.SYSRQ),
    **_starts(b"SysRq : ", Kind.SYSRQ),
    **_starts(b"Mem-Info:", Kind.CONTEXT),
    **_starts(b"Unreclaimable slab info:", Kind.CONTEXT),
    **_starts(b"kmem: usage ", Kind.CONTEXT),
    **_starts(b"swap: usage ", Kind.CONTEXT),
    **_starts(b"[ pid ]", Kind.CONTEXT),
    **_starts(b"[  pid  ]", Kind.CONTEXT),
}

HEADS = frozenset(_FIXED) | {b"Memor", b"Out o", b"Kerne", b"Tasks", b"memor"}
"""The first five bytes of every known line except the header, for callers that must be fast."""
HEADER_MARK = b"invoked oom"
"""Without the blank before it, which is much slower to search: a table is full of blanks. find() takes half
the time of `in`."""


def kind_of(text: bytes) -> Kind | None:
    """Return the kind of a record's text, or None if the line does not affect an event. Constant time."""
    if text.find(HEADER_MARK) >= 0 and parse_header(text) is not None:
        # Before all others: a comm may begin like any of them.
        return Kind.HEADER
    head = text[:5]
    if head not in HEADS:
        return None
    if head == b"Memor":
        return _memory_cgroup(text)
    if head == b"Out o":
        return _out_of_memory(text)
    if head == b"Kerne":
        return _panic(text) if text.startswith(b"Kernel panic - not syncing: ") else None
    if head == b"memor":
        return Kind.CONTEXT if text.startswith(_COUNTER_HEADS) else None
    if head == b"Tasks":
        if text.startswith(_TABLE_HEAD):
            return Kind.CONTEXT
        # The path between may hold anything, the end is the kernel's.
        return Kind.GROUP if text.rstrip().endswith(b"memory.oom.group set") else None
    prefix, kind = _FIXED[head]
    if kind is Kind.SYSRQ:
        return kind if b"Manual OOM execution" in text[:64] else None
    return kind if text.startswith(prefix) else None
