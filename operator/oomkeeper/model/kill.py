"""One OOM event as the kernel reported it: a Kill. Facts only; the `Diagnosis` judges it."""

from collections.abc import Sequence
from typing import NamedTuple

from .cause import Scope
from .memory import MemoryFacts


class Victim(NamedTuple):
    """One `Killed process` line. Sizes in bytes, None where that kernel does not print them."""

    pid: int
    comm: str
    uid: int | None = None
    total_vm_bytes: int | None = None
    anon_rss_bytes: int | None = None
    file_rss_bytes: int | None = None
    shmem_rss_bytes: int | None = None
    """Printed since 4.5."""
    pgtables_bytes: int | None = None
    """Printed, with UID and oom_score_adj, since 5.4."""
    oom_score_adj: int | None = None


class Invoker(NamedTuple):
    """The task whose allocation failed: `comm invoked oom-killer: gfp_mask=..., order=0,
    oom_score_adj=0`."""

    comm: str
    pid: int | None
    order: int | None
    """Allocation order; -1 for a kill requested by sysrq-f."""
    gfp: str | None
    """As printed: `0xcc0(GFP_KERNEL)`, `0xd0`."""
    oom_score_adj: int | None


class TaskRow(NamedTuple):
    """One row of the task table that vm.oom_dump_tasks=1 prints. Pages of `MemoryFacts.page_size_bytes`.
    A tuple, as a large machine's table has thousands."""

    pid: int
    uid: int
    tgid: int
    total_vm_pages: int
    rss_pages: int
    pgtables_bytes: int | None
    """Bytes since 4.15; older kernels print table counts, which are converted with the page size."""
    swapents_pages: int | None
    oom_score_adj: int | None
    comm: str


class Kill(NamedTuple):
    """Everything that the kernel log says of one OOM event, whether or not a process died of it.

    A header that the kernel's rate limit (10 per 5 s, mm/oom_kill.c oom_rs) left out gives a Kill with
    `header_seen=False` and little else than its victim.
    """

    usec: int | None = None
    """Time of the first record in microseconds since boot."""
    wall: str | None = None
    """RFC 3339 where the log had wall-clock time."""
    first_seq: int | None = None
    last_seq: int | None = None
    """/dev/kmsg sequence numbers of the first record and of the last kill line."""
    kill_seqs: tuple[int, ...] = ()
    """Sequence numbers of the `Killed process` lines: one per kill that /proc/vmstat counts."""
    scope: Scope = Scope.UNKNOWN
    header_seen: bool = False
    invoker: Invoker | None = None
    sysrq: bool = False
    """Requested by sysrq-f: the call trace shows moom_callback() (drivers/tty/sysrq.c; kernels before 4.3
    print order 0 for it), or `sysrq: Manual OOM execution` comes right before an event without a header."""
    limit_lowered: bool = False
    """The call trace shows that a new limit below the usage was written (memory.max,
    memory.limit_in_bytes)."""
    swapoff: bool = False
    """The call trace shows swapoff(2), which needs memory for every page in swap."""
    no_choice: bool = False
    """The call trace shows that no process was chosen: the kernel was about to panic, or none was
    killable."""
    oops: bool = False
    """An oops or a panic for another reason interrupts the report."""
    kernel_release: str | None = None
    constraint: str | None = None
    """`CONSTRAINT_MEMCG` and the like, as printed."""
    nodemask: str | None = None
    """mempolicy's nodes as printed (`(null)`, `1`, `0-3`)."""
    cpuset: str | None = None
    mems_allowed: str | None = None
    oom_memcg: str | None = None
    """Path of the cgroup that reached its limit, as printed: the host's view, nested prefixes included."""
    task_memcg: str | None = None
    """Path of the victim's cgroup, as printed."""
    chosen_comm: str | None = None
    chosen_pid: int | None = None
    """`task=` and `pid=` of the oom-kill line: the victim even where the kill line is missing."""
    chosen_uid: int | None = None
    victims: tuple[Victim, ...] = ()
    """Distinct processes that a `Killed process` line names, in order. Where the text ends right before
    that line, the one process that the oom-kill line chose, with `kill_lines` 0 and `complete` false."""
    kill_lines: int = 0
    """`Killed process` lines seen: memory.oom.group prints (and counts) the first victim twice."""
    already_exiting: tuple[int, ...] = ()
    """Pids of `... is already exiting. Skip killing the task`."""
    reaped: tuple[int, ...] = ()
    """Pids that the oom_reaper names; evidence of a kill, not a kill."""
    oom_group: str | None = None
    """Path of `Tasks in %s are going to be killed due to memory.oom.group set`."""
    panic: str | None = None
    """Text after `Kernel panic - not syncing: `."""
    no_killable: bool = False
    sacrificed_parent_pid: int | None = None
    """Before 5.1: the pid in `Kill process A (x) score N or sacrifice child` where the victim is another."""
    memory: MemoryFacts = MemoryFacts()
    tasks: Sequence[TaskRow] = ()
    """The task table; parsed from the log, it is read when first looked at."""
    table_seen: bool = False
    """The report has a task table, though perhaps an empty one."""
    complete: bool = True
    """False where the text was cut at either end, or records are known to be missing."""
    lost_before: int = 0
    """Log records known to be lost just before or inside this event."""

    @property
    def naming_seq(self) -> int | None:
        """Sequence number of the record that names the event in the agent's state: its first kill line, else
        its first record; None where the log has no numbers."""
        return self.kill_seqs[0] if self.kill_seqs else self.first_seq

    @property
    def by_sysrq(self) -> bool:
        """Whether it was requested by sysrq-f: moom_callback() sets order -1, as is_sysrq_oom() knows."""
        return self.sysrq or (self.invoker is not None and self.invoker.order == -1)
