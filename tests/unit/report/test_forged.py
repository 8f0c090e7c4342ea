"""Whatever bytes a process puts into its name, its cgroup or the log, the verdict on a kill stays the
kernel's."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Cause, Level
from oomkeeper.model.log import LogRecord

from .material import lines, only

PID, UID = 4242, 1000
comms = st.binary(max_size=15)
names = st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"/", b"_"))
"""A cgroup's name holds anything but a slash (cgroup_mkdir() refuses newlines too; here even those are
tried)."""


def report(comm: bytes, parent: bytes, child: bytes, cpuset: bytes) -> list[LogRecord]:
    """What a kernel prints of a process called `comm` in /parent/child, at the parent's limit."""
    limit, task = b"/" + parent, b"/" + parent + b"/" + child
    return lines(
        comm + b" invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        b"CPU: 1 UID: 0 PID: %d Comm: %s Not tainted 6.18.0 #1" % (PID, comm),
        b"Call Trace:",
        b" mem_cgroup_out_of_memory+0xc0/0x110",
        b"memory: usage 40960kB, limit 40960kB, failcnt 19",
        b"Memory cgroup stats for %s:" % limit,
        b"anon 41848832",
        b"Tasks state (memory values in pages):",
        b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        b"[  %5d] %5d %5d    10899    10452   131072        0             0 %s" % (PID, UID, PID, comm),
        b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=%s,mems_allowed=0,oom_memcg=%s,task_memcg=%s,"
        b"task=%s,pid=%d,uid=%d" % (cpuset, limit, task, comm, PID, UID),
        b"Memory cgroup out of memory: Killed process %d (%s) total-vm:43596kB, anon-rss:40832kB, "
        b"file-rss:976kB, "
        b"shmem-rss:0kB, UID:%d pgtables:128kB oom_score_adj:0" % (PID, comm, UID),
    )


@given(comm=comms, parent=names, child=names, cpuset=names)
@example(comm=b"x,pid=1,uid=0", parent=b"a", child=b"b", cpuset=b"/")
@example(comm=b"a) total-vm:0kB", parent=b"a", child=b"b", cpuset=b"/")
@example(comm=b",task=,pid=1", parent=b"p,task=q", child=b"c,pid=1,uid=0", cpuset=b"s")
@example(comm=b"", parent=b"p,oom_memcg=", child=b"c,task_memcg=", cpuset=b"x,global_oom")
@example(comm=b"] \n[ pid ]", parent=b"p", child=b"c", cpuset=b"x,mems_allowed=0,global_oom")
@example(comm=b"Out of memory: ", parent=b"p", child=b"c", cpuset=b"c")
@settings(deadline=None, max_examples=400)
def test_names_do_not_change_victim_or_cause(comm: bytes, parent: bytes, child: bytes, cpuset: bytes) -> None:
    kill = only(report(comm, parent, child, cpuset))
    verdict = diagnose(kill)
    assert [victim.pid for victim in kill.victims] == [PID]
    assert (kill.chosen_pid, kill.chosen_uid) == (PID, UID)
    assert kill.victims[0].total_vm_bytes == 43596 * 1024
    assert kill.victims[0].anon_rss_bytes == 40832 * 1024
    assert kill.invoker is not None
    assert kill.invoker.gfp == "0xcc0(GFP_KERNEL)"
    assert verdict.limit_bytes == 40960 * 1024
    assert kill.complete
    assert kill.oom_memcg is not None
    assert kill.task_memcg is not None


@given(comm=comms)
@settings(deadline=None, max_examples=300)
def test_comm_does_not_change_level(comm: bytes) -> None:
    verdict = diagnose(only(report(comm, b"a", b"b", b"/")))
    assert (verdict.cause, verdict.level) == (Cause.ANCESTOR_CGROUP_LIMIT, Level.ANCESTOR)


def test_comm_with_newline_and_report_line_adds_nothing() -> None:
    plain = only(report(b"honest", b"a", b"b", b"/"))
    forged = only(report(b"\nFree swap=9kB", b"a", b"b", b"/"))
    assert forged.memory == plain.memory
    assert len(forged.tasks) == len(plain.tasks) == 1


FRAGMENTS = st.sampled_from(
    [
        b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        b" invoked oom",
        b"oom-kill:constraint=",
        b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=,global_oom",
        b"Memory cgroup out of memory: Killed process ",
        b"Killed process 99999999999999999999999999 (",
        b"Out of memory: Kill process 1 (",
        b"Task in  killed as a result of limit of ",
        b"Tasks in  are going to be killed due to memory.oom.group set",
        b"Memory limit reached of cgroup ",
        b"Out of memory and no killable processes...",
        b"Kernel panic - not syncing: Out of memory",
        b"memory: usage 1kB, limit 0kB, failcnt 0",
        b"memory: usage 1kB, limit 999999999999999999999999999kB",
        b"Memory cgroup stats for : a:1KB",
        b"Mem-Info:",
        b"Node 99999999999 DMA32 free:1kB min:1kB",
        b"lowmem_reserve[]: x 1",
        b"Node 0 Normal: 1*0kB 0*4kB",
        b"Node 0 hugepages_total=1 hugepages_free=0 hugepages_surp=0 hugepages_size=0kB",
        b"[ pid ] name",
        b"[ 1] 2 3",
        b"[ 1] 1 1 0 0 0 0 0 x",
        b"Unreclaimable slab info:",
        b"a 1KB 2KB",
        b"oom_reaper: reaped process x",
    ]
)


@given(
    st.lists(
        st.one_of(
            FRAGMENTS,
            st.binary(max_size=120),
            st.builds(lambda a, b: a + b, FRAGMENTS, st.binary(max_size=40)),
        )
    )
)
@settings(deadline=None, max_examples=400)
def test_parser_and_diagnosis_accept_any_bytes(texts: list[bytes]) -> None:
    for kill in parse_records(lines(*texts)):
        verdict = diagnose(kill)
        assert verdict.summary
        assert len(list(kill.tasks)) == len(kill.tasks)
        assert all(part.bytes > 0 for part in verdict.contributors)
        assert all(0 <= part.share <= 1 for part in verdict.contributors)


def test_numbers_of_any_length_do_not_stop_parser() -> None:
    """int() refuses more than 4300 digits, and a shift by an order of that size would take all memory."""
    many = b"9" * 5000
    texts = [
        b"x invoked oom-killer: gfp_mask=0x%s(), order=%s, oom_score_adj=%s" % (many, many, many),
        b"CPU: %s PID: %s Comm: x Not tainted 6.1.0" % (many, many),
        b"memory: usage %skB, limit %skB, failcnt %s" % (many, many, many),
        b"Memory cgroup stats for /a: cache:%sKB rss:%sKB" % (many, many),
        b"Mem-Info:",
        b"active_anon:%s free:%s" % (many, many),
        b"Node %s Normal free:%skB min:%skB" % (many, many, many),
        b"lowmem_reserve[]: 0 %s" % many,
        b"Node 0 Normal: %s*4kB (U) 1*%skB (M)" % (many, many),
        b"%s pages RAM" % many,
        b"Unreclaimable slab info:",
        b"x %sKB %sKB" % (many, many),
        b"[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name",
        b"[ %s] %s 1 1 1 1 1 1 x" % (many, many),
        b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=%s,global_oom,task_memcg=/,task=x,pid=%s,uid=%s"
        % (many, many, many),
        b"Out of memory: Killed process %s (x) total-vm:%skB, anon-rss:%skB, file-rss:0kB"
        % (many, many, many),
        b"[  1] 1 1 1 %s 1 1 1 x" % (b"9" * 400),
        b"Killed process 1 (x) total-vm:%skB, anon-rss:%skB, file-rss:0kB" % (many, many),
        b"oom_reaper: reaped process %s (x)" % many,
    ]
    for kill in parse_records(lines(*texts)):
        assert diagnose(kill).summary
        assert list(kill.tasks) == []
    header = b"x invoked oom-killer: gfp_mask=0xcc0, order=999, oom_score_adj=0"
    for kill in parse_records(
        lines(header, b"Mem-Info:", b"Node 0 Normal free:9kB min:1kB", b"Node 0 Normal: 1*4kB (U)")
    ):
        assert diagnose(kill).summary


def test_overlong_line_is_cut() -> None:
    evil = [
        b"x invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0",
        b"CPU: 1 PID: 1 Comm: x Tainted:" + b" " * 300_000,
        b"a" * 300_000 + b" cpuset=" * 9_000 + b" mems_allowed=",
        b"Memory cgroup stats for /a:" + b": x:1KB" * 40_000 + b"!",
        b"Mem-Info:",
        b"a_" * 150_000 + b":1kB",
        b"Node 0 Normal free:" + b"a_" * 150_000,
        b"Unreclaimable slab info:",
        b"x" + b" " * 300_000 + b"1KB",
        b"Out of memory: Killed process 7 (" + b") (" * 100_000,
    ]
    (kill,) = parse_records(lines(*evil))
    assert [victim.pid for victim in kill.victims] == [7]
    assert diagnose(kill).summary
