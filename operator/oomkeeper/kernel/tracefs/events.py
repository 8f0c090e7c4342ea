"""The four events that oomkeeper asks for, as typed records.

    oom/mark_victim             the OOM killer chose a process (since 4.10; more than its pid since 6.8 and
                                in the later releases of 6.1)
    signal/signal_generate      a signal was sent (since 2.6.33)
    cgroup/cgroup_attach_task   a process was moved to a cgroup (since 4.13)
    task/task_newtask           a process or thread was made (since 3.3)

Every record begins with the task that caused it: for a signal its sender, for an OOM kill the task that could
not allocate, for a new process its parent.
"""

from typing import NamedTuple

from .formats import EventFormat

CLONE_THREAD = 0x00010000
CLONE_INTO_CGROUP = 0x200000000
"""include/uapi/linux/sched.h."""

SIGKILL, SI_KERNEL = 9, 128
"""`sig` and `code` of the signal that the OOM killer sends (SEND_SIG_PRIV)."""

EVENTS = ("oom/mark_victim", "signal/signal_generate", "cgroup/cgroup_attach_task", "task/task_newtask")


class VictimMarked(NamedTuple):
    """oom/mark_victim. Also written for a process that was dying anyway, without a kill."""

    time_ns: int
    by_pid: int
    pid: int
    comm: bytes | None
    """This and all that follows: None before 6.8. Up to 15 bytes of the process's own choice."""
    uid: int | None
    total_vm_kib: int | None
    anon_rss_kib: int | None
    file_rss_kib: int | None
    shmem_rss_kib: int | None
    pgtables_kib: int | None
    oom_score_adj: int | None


class SignalSent(NamedTuple):
    """signal/signal_generate."""

    time_ns: int
    by_pid: int
    """The thread that sent it; 0 for an interrupt on an idle CPU."""
    pid: int
    comm: bytes
    sig: int
    code: int
    """si_code: 0 kill(2), -6 tgkill(2), 128 (SI_KERNEL) the kernel itself."""
    result: int
    """0 delivered, 1 ignored, 2 pending already (include/trace/events/signal.h)."""


class CgroupJoined(NamedTuple):
    """cgroup/cgroup_attach_task."""

    time_ns: int
    by_pid: int
    pid: int
    hierarchy: int
    """As the first column of /proc/PID/cgroup; 0 for version 2."""
    path: bytes
    """From the hierarchy's root, whatever cgroup namespace the reader is in."""


class ProcessMade(NamedTuple):
    """task/task_newtask."""

    time_ns: int
    by_pid: int
    """The thread that made it."""
    pid: int
    clone_flags: int


TraceEvent = VictimMarked | SignalSent | CgroupJoined | ProcessMade


def decode(event: str, fmt: EventFormat, time_ns: int, record: bytes) -> TraceEvent:
    """Return the record of an event of EVENTS. Raises TraceFormatError where the record is too short, and
    KeyError for another event."""

    def must(name: str) -> int:
        return fmt.number(record, name) or 0

    def may(name: str) -> int | None:
        return fmt.number(record, name)

    by_pid, pid = must("common_pid"), must("pid")
    match event:
        case "oom/mark_victim":
            return VictimMarked(
                time_ns=time_ns,
                by_pid=by_pid,
                pid=pid,
                comm=fmt.text(record, "comm"),
                uid=may("uid"),
                total_vm_kib=may("total_vm"),
                anon_rss_kib=may("anon_rss"),
                file_rss_kib=may("file_rss"),
                shmem_rss_kib=may("shmem_rss"),
                pgtables_kib=may("pgtables"),
                oom_score_adj=may("oom_score_adj"),
            )
        case "signal/signal_generate":
            comm = fmt.text(record, "comm") or b""
            return SignalSent(time_ns, by_pid, pid, comm, must("sig"), must("code"), must("result"))
        case "cgroup/cgroup_attach_task":
            path = fmt.text(record, "dst_path") or b""
            return CgroupJoined(time_ns, by_pid, pid, must("dst_root"), path)
        case "task/task_newtask":
            return ProcessMade(time_ns, by_pid, pid, must("clone_flags"))
    raise KeyError(event)
