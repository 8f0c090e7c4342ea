"""Parse the first lines of a report: who asked for memory, on which kernel, and where the task may allocate.

x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0     since 2.6.36; names since 4.6
x invoked oom-killer: gfp_mask=0x280da, order=0, oom_adj=0, oom_score_adj=0    el6's 2.6.32
x invoked oom-killer: gfp_mask=0x14200ca(...), nodemask=(null),  order=0, ...  4.9 to 4.20
x cpuset=/ mems_allowed=0-1                                                    until 5.0
CPU: 5 UID: 0 PID: 1122 Comm: x Not tainted 6.18.0+ #26                        `UID:` since 6.11
Pid: 23212, comm: x Not tainted 2.6.32-642.11.1.el6.x86_64 #1                  until 3.10
"""

import re
from functools import lru_cache
from typing import NamedTuple

from ...model.kill import Invoker
from ..lazy import lazy
from .text import readable

_HEADER = lazy(
    rb"(?P<comm>.*) invoked oom(?:-killer)?(?::\s*"
    rb"(?:gfp_mask=(?P<gfp>(?:0x)?[0-9a-fA-F]+(?:\([^)]*\))?))?"
    rb"(?:,\s*nodemask=(?P<nodemask>\(null\)|[\d,-]*\d))?"
    rb"(?:,\s*order=(?P<order>-?\d{1,3}))?"
    rb"(?:,\s*oom_?k?i?l?l?_?adj=-?\d{1,20})?"
    rb"(?:,\s*oom_score_adj=(?P<adj>-?\d{1,20}))?)?",
    re.DOTALL,
)
_REST = lazy(rb"(?:\s*\.\.\.)?\s*|,.*|\n.*", re.DOTALL)
"""After the fields: nothing, an unknown or truncated field, or (BPF) a separate line."""
_CPUSET = lazy(rb".* cpuset=(?P<cpuset>.*) mems_allowed=(?P<mems>[\d,-]+)\s*", re.DOTALL)
_CPU = lazy(rb"CPU: \d{1,20} (?:UID: \d{1,20} )?PID: (?P<pid>\d{1,20}) Comm: ", re.DOTALL)
_PID = lazy(rb"Pid: (?P<pid>\d{1,20}), comm: ", re.DOTALL)
_RELEASE = lazy(rb".* (?:Not tainted|Tainted: [A-Z ]+?) +(?P<release>\d{1,20}\.\d{1,20}[^\s]*)", re.DOTALL)

_COMM_BYTES = 16
"""TASK_COMM_LEN. A longer "comm" is some other message that quotes a header, unless bytes of it were
escaped."""
_ESCAPED_COMM_BYTES = 64
_CPU_LINE_BYTES = 512


class Header(NamedTuple):
    """The fields of the header line."""

    comm: bytes
    gfp: str | None
    order: int | None
    nodemask: str | None
    oom_score_adj: int | None


@lru_cache(maxsize=8)
def parse_header(text: bytes) -> Header | None:
    """Return the header of a report, or None if the line only looks like one. Also accepts the spelling
    `invoked oom:`."""
    match = _HEADER.match(text)
    if match is None:
        return None
    comm = match["comm"]
    if len(comm) >= _COMM_BYTES and (len(comm) > _ESCAPED_COMM_BYTES or not _escaped(comm)):
        return None
    gfp, order, nodemask, adj = match["gfp"], match["order"], match["nodemask"], match["adj"]
    if _REST.fullmatch(text, match.end()) is None:
        return None
    if gfp is None and not text.rstrip().endswith((b"oom-killer", b"oom-killer:")):
        return None
    return Header(
        comm=comm,
        gfp=readable(gfp) if gfp is not None else None,
        order=int(order) if order is not None else None,
        nodemask=readable(nodemask) if nodemask is not None else None,
        oom_score_adj=int(adj) if adj is not None else None,
    )


def _escaped(comm: bytes) -> bool:
    return b"\\x" in comm or not comm.isascii()


def invoker_of(header: Header, pid: int | None) -> Invoker:
    """Return the model's record of the header and the pid of the `CPU:` line."""
    return Invoker(
        comm=readable(header.comm),
        pid=pid,
        order=header.order,
        gfp=header.gfp,
        oom_score_adj=header.oom_score_adj,
    )


def parse_cpuset(text: bytes) -> tuple[str, str] | None:
    """Return (cpuset, mems_allowed) of the separate line that kernels before 5.0 print."""
    match = _CPUSET.fullmatch(text)
    return (readable(match["cpuset"]), readable(match["mems"])) if match else None


def parse_cpu_line(text: bytes) -> tuple[int, str | None] | None:
    """Return (pid of the invoker, kernel release) of the line that dump_stack() prints first."""
    text = text[:_CPU_LINE_BYTES]
    match = _CPU.match(text) or _PID.match(text)
    if match is None:
        return None
    release = _RELEASE.match(text)
    return int(match["pid"]), readable(release["release"]) if release else None
