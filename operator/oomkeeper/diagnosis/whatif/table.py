"""Whether a report's task table has all its rows: other settings could have chosen a process that is
missing."""

from oomkeeper.kernel.lazy import lazy

from ...model.kill import Kill

_KERNEL_THREAD = lazy(
    r"(?:k(?:worker|swapd|softirqd|threadd|compactd|hugepaged|smd|auditd|blockd)\b|kworker/|migration/|swapper/"
    r"|rcu_|rcuo|jbd2/|xfs|btrfs|irq/|watchdog|oom_reaper|writeback)"
)


def is_complete(kill: Kill) -> bool:
    """Return False if rows are known to be missing: the killed process, or the process that asked for memory.

    The kernel prints every process with memory that the event could have killed (dump_tasks()). The invoker
    is one of them, by its pid or, for a thread, by its name; only a kernel thread has no row.
    """
    if not kill.tasks:
        return False
    pids = {task.pid for task in kill.tasks}
    invoker = kill.invoker
    named = {victim.pid for victim in kill.victims[:1]}
    if invoker is not None and invoker.pid is not None:
        named.add(invoker.pid)
    if not named <= pids:
        pids |= {task.tgid for task in kill.tasks}
    if any(victim.pid not in pids for victim in kill.victims[:1]):
        return False
    if invoker is None or invoker.pid is None or _KERNEL_THREAD.match(invoker.comm):
        return True
    return invoker.pid in pids or invoker.comm in {task.comm for task in kill.tasks}
