"""Each kind of line, as kernels from 2.6.32 to 6.19 print it."""

import pytest

from oomkeeper.kernel.report.header import parse_cpu_line, parse_cpuset, parse_header
from oomkeeper.kernel.report.killline import parse_chosen, parse_killed
from oomkeeper.kernel.report.kinds import Kind, kind_of
from oomkeeper.kernel.report.memcg import parse_block_head, parse_block_stats, parse_counter, parse_line_stats
from oomkeeper.kernel.report.oomkill import parse_summary
from oomkeeper.kernel.report.showmem import ShowMem
from oomkeeper.kernel.report.tasks import columns_of, parse_rows

from .material import HEADER, KILLED, SUMMARY, lines, only


@pytest.mark.parametrize(
    ("text", "gfp", "order", "adj"),
    [
        (b"x invoked oom-killer: gfp_mask=0xd0, order=2, oomkilladj=0", "0xd0", 2, None),
        (b"x invoked oom-killer: gfp_mask=0x280da, order=0, oom_adj=0, oom_score_adj=0", "0x280da", 0, 0),
        (b"x invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=-17", "0xd0", 0, -17),
        (
            b"x invoked oom-killer: gfp_mask=0x14200ca(GFP_HIGHUSER_MOVABLE), nodemask=0-1,3,  order=0, "
            b"oom_score_adj=0",
            "0x14200ca(GFP_HIGHUSER_MOVABLE)",
            0,
            0,
        ),
        (b"x invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0", "0x0()", 0, 0),
        (b"main invoked oom: gfp_mask=0x100dca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO), order=0", None, 0, None),
        (b"mem_on_node0 invoked oom-killer", None, None, None),
        (
            b"x invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0\noom_policy=default",
            "0x0()",
            0,
            0,
        ),
    ],
)
def test_headers(text: bytes, gfp: str | None, order: int | None, adj: int | None) -> None:
    header = parse_header(text)
    assert header is not None
    if gfp is not None:
        assert header.gfp == gfp
    assert (header.order, header.oom_score_adj) == (order, adj)
    assert kind_of(text) is Kind.HEADER


@pytest.mark.parametrize(
    "text",
    [
        b"process '/tmp/x invoked oom-killer: gfp_mask=0x0, order=0' started with executable stack",
        b"audit: some text invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0",
        b"x invoked oom: nothing of the kind",
    ],
)
def test_quoted_header_is_not_parsed(text: bytes) -> None:
    assert parse_header(text) is None


@pytest.mark.parametrize(
    ("text", "pid", "release"),
    [
        (b"CPU: 5 UID: 0 PID: 1122 Comm: stress Not tainted 6.18.0+ #26 PREEMPT(voluntary)", 1122, "6.18.0+"),
        (b"CPU: 3 PID: 9 Comm: a Tainted: G           OE      6.1.1-arch1-1 #1 9bd0", 9, "6.1.1-arch1-1"),
        (
            b"CPU: 0 PID: 879 Comm: in:x Kdump: loaded Not tainted 4.18.0-553.el8_10.x86_64 #1",
            879,
            "4.18.0-553.el8_10.x86_64",
        ),
        (b"Pid: 23212, comm: php-fpm Not tainted 2.6.32-642.el6.x86_64 #1", 23212, "2.6.32-642.el6.x86_64"),
        (b"CPU: 1 PID: 4 Comm: Not tainted 1.0 Not tainted 6.1.0 #1", 4, "6.1.0"),
    ],
)
def test_invoker_pid_and_kernel_release_are_read(text: bytes, pid: int, release: str) -> None:
    assert parse_cpu_line(text) == (pid, release)


def test_cpuset_line_of_old_kernels() -> None:
    assert parse_cpuset(b"sed cpuset=/ mems_allowed=0-1") == ("/", "0-1")
    assert parse_cpuset(b"a cpuset=x mems_allowed=9 cpuset=real mems_allowed=0") == ("real", "0")


@pytest.mark.parametrize(
    ("text", "pid", "uid", "anon_kib", "shmem_kib"),
    [
        (
            b"Killed process 40738, UID 27, (mysqld) total-vm:6424316kB, anon-rss:13128kB, file-rss:4kB",
            40738,
            27,
            13128,
            None,
        ),
        (
            b"Killed process 13536 (x) total-vm:33558652kB, anon-rss:920kB, file-rss:452kB",
            13536,
            None,
            920,
            None,
        ),
        (
            b"Killed process 6576 (m) total-vm:3kB, anon-rss:2kB, file-rss:0kB, shmem-rss:0kB",
            6576,
            None,
            2,
            0,
        ),
        (KILLED, 42, 1000, 81884, 0),
        (
            b"Out of memory (oom_kill_allocating_task): Killed process 5 (a b) total-vm:1kB, anon-rss:2kB, "
            b"file-rss:3kB",
            5,
            None,
            2,
            None,
        ),
    ],
)
def test_kill_lines(text: bytes, pid: int, uid: int | None, anon_kib: int, shmem_kib: int | None) -> None:
    victim = parse_killed(text)
    assert victim is not None
    assert (victim.pid, victim.uid) == (pid, uid)
    assert victim.anon_rss_bytes == anon_kib * 1024
    assert victim.shmem_rss_bytes == (None if shmem_kib is None else shmem_kib * 1024)
    assert kind_of(text) is Kind.KILLED


def test_kill_lines_before_2_6_36() -> None:
    bare = parse_killed(b"Killed process 2145 (apache2)")
    sized = parse_killed(b"Killed process 2099 (mysqld) vsz:1234567kB, anon-rss:612345kB, file-rss:120kB")
    assert bare is not None
    assert sized is not None
    assert (bare.pid, sized.pid, sized.anon_rss_bytes) == (2145, 2099, 612_345 << 10)
    chosen = b"Memory cgroup out of memory: kill process 2099 (mysqld) score 131072 or a child"
    assert kind_of(chosen) is Kind.CHOSEN
    assert parse_chosen(chosen) == (2099, "mysqld")


def test_two_kill_lines_in_one_text_are_not_mixed() -> None:
    tail = b" total-vm:9kB, anon-rss:%dkB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0"
    text = b"Killed process 222 (third)" + tail % 7 + b" Killed process 221 (second)" + tail % 8
    victim = parse_killed(text)
    assert victim is not None
    assert (victim.pid, victim.comm, victim.anon_rss_bytes) == (222, "third", 7 << 10)


def test_truncated_pid_or_comm_is_none() -> None:
    assert parse_killed(b"Out of memory: Killed process 134") is None
    victim = parse_killed(b"Out of memory: Killed process 13432 (mem_on")
    assert victim is not None
    assert (victim.pid, victim.comm) == (13432, "")


def test_truncated_kill_line_keeps_pid() -> None:
    victim = parse_killed(b"Out of memory: Killed process 13432 (mem_on_node1)")
    assert victim is not None
    assert (victim.pid, victim.comm, victim.anon_rss_bytes) == (13432, "mem_on_node1", None)


def test_chosen_process_of_old_kernels_is_read() -> None:
    assert parse_chosen(
        b"Memory cgroup out of memory: Kill process 1 (a) score 2) score 996 or sacrifice child"
    ) == (
        1,
        "a) score 2",
    )


@pytest.mark.parametrize("cut", range(len(b"oom-kill:constraint="), len(SUMMARY)))
def test_truncated_summary_has_no_partial_field(cut: int) -> None:
    whole, part = parse_summary(SUMMARY), parse_summary(SUMMARY[:cut])
    assert whole is not None
    assert part is not None
    for name in ("constraint", "nodemask", "oom_memcg", "task_memcg", "comm", "pid"):
        assert getattr(part, name) in (getattr(whole, name), None), name


def test_truncated_path_of_statistics_line_is_none() -> None:
    assert parse_block_head(b"Memory cgroup stats for /a/b:") == "/a/b"
    assert parse_block_head(b"Memory cgroup stats for /a/b: cache:12KB rss:3") == "/a/b"
    assert parse_block_head(b"Memory cgroup stats for /a") is None


def test_summary_of_memory_cgroup_is_read() -> None:
    summary = parse_summary(SUMMARY)
    assert summary is not None
    assert (summary.constraint, summary.nodemask, summary.cpuset, summary.mems_allowed) == (
        "CONSTRAINT_MEMCG",
        "(null)",
        "/",
        "0",
    )
    assert (summary.oom_memcg, summary.task_memcg, summary.pid, summary.uid) == ("/a", "/a/b", 42, 1000)


@pytest.mark.parametrize(
    ("text", "oom_memcg", "task_memcg", "comm", "pid"),
    [
        (
            b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/l,task_memcg=/l,task=l,pid=3,uid=0",
            "/l",
            "/l",
            "l",
            3,
        ),
        (
            b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=0-3,global_oom,task_memcg=/,task=x,pid=9,uid=0",
            None,
            "/",
            "x",
            9,
        ),
        (
            b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=x,global_oom,mems_allowed=0-1,4,oom_memcg=/a,"
            b"task_memcg=/a/x,task_memcg=/b,task=c,task=d,pid=1,uid=2,pid=7,uid=0",
            "/a",
            "/a/x,task_memcg=/b,task=c",
            "d,pid=1,uid=2",
            7,
        ),
        (
            b"oom-kill:constraint=CONSTRAINT_CPUSET,nodemask=(null),cpuset=test,mems_allowed=0",
            None,
            None,
            None,
            None,
        ),
        (
            b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0-1,oom_memcg=/a,task_memcg=/a,task=x,pid=10",
            "/a",
            "/a",
            None,
            None,
        ),
    ],
)
def test_summaries(
    text: bytes, oom_memcg: str | None, task_memcg: str | None, comm: str | None, pid: int | None
) -> None:
    summary = parse_summary(text)
    assert summary is not None
    assert (summary.oom_memcg, summary.task_memcg) == (oom_memcg, task_memcg)
    assert summary.pid == pid
    if comm is not None and pid != 7:
        assert summary.comm == comm


def test_unlimited_counters_have_no_limit() -> None:
    for limit in (b"9007199254740988", b"18014398509481983", b"36028797018963904"):
        found = parse_counter(b"kmem: usage 92kB, limit %skB, failcnt 0" % limit)
        assert found is not None
        assert (found[0], found[1].usage_bytes, found[1].limit_bytes) == ("kmem", 92 * 1024, None)
    assert parse_counter(b"memory+swap: usage 1kB, limit > > quoted 9007199254740988kB, failcnt 0") is None


def test_v1_statistics_of_descendants_are_read() -> None:
    kill = only(
        lines(
            HEADER,
            b"memory: usage 100kB, limit 100kB, failcnt 1",
            b"Memory cgroup stats for /pod: cache:0KB rss:4KB rss_huge:0KB",
            b"Memory cgroup stats for /pod/with: colon: cache:1KB rss:96KB rss_huge:0KB",
            SUMMARY,
            KILLED,
        )
    )
    assert kill.memory.stats_bytes == {"cache": 0, "rss": 4096, "rss_huge": 0}
    assert kill.memory.child_stats_bytes == {
        "/pod/with: colon": {"cache": 1024, "rss": 96 * 1024, "rss_huge": 0}
    }
    assert parse_line_stats(b"Memory cgroup stats for /x:") is None


@pytest.mark.parametrize(
    "separate", [True, False], ids=["a record per line (6.5)", "one record (5.3 to 6.4)"]
)
def test_statistics_block_is_read_as_one_or_many_records(separate: bool) -> None:
    title = b"Memory cgroup stats for /a:"
    stats = [
        b"anon 4096",
        b"file 8192",
        b"pgfault 77",
        b"workingset_refault_file 9",
        b"anon_thp 2097152",
        b"thp_fault_alloc 3",
    ]
    body = [title, *stats] if separate else [title, b"\n".join(stats)]
    kill = only(lines(HEADER, b"memory: usage 100kB, limit 100kB, failcnt 1", *body, SUMMARY, KILLED))
    assert kill.memory.stats_bytes == {"anon": 4096, "file": 8192, "anon_thp": 2097152}


def test_zones_with_and_without_a_node() -> None:
    show = ShowMem()
    for line in (
        b"active_anon:12 inactive_anon:1 isolated_anon:0",
        b"Node 1 active_anon:48kB inactive_anon:4kB shmem_thp: 0kB all_unreclaimable? no",
        b"Node 1 DMA32 free:34068kB boost:0kB min:32016kB low:40020kB high:48024kB reserved_highatomic:4KB",
        b"lowmem_reserve[]: 0 0 816 816",
        b"HighMem free:460kB min:512kB",
        b"lowmem_reserve[]: 0 0 0 0",
        b"Node 1 DMA32: 5*64kB (UME) 0*128kB = 320kB",
        b"HighMem: 37*4kB 2*8kB = 164kB",
        b"Node 1 hugepages_total=4 hugepages_free=3 hugepages_surp=0 hugepages_size=1048576kB",
        b"Free swap  = 84kB",
        b"Total swap = 100kB",
        b"4115400 pages RAM",
        b"0 pages HighMem/MovableOnly",
        b"97082 pages reserved",
    ):
        assert show.take(line)
    low, high = show.zones()
    assert (low.node, low.name, low.fields_bytes["reserved_highatomic"]) == (1, "DMA32", 4096)
    assert low.lowmem_reserve_pages == (0, 0, 816, 816)
    assert [(block.free, block.size_bytes, block.types) for block in low.buddy] == [
        (5, 65536, "UME"),
        (0, 131072, ""),
    ]
    assert (high.node, high.name, high.buddy[0].types) == (0, "HighMem", "")
    assert show.page_size_bytes() == 65536
    assert show.node_fields_bytes[1]["shmem_thp"] == 0
    assert (show.huge_pages[0].total, show.huge_pages[0].size_bytes) == (4, 1 << 30)
    assert show.swap_bytes == {b"Free": 84 * 1024, b"Total": 100 * 1024}


@pytest.mark.parametrize(
    ("title", "row", "rss", "pgtables", "swap", "adj"),
    [
        (
            b"[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name",
            b"[ 4903]     0  4903    47605       66   2       0             0 controller",
            66,
            None,
            None,
            0,
        ),
        (
            b"[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name",
            b"[ 4903]     0  4903    47605       66      12       99          -998 controller",
            66,
            12 * 4096,
            99,
            -998,
        ),
        (
            b"[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds nr_puds swapents oom_score_adj name",
            b"[ 4903]     0  4903    47605       66      12       3       1       99             1 "
            b"controller",
            66,
            16 * 4096,
            99,
            1,
        ),
        (
            b"[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents "
            b"oom_score_ad j name",
            b"[   4903]     0  4903    47605       66 60 6         0    77824       99             0 "
            b"controller",
            66,
            77824,
            99,
            0,
        ),
    ],
)
def test_task_tables_of_every_layout(
    title: bytes, row: bytes, rss: int, pgtables: int | None, swap: int | None, adj: int
) -> None:
    columns = columns_of(title, [row])
    assert columns is not None
    (task,) = parse_rows([row, b"[ cut", b"not a row"], columns, page_size_bytes=4096)
    assert (task.pid, task.tgid, task.total_vm_pages, task.rss_pages) == (4903, 4903, 47605, rss)
    assert (task.pgtables_bytes, task.swapents_pages, task.oom_score_adj) == (pgtables, swap, adj)
    assert task.comm == "controller"


def test_page_size_follows_from_victim_row() -> None:
    kill = only(
        lines(
            HEADER,
            b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
            b"[  177372]     0 177372      571      0    51200        0             0 test_zswap",
            b"Memory cgroup out of memory: Killed process 177372 (test_zswap) total-vm:36544kB, "
            b"anon-rss:0kB, file-rss:0kB",
        )
    )
    assert kill.memory.page_size_bytes == 65536


def test_slab_caches_are_named() -> None:
    kill = only(
        lines(
            HEADER,
            b"Unreclaimable slab info:",
            b"Name                      Used          Total",
            b"btrfs_extent_map     3207098KB    3375622KB",
            b"Tasks state (memory values in pages):",
            b"Out of memory: Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
        )
    )
    (cache,) = kill.memory.slabs
    assert (cache.name, cache.total_bytes) == ("btrfs_extent_map", 3375622 * 1024)
    assert kill.memory.slab_dumped


_STATISTICS = [b"anon 8192", b"file 0", b"pgfault 12", b"slab_unreclaimable 77", b"total_rss 4096"]


@pytest.mark.parametrize(
    ("line", "more"),
    [
        (b"shmem 4096", {"shmem": 4096}),
        (b"pgmajfault 7", {}),
        (b"  shmem 4096 \t", {"shmem": 4096}),
        (b"shmem 4096\r", {"shmem": 4096}),
        (b"shmem2 4096", {"shmem2": 4096}),
        (b"inactive(anon) 4096", {"inactive(anon)": 4096}),
        (b"anon 1", {}),
        (b"shmem", {}),
        (b"shmem ", {}),
        (b"4096", {}),
        (b"shmem 40 96", {}),
        (b"shmem -4096", {}),
        (b"1shmem 4096", {}),
        (b"shmem 123456789012345678901", {}),
        (b"Shmem 4096", {}),
        (b"", {}),
        (b"shmem 4096\nshmem 5", {"shmem": 4096}),
    ],
)
@pytest.mark.parametrize("at", [0, 2, 5])
def test_statistics_block_with_any_other_line_is_read(line: bytes, more: dict[str, int], at: int) -> None:
    plain = {"anon": 8192, "file": 0, "slab_unreclaimable": 77, "total_rss": 4096}
    block = [*_STATISTICS[:at], line, *_STATISTICS[at:]]
    expected = plain | more | ({"anon": 1} if line == b"anon 1" and at == 0 else {})
    assert parse_block_stats(b"\n".join(block)) == expected
    assert parse_block_stats(b"\n".join(_STATISTICS)) == plain
