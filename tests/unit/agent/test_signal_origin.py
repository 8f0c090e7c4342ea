"""What sent a SIGKILL: a process, the OOM killer, or the kernel itself."""

from oomkeeper.agent.signal_origin import GROUP_NS, Origin, SignalOrigins
from oomkeeper.agent.traced_kills import KillPairs
from oomkeeper.kernel.tracefs.events import SI_KERNEL, SignalSent, VictimMarked

INVOKER = 50


def sent(time_ns: int, pid: int, *, by_pid: int = 60, code: int = 0, result: int = 0) -> SignalSent:
    return SignalSent(time_ns, by_pid, pid, b"a", 9, code, result)


def by_kernel(time_ns: int, pid: int, *, by_pid: int = INVOKER) -> SignalSent:
    return sent(time_ns, pid, by_pid=by_pid, code=SI_KERNEL)


def marked(time_ns: int, pid: int, *, by_pid: int = INVOKER) -> VictimMarked:
    return VictimMarked(time_ns, by_pid, pid, *[None] * 8)


def origins(*batches: list[SignalSent | VictimMarked]) -> list[tuple[int, Origin]]:
    pairs, signals = KillPairs(), SignalOrigins()
    return [(one.pid, one.origin) for batch in batches for one in signals.take(batch, pairs.take(batch))]


def test_process_and_oom_killer_are_told_apart() -> None:
    assert origins([sent(1, 7), by_kernel(2, 8), marked(3, 8), sent(4, 9, code=-6)]) == [
        (7, Origin.PROCESS),
        (8, Origin.OOM_KILLER),
        (9, Origin.PROCESS),
    ]


def test_process_that_has_the_victims_memory_is_killed_with_it() -> None:
    assert origins([by_kernel(1, 7), marked(2, 7), by_kernel(3, 8)]) == [
        (7, Origin.OOM_KILLER),
        (8, Origin.OOM_KILLER),
    ]
    assert origins([by_kernel(1, 7), marked(2, 7)], [by_kernel(3 + GROUP_NS, 8)]) == [(7, Origin.OOM_KILLER)]


def test_rest_of_a_pid_namespace_is_left_out() -> None:
    assert origins([sent(1, 7), by_kernel(2, 8, by_pid=7), by_kernel(3, 9, by_pid=7)], []) == [
        (7, Origin.PROCESS)
    ]


def test_ignored_and_repeated_signals_are_left_out() -> None:
    assert origins([sent(1, 7, result=1), sent(2, 8, result=2)]) == []


def test_kernels_signal_to_the_running_task_waits_for_its_mark() -> None:
    own = by_kernel(1, 7, by_pid=7)
    assert origins([own], []) == [(7, Origin.KERNEL)]
    assert origins([own], [marked(2, 7, by_pid=7)], []) == [(7, Origin.OOM_KILLER)]
    assert origins([own, marked(2, 7, by_pid=7)], []) == [(7, Origin.OOM_KILLER)]


def test_process_killed_by_both_has_both() -> None:
    assert origins([sent(1, 7), by_kernel(2, 7), marked(3, 7)]) == [
        (7, Origin.PROCESS),
        (7, Origin.OOM_KILLER),
    ]
