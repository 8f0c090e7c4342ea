"""Which records make one event: order, interleaving, missing heads and tails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.kernel.report import ReportAssembler, event, parse_records
from oomkeeper.model.cause import Scope
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord

from .material import GLOBAL_KILLED, HEADER, KILLED, MEMORY, SUMMARY, killed, kills, lines, only

GROUP = b"Tasks in /a/b are going to be killed due to memory.oom.group set"


def test_new_header_closes_event_without_kill_line() -> None:
    found = kills(lines(HEADER, MEMORY, HEADER, MEMORY, SUMMARY, KILLED))
    assert [kill.kill_lines for kill in found] == [0, 1]
    assert [kill.complete for kill in found] == [False, True]


def test_kill_line_without_report_is_own_event() -> None:
    first, second, third = kills(lines(HEADER, MEMORY, SUMMARY, KILLED, killed(43), killed(44)))
    assert (first.header_seen, second.header_seen, third.header_seen) == (True, False, False)
    assert [kill.victims[0].pid for kill in (first, second, third)] == [42, 43, 44]
    assert second.scope is Scope.MEMCG
    assert second.complete


def test_oom_group_counts_lines_and_names_each_victim_once() -> None:
    kill = only(lines(HEADER, MEMORY, SUMMARY, KILLED, GROUP, KILLED, killed(43), killed(44)))
    assert kill.kill_lines == 4
    assert [victim.pid for victim in kill.victims] == [42, 43, 44]
    assert kill.oom_group == "/a/b"
    assert len(kill.kill_seqs) == 4


def test_group_with_rate_limited_header_is_one_event() -> None:
    kill = only(lines(KILLED, GROUP, KILLED, killed(43)))
    assert (kill.kill_lines, len(kill.victims), kill.header_seen) == (3, 2, False)


def test_task_table_separates_group_victims_from_next_event() -> None:
    title = b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
    rows = [
        b"[  %5d]     0 %5d     2    1    40960        0             0 memhog" % (pid, pid)
        for pid in (42, 43)
    ]
    table = [title, *rows]
    found = kills(lines(HEADER, MEMORY, *table, SUMMARY, KILLED, GROUP, KILLED, killed(43), killed(99)))
    assert [[victim.pid for victim in kill.victims] for kill in found] == [[42, 43], [99]]


def test_group_kill_with_other_verdict_is_another_event() -> None:
    found = kills(lines(HEADER, MEMORY, SUMMARY, KILLED, GROUP, KILLED, GLOBAL_KILLED.replace(b"42", b"77")))
    assert [kill.scope for kill in found] == [Scope.MEMCG, Scope.GLOBAL]


def test_child_is_killed_instead_of_chosen_parent() -> None:
    kill = only(
        lines(
            b"Out of memory: Kill process 100 (apache) score 651 or sacrifice child",
            b"Killed process 101 (apache) total-vm:8kB, anon-rss:4kB, file-rss:0kB",
        )
    )
    assert kill.scope is Scope.GLOBAL
    assert kill.sacrificed_parent_pid == 100
    assert [victim.pid for victim in kill.victims] == [101]


def test_exiting_victim_is_not_killed() -> None:
    exiting = b"Memory cgroup out of memory: OOM victim 42 (memhog) is already exiting. Skip killing the task"
    kill = only(lines(HEADER, MEMORY, SUMMARY, exiting))
    assert (kill.victims, kill.kill_lines, kill.already_exiting) == ((), 0, (42,))
    assert kill.complete


def test_reaper_line_adds_no_kill() -> None:
    reaped = b"oom_reaper: reaped process 42 (memhog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"
    other = reaped.replace(b"42", b"50")
    kill = only(lines(HEADER, MEMORY, SUMMARY, KILLED, reaped, other))
    assert kill.reaped == (42, 50)
    assert [victim.pid for victim in kill.victims] == [42]
    assert kills(lines(reaped)) == []


def test_panic_on_oom_ends_event() -> None:
    panic = b"Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled"
    kill = only(lines(HEADER, MEMORY, panic, b"CPU: 0 PID: 1 Comm: x", b"---[ end " + panic + b" ]---"))
    assert kill.panic == "Out of memory: compulsory panic_on_oom is enabled"
    assert kill.scope is Scope.MEMCG
    assert not kill.no_killable
    assert kill.complete


def test_no_killable_process_then_panic_is_one_event() -> None:
    kill = only(
        lines(
            HEADER,
            b"Mem-Info:",
            b"active_anon:1 inactive_anon:2 isolated_anon:0",
            b"Out of memory and no killable processes...",
            b"Kernel panic - not syncing: System is deadlocked on memory",
        )
    )
    assert kill.no_killable
    assert kill.panic == "System is deadlocked on memory"


def test_panic_text_before_4_19_means_no_killable_process() -> None:
    kill = only(lines(HEADER, b"Kernel panic - not syncing: Out of memory and no killable processes..."))
    assert kill.no_killable
    assert kill.panic is not None


def test_panic_for_other_reason_is_no_oom() -> None:
    assert kills(lines(b"Kernel panic - not syncing: Fatal exception")) == []


def test_lines_with_other_caller_id_are_left_out() -> None:
    report = lines(HEADER, MEMORY, b"Memory cgroup stats for /a:", b"anon 100", b"file 7", caller=b"T1")
    foreign = lines(b"anon 999", b"Node 0 Normal free:1kB min:2kB", caller=b"T2", start=50)
    rest = lines(SUMMARY, KILLED, caller=b"T1", start=60)
    kill = only([*report[:3], foreign[0], report[3], foreign[1], report[4], *rest])
    assert kill.memory.stats_bytes == {"anon": 100, "file": 7}
    assert kill.memory.zones == ()


def test_text_of_process_never_counts() -> None:
    fake = [record._replace(kernel=False) for record in lines(HEADER, MEMORY, SUMMARY, KILLED)]
    real = lines(HEADER, MEMORY, SUMMARY, KILLED, start=100)
    assert kills(fake) == []
    mixed = [record for pair in zip(real, fake, strict=True) for record in pair]
    assert only(mixed) == only(real)


def test_memory_statistics_alone_are_no_event() -> None:
    show_mem = lines(
        b"Mem-Info:", b"active_anon:1 inactive_anon:2 isolated_anon:0", b"Node 0 Normal free:1kB min:2kB"
    )
    assert kills(show_mem) == []


def test_memory_dump_of_failed_allocation_does_not_join_later_kill() -> None:
    failed = lines(b"Mem-Info:", b"active_anon:1 inactive_anon:2 isolated_anon:0", b"Free swap  = 0kB")
    kill = only([*failed, *lines(GLOBAL_KILLED, start=90)])
    assert kill.memory.mem_info_pages == {}


def test_report_without_head_is_read() -> None:
    title = b"[ pid ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
    row = b"[   42]  1000    42    26262    20857   212992        0             0 memhog"
    kill = only(lines(MEMORY, title, row, SUMMARY, KILLED))
    assert not kill.header_seen
    assert not kill.complete
    assert (kill.oom_memcg, kill.task_memcg) == ("/a", "/a/b")
    assert kill.memory.memory is not None
    assert len(kill.tasks) == 1


def test_report_without_tail_names_chosen_process() -> None:
    kill = only(lines(HEADER, MEMORY, SUMMARY))
    assert [(victim.pid, victim.comm) for victim in kill.victims] == [(42, "memhog")]
    assert (kill.kill_lines, kill.complete) == (0, False)


def test_kill_line_that_contradicts_report_is_another_event() -> None:
    found = kills(lines(HEADER, MEMORY, SUMMARY, killed(7, b"other")))
    assert [kill.kill_lines for kill in found] == [0, 1]
    assert found[1].victims[0].pid == 7
    assert found[1].oom_memcg is None


def test_thread_instead_of_group_leader_is_no_contradiction() -> None:
    kill = only(lines(HEADER, MEMORY, SUMMARY, killed(43)))
    assert [victim.pid for victim in kill.victims] == [43]
    assert kill.chosen_pid == 42


def test_event_is_pending_at_kill_line_and_returned_when_closed() -> None:
    assembler = ReportAssembler()
    seen: list[Kill] = []
    for record in lines(HEADER, MEMORY, SUMMARY):
        seen += assembler.feed(record)
    early = assembler.pending()
    assert early is not None
    assert not assembler.decided
    assert early.victims == ()
    seen += assembler.feed(lines(KILLED, start=4)[0])
    assert assembler.decided
    now = assembler.pending()
    assert now is not None
    assert [victim.pid for victim in now.victims] == [42]
    assert seen == []
    (final,) = assembler.flush()
    assert (final.first_seq, final.kill_seqs) == (now.first_seq, now.kill_seqs)
    assert assembler.pending() is None
    assert assembler.flush() == ()


def test_decided_event_closes_after_unrelated_records() -> None:
    assembler = ReportAssembler()
    for record in lines(HEADER, MEMORY, SUMMARY, KILLED):
        assert assembler.feed(record) == ()
    later = LogRecord(text=b"eth0: link up", usec=60_000_000)
    assert len(assembler.feed(later)) == 1


def test_truncated_report_does_not_absorb_rest_of_log() -> None:
    noise = (LogRecord(text=b"usb 1-1: new device %d" % number) for number in range(100_000))
    assembler = ReportAssembler()
    for record in lines(HEADER, MEMORY):
        assembler.feed(record)
    closed = [kill for record in noise for kill in assembler.feed(record)]
    assert len(closed) == 1
    assert not closed[0].complete


def test_lost_records_inside_report_or_before_kill_line_are_noted() -> None:
    assembler = ReportAssembler()
    for record in lines(HEADER, MEMORY):
        assembler.feed(record)
    assembler.lost(7)
    for record in lines(SUMMARY, KILLED, start=20):
        assembler.feed(record)
    (inside,) = assembler.flush()
    assert (inside.lost_before, inside.complete) == (7, False)
    assembler.lost(9)
    assembler.feed(lines(killed(43))[0])
    (before,) = assembler.flush()
    assert (before.lost_before, before.complete) == (9, False)


def test_records_lost_before_header_or_long_ago_do_not_count() -> None:
    assembler = ReportAssembler()
    assembler.lost(7)
    for record in lines(HEADER, MEMORY, SUMMARY, KILLED):
        assembler.feed(record)
    (whole,) = assembler.flush()
    assert (whole.lost_before, whole.complete) == (0, True)
    assembler.lost(9)
    for record in lines(*[b"eth0: link up"] * 200, killed(43)):
        assembler.feed(record)
    (late,) = assembler.flush()
    assert late.lost_before == 0


def test_sysrq_is_recognised_by_order() -> None:
    header = b"kworker/0:2 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0"
    kill = only(lines(header, GLOBAL_KILLED))
    assert kill.invoker is not None
    assert kill.invoker.order == -1


def test_limit_of_host_in_alibaba_kernel_is_global() -> None:
    task_in = b"Task in /user.slice killed as a result of limit of host"
    kill = only(lines(HEADER, task_in, b"Out of memory: Kill process 9 (x) score 1 or sacrifice child"))
    assert (kill.scope, kill.oom_memcg, kill.task_memcg) == (Scope.GLOBAL, None, "/user.slice")


def test_limit_reached_without_victim_names_cgroup() -> None:
    kill = only(lines(HEADER, b"Memory limit reached of cgroup /docker/x", MEMORY))
    assert (kill.scope, kill.oom_memcg, kill.victims) == (Scope.MEMCG, "/docker/x", ())


def test_spelling_and_times_of_source_document_are_read() -> None:
    header = b"main invoked oom: gfp_mask=0x100dca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO), order=0"
    counts = b"active_anon:218 inactive_anon:202527 isolated_anon:0\n active_file:5979\n free:226231"
    zone = b"Node 1 DMA32 free:34068kB min:32016kB low:40020kB high:48024kB reserved_highatomic:0KB"
    summary = (
        b"oom-kill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=1,cpuset=/,mems_allowed=0-1,global_oom,"
        b"task_memcg=/system.slice/sshd.service,task=main,pid=1733,uid=0"
    )
    records = [
        LogRecord(text=header, usec=465_863_160),
        LogRecord(text=counts, usec=465_878_286),
        LogRecord(text=zone, usec=465_878_292),
        LogRecord(text=summary, usec=933_264_779),
        LogRecord(text=killed(1734, b"main", b"Out of memory: "), usec=465_878_438),
    ]
    kill = only(records)
    assert (kill.nodemask, kill.mems_allowed, kill.chosen_pid) == ("1", "0-1", 1733)
    assert [victim.pid for victim in kill.victims] == [1734]
    assert kill.memory.mem_info_pages["free"] == 226231
    assert [(zone.node, zone.name) for zone in kill.memory.zones] == [(1, "DMA32")]


def test_kill_long_after_truncated_report_is_another_event() -> None:
    late = LogRecord(text=KILLED, usec=900_000_000)
    first, second = kills([*lines(HEADER, MEMORY), late])
    assert (first.kill_lines, second.kill_lines) == (0, 1)
    assert not second.header_seen


_HEADER = b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
_TITLE = b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
_KILL = b"Out of memory: Killed process 1 (task) total-vm:400kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB"


def _rows(number: int) -> list[bytes]:
    return [
        b"[%7d]     0 %7d      100       10    40960        0             0 task" % (pid, pid)
        for pid in range(number)
    ]


def test_table_of_thousands_of_tasks_is_one_section() -> None:
    (killed,) = parse_records(map(LogRecord, [_HEADER, _TITLE, *_rows(9000), _KILL]))
    assert len(killed.tasks) == 9000


def test_report_beyond_bound_keeps_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event, "MAX_EVENT_BYTES", 40_000)
    (killed,) = parse_records(map(LogRecord, [_HEADER, _TITLE, *_rows(900), _KILL]))
    assert 200 < len(killed.tasks) < 400
    assert not killed.complete


def test_thousands_of_unrelated_lines_end_truncated_report() -> None:
    noise = [b"usb 1-1: new high-speed USB device number %d" % number for number in range(40_000)]
    kills = list(parse_records(map(LogRecord, [_HEADER, *noise, _KILL])))
    assert [kill.header_seen for kill in kills] == [True, False]


_ANY_RECORDS = st.lists(
    st.builds(
        LogRecord,
        text=st.sampled_from(
            [
                HEADER,
                MEMORY,
                SUMMARY,
                KILLED,
                GROUP,
                b"x" * 5000,
                b"[ 1] row",
                b"other",
                b"x invoked oom-killer: ",
            ]
        ),
        usec=st.sampled_from([None, 1, 2_000_000, 200_000_000]),
        caller=st.sampled_from([None, b"T1", b"T2"]),
        kernel=st.booleans(),
    ),
    max_size=40,
)


@given(_ANY_RECORDS, st.booleans())
def test_feed_all_is_feed_for_each(records: list[LogRecord], excerpt: bool) -> None:
    one, other = ReportAssembler(excerpt=excerpt), ReportAssembler(excerpt=excerpt)
    together = [*one.feed_all(records), *one.flush()]
    assert together == [*(kill for record in records for kill in other.feed(record)), *other.flush()]
