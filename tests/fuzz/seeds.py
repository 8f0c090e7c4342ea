"""Real reports to start from: what this project's kernels really printed, cut to lines."""

from functools import cache
from pathlib import Path

_UNIT = Path(__file__).resolve().parents[1] / "unit"
_LAB = Path(__file__).resolve().parents[1] / "kernel_lab"


@cache
def logs() -> tuple[bytes, ...]:
    """The project's own logs, whole."""
    paths = [*sorted(_UNIT.glob("*/data/*.log")), *sorted(_LAB.glob("**/*.log"))]
    return tuple(path.read_bytes() for path in paths)


@cache
def lines() -> tuple[bytes, ...]:
    """Every distinct line of them, and lines of older kernels and other framings that none of them has."""
    found = dict.fromkeys(line for log in logs() for line in log.split(b"\n"))
    return (*found, *_OTHERS)


_OTHERS = (
    b"[12345.678901] x invoked oom-killer: gfp_mask=0x280da, order=0, oom_adj=0, oom_score_adj=0",
    b"[12345.678901][ T6736] x invoked oom-killer: gfp_mask=0x0(), order=-1, oom_score_adj=-1000",
    b"<4>[   12.345678] Mem-Info:",
    b"kern  :warn  : 2025-01-02T03:04:05,287197+00:00 Out of memory: Killed process 1 (a) total-vm:1kB,"
    b" anon-rss:1kB, file-rss:1kB",
    b"Jan  2 03:04:05 host kernel: Task in /a/b killed as a result of limit of /a",
    b"2025-01-02T03:04:05.678901+00:00 host kernel: [    1.000000] memory: usage 1kB, limit 1kB, failcnt 1",
    b'{"_TRANSPORT":"kernel","MESSAGE":"Out of memory and no killable processes...","PRIORITY":"0"}',
    b'{"_TRANSPORT":"kernel","MESSAGE":[75,105,108,108,101,100]}',
    b"MESSAGE",
    b"\x10\x00\x00\x00\x00\x00\x00\x00Killed process 1",
    b"_TRANSPORT=kernel",
    b"Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled",
    b"Kernel panic - not syncing: System is deadlocked on memory",
    b"Tasks in /a are going to be killed due to memory.oom.group set",
    b"OOM victim 7 (a) is already exiting. Skip killing the task",
    b"oom_reaper: reaped process 7 (a), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    b"Out of memory: Kill process 7 (a) score 999 or sacrifice child",
    b"Memory limit reached of cgroup /a",
    b"memory+swap: usage 1kB, limit 9007199254740988kB, failcnt 0",
    b"kmem: usage 1kB, limit 1kB, failcnt 9",
    b"Unreclaimable slab info:",
    b"kmemleak_object       878221KB     879281KB",
    b"Node 0 DMA32 free:22324kB min:44676kB low:55844kB high:67012kB managed:2031872kB free_cma:0kB",
    b"lowmem_reserve[]: 0 0 12345 12345",
    b"Node 0 Normal: 1*4kB (U) 2*8kB (UME) 0*16kB 1*32kB (H) = 52kB",
    b"Node 1 hugepages_total=4 hugepages_free=4 hugepages_surp=0 hugepages_size=1048576kB",
    b"[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name",
    b"[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds nr_puds swapents oom_score_adj name",
    b"[  123]  1000   123    99999    88888       1       1       1        0             0 a",
    b"oom-kill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=0-1,cpuset=/,mems_allowed=0-3,global_oom,"
    b"task_memcg=/,task=a,pid=7,uid=0",
    b"oom-kill:constraint=CONSTRAINT_BPF_PSI_MEM,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,"
    b"task_memcg=/a,task=a,pid=7,uid=0",
    b'{"log":"[    1.000000] Out of memory: Killed process 7 (a) total-vm:1kB\\n","stream":"stdout"}',
    b"95s  Warning  OOMKilling  node/n1  Memory cgroup out of memory: Killed process 7 (a) total-vm:1kB",
    b"12:[    1.000000] Mem-Info:",
    b"host1: CPU: 1 PID: 7 Comm: a Not tainted 6.1.0 #1",
    b"<td>Out&nbsp;of memory: Killed process 7 (a) total-vm:1kB, anon-rss:1kB</td>",
    b"a.service: Failed with result 'oom-kill'.",
    b"sysrq: Manual OOM execution",
    b"#012a#012b",
    b"-- MORE --",
    b"0,1,1,-,caller=T1;Out of memory: Killed process 1 (a",
    b" SUBSYSTEM=x",
    b"12,9,9,-;Out of memory: Killed process 1 (forged) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
)
