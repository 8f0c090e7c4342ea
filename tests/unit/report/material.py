"""Kernel text as the tests need it: raw /dev/kmsg records, and bare lines."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from oomkeeper.kernel.report import parse_records
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord

DATA = Path(__file__).parent / "data"
_KMSG = re.compile(rb"(\d+),(\d+),(\d+),[^,;]*(?:,caller=([TC]\d+))?[^;]*;(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def raw_kmsg(data: bytes) -> Iterator[LogRecord]:
    """Records of a /dev/kmsg dump, one per line (Documentation/ABI/testing/dev-kmsg)."""
    for line in data.splitlines():
        match = _KMSG.fullmatch(line)
        if match is None:
            continue
        prio, seq, usec, caller, text = match.groups()
        yield LogRecord(
            text=_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), text),
            usec=int(usec),
            seq=int(seq),
            caller=caller,
            level=int(prio) & 7,
            kernel=int(prio) >> 3 == 0,
        )


def fixture(name: str) -> list[LogRecord]:
    """The records of a file in data/: what this kernel really printed."""
    return list(raw_kmsg((DATA / name).read_bytes()))


def lines(*texts: bytes, caller: bytes | None = None, start: int = 1) -> list[LogRecord]:
    """One record per text, a millisecond apart."""
    return [
        LogRecord(text=text, usec=1_000_000 + 1000 * at, seq=start + at, caller=caller)
        for at, text in enumerate(texts)
    ]


def kills(records: Iterable[LogRecord]) -> list[Kill]:
    """Every event in the records."""
    return list(parse_records(records))


def only(records: Iterable[LogRecord]) -> Kill:
    """The one event in the records."""
    (kill,) = kills(records)
    return kill


HEADER = b"memhog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
SUMMARY = (
    b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,"
    b"task=memhog,pid=42,uid=1000"
)
KILLED = (
    b"Memory cgroup out of memory: Killed process 42 (memhog) total-vm:105048kB, anon-rss:81884kB, "
    b"file-rss:1544kB,"
    b" shmem-rss:0kB, UID:1000 pgtables:208kB oom_score_adj:0"
)
GLOBAL_KILLED = (
    b"Out of memory: Killed process 42 (memhog) total-vm:105048kB, anon-rss:81884kB, file-rss:1544kB, "
    b"shmem-rss:0kB,"
    b" UID:1000 pgtables:208kB oom_score_adj:0"
)
MEMORY = b"memory: usage 81920kB, limit 81920kB, failcnt 30"


def killed(pid: int, comm: bytes = b"memhog", prefix: bytes = b"Memory cgroup out of memory: ") -> bytes:
    """A kill line for another process."""
    return prefix + b"Killed process %d (%s) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB" % (
        pid,
        comm,
    )
