"""Texts that a person cut out of a log: reports without header or kill line, truncated lines, what comes
before an event."""

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.report import parse_records
from oomkeeper.kernel.report.killline import parse_killed
from oomkeeper.model.cause import Cause, Level, Outcome, Scope
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord
from oomkeeper.reporting.kill_record import kube_cgroup

POD = "84c5437e-0000-1111-2222-333344445555"
CONTAINER = "46b3" + "0" * 60
KILLED = b"Memory cgroup out of memory: Killed process 7 (a) total-vm:9kB, anon-rss:8kB, file-rss:0kB"
HEADER = b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
USAGE = b"memory: usage 4194304kB, limit 4194304kB, failcnt 2"
MEMCG_TRACE = (
    b" dump_header+0x4a/0x1f0",
    b" out_of_memory.cold+0x8/0x7d",
    b" mem_cgroup_out_of_memory+0xe8/0x100",
    b" try_charge+0x5a8/0x690",
)


def excerpt(*lines: bytes) -> list[Kill]:
    return list(parse_records(map(LogRecord, lines), excerpt=True))


def live(*lines: bytes) -> list[Kill]:
    return list(parse_records(map(LogRecord, lines)))


def _group(container: str = CONTAINER) -> bytes:
    uid = POD.replace("-", "_")
    path = f"/kubepods.slice/kubepods-pod{uid}.slice/cri-containerd-{container}.scope"
    return f"Tasks in {path} are going to be killed due to memory.oom.group set".encode()


@pytest.mark.parametrize("end", [b"", b" cache:0KB rss:10KB"])
def test_cgroup_statistics_without_header_and_kill_are_a_pod_limit(end: bytes) -> None:
    lines = (USAGE, f"Memory cgroup stats for /kubepods/burstable/pod{POD}:".encode() + end)
    (kill,) = excerpt(*lines)
    verdict = diagnose(kill)
    assert (verdict.cause, verdict.level, verdict.limit_bytes) == (Cause.POD_LIMIT, Level.POD, 4 << 30)
    assert kill.victims == ()
    assert live(*lines) == []


def test_two_reports_of_statistics_alone_are_two_events() -> None:
    stats = [USAGE, b"Memory cgroup stats for /a:", USAGE, b"Memory cgroup stats for /b:"]
    assert [kill.oom_memcg for kill in excerpt(*stats)] == ["/a", "/b"]


@pytest.mark.parametrize("line", [USAGE, b"Memory cgroup stats for /a:", b"Mem-Info:"])
def test_part_of_the_statistics_is_no_event(line: bytes) -> None:
    assert excerpt(line) == []


@pytest.mark.parametrize("end", [b"", b", now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"])
def test_reaper_line_alone_proves_a_kill(end: bytes) -> None:
    lines = [
        b"oom_reaper: reaped process %d (%s)" % process + end for process in ((14441, b"python3"), (9, b"b"))
    ]
    kills = excerpt(*lines)
    assert [(victim.pid, victim.comm) for kill in kills for victim in kill.victims] == [
        (14441, "python3"),
        (9, "b"),
    ]
    assert [diagnose(kill).outcome for kill in kills] == [Outcome.KILLED] * 2
    assert live(*lines) == []


def test_reaper_line_after_its_kill_is_no_second_kill() -> None:
    assert len(excerpt(KILLED, b"oom_reaper: reaped process 7 (a), now anon-rss:0kB, file-rss:0kB")) == 1


@pytest.mark.parametrize("lines", [(KILLED, _group(), KILLED), (_group(), KILLED), (_group(),)])
def test_group_line_names_pod_and_container(lines: tuple[bytes, ...]) -> None:
    for kills in (excerpt(*lines), live(*lines)):
        (kill,) = kills
        kube = kube_cgroup(kill)
        assert kube is not None
        assert (kube.pod_uid, kube.container_id) == (POD, CONTAINER)


def test_group_line_fills_in_for_truncated_summary() -> None:
    summary = (
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/kubepods.sl"
    )
    (kill,) = live(summary.encode(), KILLED, _group(), KILLED)
    assert kill.task_memcg is not None
    assert kill.task_memcg.endswith(f"{CONTAINER}.scope")


@pytest.mark.parametrize("head", [(HEADER, b"Call Trace:"), (b"Call Trace:",), ()])
def test_no_killable_process_after_trace_of_cgroup_is_memcg(head: tuple[bytes, ...]) -> None:
    (kill,) = live(*head, *MEMCG_TRACE, b"Out of memory and no killable processes...")
    assert kill.scope is Scope.MEMCG
    assert not diagnose(kill).summary.startswith("The node")


def test_no_killable_process_alone_shows_no_scope() -> None:
    """The page allocator's shortage is followed by a panic, a cgroup's is not."""
    noise = [b"usb 1-1: new device"] * 100
    line = b"Out of memory and no killable processes..."
    (kill,) = live(*MEMCG_TRACE, *noise, line)
    assert kill.scope is Scope.UNKNOWN
    assert diagnose(kill).summary.startswith("The log does not show whether a cgroup or the node")
    (kill,) = live(line, b"Kernel panic - not syncing: System is deadlocked on memory")
    assert kill.scope is Scope.GLOBAL
    verdict = diagnose(*live(USAGE, line))
    assert "reached its memory limit of 4096 MiB" in verdict.summary


@pytest.mark.parametrize(
    ("title", "row"),
    [
        (
            b"[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes sw...",
            b"[    123]     0   123   100000     5000     4000     1000         0   180224 ...",
        ),
        (
            b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes sw...",
            b"[    123]     0   123   100000 ...",
        ),
        (b"[ pid ]   uid  tgid total_vm      rss", b"[  123]     0   123   100000     5000"),
    ],
)
def test_truncated_table_is_not_read_in_another_layout(title: bytes, row: bytes) -> None:
    (kill,) = live(HEADER, title, row, b"Out of memory: Killed process 123 (a) total-vm:9kB, anon-rss:8kB")
    assert list(kill.tasks) == []


def test_truncated_title_with_complete_rows_is_read_in_its_layout() -> None:
    title = b"[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file ..."
    row = b"[    123]     0   123   100000     5000     4000     1000        0   180224       17     5 a b"
    (kill,) = live(HEADER, title, row, KILLED)
    (task,) = kill.tasks
    assert (task.rss_pages, task.pgtables_bytes, task.swapents_pages, task.comm) == (5000, 180224, 17, "a b")


@pytest.mark.parametrize(
    "manual",
    [b"sysrq: Manual OOM execution", b"sysrq: SysRq : Manual OOM execution", b"SysRq : Manual OOM execution"],
)
@pytest.mark.parametrize(
    "event",
    [
        b"Out of memory: Killed process 123 (a) total-vm:9kB, anon-rss:8kB, file-rss:0kB",
        b"Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled",
        b"Kernel panic - not syncing: System is deadlocked on memory",
    ],
)
def test_manual_oom_execution_before_kill_or_panic_is_manual(manual: bytes, event: bytes) -> None:
    (kill,) = live(manual, b"kworker: something", event)
    assert diagnose(kill).cause is Cause.MANUAL_TRIGGER


def test_manual_oom_execution_does_not_reach_later_events() -> None:
    killed = KILLED.removeprefix(b"Memory cgroup out of memory: ")
    kills = live(b"sysrq: Manual OOM execution", killed, *[b"usb: x"] * 3, killed.replace(b" 7 ", b" 8 "))
    assert [kill.sysrq for kill in kills] == [True, False]
    (late,) = live(b"sysrq: Manual OOM execution", *[b"usb: x"] * 100, killed)
    assert not late.sysrq
    (memcg,) = live(b"sysrq: Manual OOM execution", KILLED)
    assert not memcg.sysrq
    (other,) = live(b"sysrq: Manual OOM execution", HEADER, KILLED)
    assert not other.by_sysrq


def test_summary_of_vendor_without_constraint_is_read() -> None:
    (kill,) = live(
        b"oom-kill:,cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=7,uid=0", KILLED
    )
    assert (kill.oom_memcg, kill.task_memcg, kill.chosen_pid, kill.constraint) == ("/a", "/a/b", 7, None)


@pytest.mark.parametrize(
    ("line", "sizes_kib"),
    [
        (b"Killed process 7 (a) total-vm:20000000kB, anon-rss:16477484kB", (20000000, 16477484, None)),
        (
            b"Killed process 7 (a) total-vm:20000000kB, anon-rss:16477484kB, file-rss:4kB",
            (20000000, 16477484, 4),
        ),
        (b"Killed process 7 (a), UID 1000, total-vm:9kB, anon-rss:8kB, file-rss:4kB", (9, 8, 4)),
        (b"Killed process 7 (a) total-vm:20000000kB, anon-rss:164774", (20000000, None, None)),
        (b"Killed process 7 (a) total-vm:20000000kB", (20000000, None, None)),
        (b"Killed process 7 (a) total-vm:200000", (None, None, None)),
    ],
)
def test_shortened_kill_line_keeps_its_sizes(line: bytes, sizes_kib: tuple[int | None, ...]) -> None:
    victim = parse_killed(b"Memory cgroup out of memory: " + line)
    assert victim is not None
    found = (victim.total_vm_bytes, victim.anon_rss_bytes, victim.file_rss_bytes)
    assert found == tuple(None if kib is None else kib << 10 for kib in sizes_kib)


@pytest.mark.parametrize(
    ("functions", "mark"),
    [
        ((b" memory_max_write+0x1/0x2",), "limit_lowered"),
        ((b" mem_cgroup_resize_max+0x1/0x2",), "limit_lowered"),
        ((b" try_to_unuse+0x1/0x2", b" __do_sys_swapoff+0x1/0x2"), "swapoff"),
        ((b" dump_header+0x1/0x2", b" out_of_memory+0x3/0x4"), "no_choice"),
        ((b"BUG: unable to handle page fault for address: 0",), "oops"),
    ],
)
def test_trace_shows_why_the_oom_killer_was_called(functions: tuple[bytes, ...], mark: str) -> None:
    (kill,) = live(HEADER, b"CPU: 1 PID: 3 Comm: x Not tainted 5.4.0 #1", b"Call Trace:", *functions, KILLED)
    marks = ("limit_lowered", "swapoff", "no_choice", "oops")
    assert [name for name in marks if getattr(kill, name)] == [mark]


def _stamped(usec: int, text: bytes) -> LogRecord:
    return LogRecord(text, usec=usec)


def test_lines_of_a_report_that_are_pasted_twice_are_one_event() -> None:
    """A terminal that is scrolled while its text is copied repeats lines."""
    task = b"Task in /docker/a killed as a result of limit of /docker/a"
    usage = [USAGE, b"memory+swap: usage 0kB, limit 9007199254740988kB, failcnt 0"]
    lines = [_stamped(at, text) for at, text in enumerate([HEADER, task, *usage])]
    kill = _stamped(9, KILLED)
    (event,) = parse_records([*lines, *lines[1:], kill], excerpt=True)
    assert [victim.pid for victim in event.victims] == [7]
    assert event.memory.memory is not None
    assert len(list(parse_records([*lines, *lines[1:], kill]))) == 2  # the live reader takes each line
    later = [record._replace(usec=100 + at) for at, record in enumerate([*lines, kill])]
    assert len(list(parse_records([*lines, *later], excerpt=True))) == 2


def test_many_statistics_with_one_stamp_are_compared_in_bounded_time() -> None:
    stats = [_stamped(5, b"Memory cgroup stats for /a/%d: cache:0KB rss:1KB" % at) for at in range(20_000)]
    (event,) = parse_records([_stamped(5, HEADER), *stats, _stamped(5, KILLED)], excerpt=True)
    assert len(event.memory.child_stats_bytes) == 19_999


@pytest.mark.parametrize("end", [b"", b" ", b" score 9 or sacrifice child"])
def test_chosen_process_keeps_its_name_where_the_score_is_cut_off(end: bytes) -> None:
    (kill,) = live(b"Out of memory: Kill process 7 (a (b))" + end)
    assert [(victim.pid, victim.comm) for victim in kill.victims] == [(7, "a (b)")]
    assert diagnose(kill).cause is Cause.NODE_MEMORY


@pytest.mark.parametrize("end", [b" vm:281kB, rss:17kB, swap:0kB", b" vm:281kB", b""])
def test_kill_in_a_container_of_virtuozzo_is_a_kill_at_its_limit(end: bytes) -> None:
    line = b"Out of memory in UB 1234: OOM killed process 7 (php (a)) score 0" + end
    first, second = live(line, line.replace(b" 7 ", b" 8 "))
    assert [(victim.pid, victim.comm) for victim in first.victims] == [(7, "php (a)")]
    assert second.victims[0].pid == 8
    assert diagnose(first).cause is Cause.UNKNOWN_CGROUP_LIMIT
