"""An OOM report's records as a 6.1 kernel prints them, written for the tests: long lines, a record of several
lines, odd names."""

from tests.unit.kernel_logs.formats import Said

_CONTAINER = "cri-containerd-7d1ad8a5a3a95c0ccd5b2f4b7f3d7e4b0f1f6a8c5a1e0e4dd0aa6c9b2e4f1a33.scope"
_POD = (
    "/kubepods.slice/kubepods-burstable.slice/"
    "kubepods-burstable-podaaaaaaaa_bbbb_cccc_dddd_eeeeeeeeeeee.slice"
)
LINES = (
    (4, "web server:1 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=984"),
    (4, "CPU: 3 PID: 4711 Comm: web server:1 Not tainted 6.1.0-18-cloud-amd64 #1  Debian 6.1.76-1"),
    (4, "Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2-debian-1.16.2-1 04/01/2014"),
    (4, "Call Trace:"),
    (4, " <TASK>"),
    (4, " dump_stack_lvl+0x45/0x5a"),
    (4, " mem_cgroup_out_of_memory+0x13b/0x150"),
    (4, " </TASK>"),
    (6, "memory: usage 204800kB, limit 204800kB, failcnt 1311"),
    (6, "swap: usage 0kB, limit 0kB, failcnt 0"),
    (6, f"Memory cgroup stats for {_POD}:"),
    (
        6,
        "anon 203980800\nfile 65536\nkernel 5607424\nkernel_stack 49152\npagetables 778240\nshmem 0\n"
        "file_dirty 0\nanon_thp 98566144",
    ),
    (4, "Mem-Info:"),
    (
        4,
        "active_anon:218 inactive_anon:202527 isolated_anon:0\n active_file:5979 inactive_file:5231 "
        "isolated_file:0\n unevictable:0"
        " dirty:0 writeback:0\n free:226231 free_pcp:36 free_cma:0",
    ),
    (
        4,
        "Node 0 DMA32 free:22324kB boost:0kB min:44676kB low:55844kB high:67012kB "
        "reserved_highatomic:0KB active_anon:174212kB "
        "inactive_anon:1539340kB active_file:0kB inactive_file:64kB unevictable:0kB writepending:0kB "
        "present:2080636kB managed:1840628kB "
        "mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB",
    ),
    (4, "lowmem_reserve[]: 0 0 0 0"),
    (
        4,
        "Node 0 DMA32: 1*4kB (U) 2*8kB (UM) 1*16kB (M) 1*32kB (U) 1*64kB (U) 0*128kB 1*256kB (M) "
        "0*512kB 1*1024kB (U) 0*2048kB "
        "5*4096kB (UME) = 21892kB",
    ),
    (6, "Tasks state (memory values in pages):"),
    (6, "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"),
    (6, "[   4001]     0  4001      257        1    32768        0          -998 pause"),
    (6, "[   4711]  1000  4711   185432    49801   778240        0           984 web server:1"),
    (6, "[   4712]  1000  4712     1543      401    49152        0           984 531"),
    (
        6,
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset={_CONTAINER},mems_allowed=0-1,"
        f"oom_memcg={_POD},"
        f"task_memcg={_POD}/{_CONTAINER},task=web server:1,pid=4711,uid=1000",
    ),
    (
        3,
        "Memory cgroup out of memory: Killed process 4711 (web server:1) total-vm:741728kB, "
        "anon-rss:199204kB, file-rss:0kB, "
        "shmem-rss:0kB, UID:1000 pgtables:760kB oom_score_adj:984",
    ),
    (6, "oom_reaper: reaped process 4711 (web server:1), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"),
)
REPORT = tuple(
    Said(text.encode(), 7_766_086_232 + 7 * number, level, 1345 + number, b"T4711")
    for number, (level, text) in enumerate(LINES)
)
"""The report above with the stamps that a kernel would give it."""
