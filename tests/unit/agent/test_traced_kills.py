"""OOM kills in the kernel's trace, and what the log lacks of them."""

from oomkeeper.agent.kill_of_trace import kill_of_trace
from oomkeeper.agent.signal_origin import GROUP_NS
from oomkeeper.agent.traced_kills import KillPairs, UnloggedKills
from oomkeeper.kernel.tracefs.events import SI_KERNEL, SignalSent, VictimMarked
from oomkeeper.model.kill import Victim

BEFORE = 1_000_000


def sent(time_ns: int, pid: int, *, by_pid: int = 50, code: int = SI_KERNEL) -> SignalSent:
    return SignalSent(time_ns, by_pid, pid, b"a", 9, code, 0)


def marked(time_ns: int, pid: int, *, by_pid: int = 50) -> VictimMarked:
    return VictimMarked(time_ns, by_pid, pid, *[None] * 8)


def kills(*batches: list[SignalSent | VictimMarked]) -> list[tuple[int, int]]:
    pairs = KillPairs()
    return [(kill.time_ns, kill.pid) for batch in batches for kill in pairs.take(batch)]


def test_signal_and_mark_are_a_kill() -> None:
    assert kills([sent(1, 7), marked(2, 7), sent(3, 8), marked(4, 8)]) == [(2, 7), (4, 8)]


def test_pair_may_come_in_two_readings() -> None:
    assert kills([sent(1, 7)], [marked(2, 7)]) == [(2, 7)]


def test_other_sigkills_are_no_oom_kills() -> None:
    assert kills([sent(1, 7, code=0), sent(2, 7, code=-6), sent(3, 7), sent(4, 8)]) == []
    # Somebody's kill -9, and a process that was dying when memory ran out.
    assert kills([sent(1, 7, code=0), marked(2, 7)]) == []
    assert kills([sent(1, 7, by_pid=51), marked(2, 7)]) == []


def test_first_victim_of_a_group_is_counted_twice_as_vmstat_does() -> None:
    events = [sent(1, 7), marked(2, 7), sent(3, 7), sent(4, 8), marked(5, 8)]
    assert kills(events) == [(2, 7), (3, 7), (5, 8)]
    late = 2 + GROUP_NS
    assert kills([sent(1, 7), marked(2, 7), sent(late, 7)]) == [(2, 7)]


def unlogged(*, traced: list[int], logged: list[int], missing: int) -> list[int]:
    found = UnloggedKills()
    found.traced(marked(time, pid) for time, pid in enumerate(traced))
    for pid in logged:
        found.logged(pid)
    return [kill.pid for kill in found.find(missing, before_ns=BEFORE)]


def test_kill_without_a_line_is_the_missing_one() -> None:
    assert unlogged(traced=[7, 8, 9], logged=[7, 9], missing=1) == [8]


def test_line_may_come_before_the_trace_is_read() -> None:
    found = UnloggedKills()
    found.logged(7)
    found.traced([marked(1, 7), marked(2, 8)])
    assert [kill.pid for kill in found.find(1, before_ns=BEFORE)] == [8]


def test_more_kills_than_are_missing_stay_open() -> None:
    """Some of them are recorded already, by an agent that was killed: which ones is not known."""
    assert unlogged(traced=[7, 8], logged=[], missing=1) == []


def test_one_pid_killed_twice_needs_two_lines() -> None:
    assert unlogged(traced=[7, 7], logged=[7], missing=1) == [7]


def test_settled_kills_are_forgotten() -> None:
    found = UnloggedKills()
    found.traced([marked(1, 7)])
    found.logged(8)
    found.settled()
    found.traced([marked(2, 8)])
    assert [kill.pid for kill in found.find(1, before_ns=BEFORE)] == [8]


def test_kill_of_the_trace_has_the_victims_memory() -> None:
    victim = VictimMarked(5_000_000, 50, 7, b"a\nb\xff", 1000, 60, 48, 4, 8, 2, -5)
    kill = kill_of_trace(victim, path="/a")
    assert kill.victims == (Victim(7, "a\nb\\xff", 1000, 60 << 10, 48 << 10, 4 << 10, 8 << 10, 2 << 10, -5),)
    assert (kill.usec, kill.task_memcg, kill.kill_lines, kill.complete) == (5000, "/a", 1, False)


def test_kill_of_an_old_kernels_trace_has_the_name_that_the_signal_has() -> None:
    (victim,) = KillPairs().take([sent(4, 7), marked(5, 7)])
    assert kill_of_trace(victim, path=None).victims == (Victim(pid=7, comm="a"),)


def test_kill_that_is_printed_just_now_is_not_missing() -> None:
    found = UnloggedKills()
    found.traced([marked(1, 7), marked(BEFORE, 8)])
    (missing,) = found.find(1, before_ns=BEFORE)
    assert missing.pid == 7
    found.drop(missing)
    assert [kill.pid for kill in found.kills] == [8]
    found.logged(8)
    assert found.kills == ()


def test_line_whose_trace_an_earlier_agent_read_hides_no_later_kill_of_its_number() -> None:
    found = UnloggedKills()
    found.logged(7)
    found.traced([])
    found.trace_read()
    found.traced([marked(1, 7)])
    assert [kill.pid for kill in found.find(1, before_ns=BEFORE)] == [7]


def test_kill_that_comes_from_a_file_and_from_a_note_is_one() -> None:
    found = UnloggedKills()
    found.traced([marked(1, 7)])
    found.traced([marked(1, 7), marked(2, 7)])
    assert found.kills == (marked(1, 7), marked(2, 7))


def test_line_belongs_to_the_kill_of_its_number_and_time() -> None:
    found = UnloggedKills()
    found.replayed_until_ns = 500_000_000_000
    found.traced([marked(100_000_000_000, 7), marked(600_000_000_000, 7)])
    found.logged(7, usec=599_000_000)
    assert found.kills == (marked(100_000_000_000, 7),)
    # The log's clock is a second behind, as the kill shows that this agent has read itself.
    assert found.skew_ns == 1_000_000_000
    found.logged(7, usec=99_000_000)
    assert (found.kills, found.skew_ns) == ((), 1_000_000_000)


def test_kill_of_an_earlier_agents_reading_says_nothing_of_the_clocks() -> None:
    found = UnloggedKills()
    found.replayed_until_ns = 500
    found.traced([marked(100, 7)])
    found.logged(7, usec=90_000_000)
    assert (found.kills, found.skew_ns) == ((), 0)


def test_kills_that_come_again_hide_none_that_is_missing() -> None:
    """The state may lack the records of kills that an earlier agent has read."""
    found = UnloggedKills()
    found.replayed_until_ns = 100
    found.traced([marked(1, 5), marked(2, 6), marked(200, 7)])
    assert [kill.pid for kill in found.find(1, before_ns=BEFORE)] == [7]
    assert [kill.pid for kill in found.find(3, before_ns=BEFORE)] == [5, 6, 7]
    assert found.find(0, before_ns=BEFORE) == []
