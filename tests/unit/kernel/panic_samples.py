"""What a 6.1 kernel leaves in pstore when vm.panic_on_oom=2 meets a container's limit."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

POD_UID = "0a1b2c3d-1111-2222-3333-444455556666"
CONTAINER_ID = "c" * 64
POD_CGROUP = f"/kubepods/burstable/pod{POD_UID}"
CONTAINER_CGROUP = f"{POD_CGROUP}/{CONTAINER_ID}"
WRITTEN = 1_790_000_000
"""When the records say that they were written, in seconds since the epoch."""


def panic_lines(*, cgroup: str = POD_CGROUP, started: float = 61.0) -> list[str]:
    """The end of the log, oldest line first, each with its priority."""
    text = [
        (6, "eth0: link becomes ready"),
        (4, "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=992"),
        (4, "CPU: 0 PID: 812 Comm: tail Not tainted 6.1.0-40-cloud-amd64 #1  Debian 6.1.153-1"),
        (4, "Call Trace:"),
        (4, " dump_header+0x4a/0x211"),
        (4, " out_of_memory+0x15b/0x4e0"),
        (4, " mem_cgroup_out_of_memory+0x130/0x150"),
        (6, "memory: usage 49152kB, limit 49152kB, failcnt 31"),
        (6, "swap: usage 0kB, limit 9007199254740988kB, failcnt 0"),
        (6, f"Memory cgroup stats for {cgroup}:"),
        (6, "anon 48758784"),
        (6, "file 0"),
        (6, "kernel 1130496"),
        (6, "kernel_stack 65536"),
        (6, "pagetables 241664"),
        (6, "shmem 0"),
        (6, "Tasks state (memory values in pages):"),
        (6, "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"),
        (6, "[    790]     0   790      199       13    40960        0          -998 pause"),
        (6, "[    811]     0   811      327      200    45056        0           992 sh"),
        (6, "[    812]     0   812    12345    11840   139264        0           992 tail"),
        (0, "Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled"),
        (4, "CPU: 0 PID: 812 Comm: tail Not tainted 6.1.0-40-cloud-amd64 #1  Debian 6.1.153-1"),
        (4, "Call Trace:"),
        (4, " panic+0x10c/0x2a5"),
    ]
    return [f"<{level}>[{started + at / 1000:12.6f}] {line}" for at, (level, line) in enumerate(text)]


def parts(lines: list[str], *, cuts: tuple[int, ...] = (), heading: str = "Panic#1") -> list[str]:
    """The log cut before the lines `cuts`, Part1 first: it has the newest text."""
    edges = [0, *cuts, len(lines)]
    pieces = [lines[start:end] for start, end in pairwise(edges)]
    return [
        f"{heading} Part{number}\n" + "".join(f"{line}\n" for line in piece)
        for number, piece in enumerate(reversed(pieces), start=1)
    ]


def write_erst(
    folder: Path, texts: list[str], *, first_id: int | None = None, written: float = WRITTEN
) -> list[Path]:
    """The parts as ERST numbers them, in a stand-in for pstore's file system."""
    folder.mkdir(parents=True, exist_ok=True)
    first_id = (int(written) << 32) + 1 if first_id is None else first_id
    paths = []
    for at, text in enumerate(texts):
        path = folder / f"dmesg-erst-{first_id + at}"
        path.write_text(text)
        os.utime(path, (written, written))
        paths.append(path)
    return paths
