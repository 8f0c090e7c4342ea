"""Parse the lines that name processes: chosen, killed, reaped, already exiting.

    Killed process 1, UID 27, (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB             el6's 2.6.32
    Killed process 1 (x), UID 27, total-vm:1kB, anon-rss:1kB, file-rss:1kB             el7's 3.10
    Killed process 1 (x)                                                               2.6.32
    Out of memory in UB 1: OOM killed process 1 (x) score 0 vm:1kB, rss:1kB, swap:0kB  Virtuozzo, OpenVZ
    Killed process 1 (x) vsz:1kB, anon-rss:1kB, file-rss:1kB                           2.6.33 to 2.6.35
    Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB                      until 4.4
    Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB       since 4.5
    Out of memory: Killed process 1 (x) total-vm:1kB, ...                              since 5.1
    ..., shmem-rss:0kB, UID:0 pgtables:40kB oom_score_adj:0                            since 5.4

A comm is at most 15 bytes (four times as many where a log escapes them) and cannot hold the whole tail `)
total-vm:1kB, anon-rss:`, so the last one within reach is the kernel's; one further on belongs to another
line.
"""

import re
from functools import lru_cache

from ...model.kill import Victim
from ..lazy import lazy
from .text import KIB, readable

_KILLED = lazy(
    rb".*?Killed process (?P<pid>\d{1,20})(?:, UID (?P<old_uid>\d{1,20}),)? \((?P<comm>.{0,64})\),?"
    rb"(?: UID (?P<el7_uid>\d{1,20}),)? (?:total-vm|vsz):(?P<vm>\d{1,20})kB, anon-rss:(?P<anon>\d{1,20})kB"
    rb"(?:, file-rss:(?P<file>\d{1,20})kB"
    rb"(?:, shmem-rss:(?P<shmem>\d{1,20})kB)?(?:, UID:(?P<uid>\d{1,20}))?"
    rb"(?: pgtables:(?P<pgtables>\d{1,20})kB)?"
    rb"(?: oom_score_adj:(?P<adj>-?\d{1,20}))?)?",
    re.DOTALL,
)
_CHOSEN = lazy(rb".*?[Kk]ill process (?P<pid>\d{1,20}) \((?P<comm>.*)\) score (?P<score>\d{1,20})", re.DOTALL)
_CHOSEN_CUT = lazy(rb".*?[Kk]ill process (?P<pid>\d{1,20}) \((?P<comm>.{1,64})\)\s*\Z", re.DOTALL)
_VZ_KILLED = lazy(
    rb"Out of memory in UB .{1,64}?: OOM\s+killed process (?P<pid>\d{1,20}) \((?P<comm>.{0,64})\)"
    rb" score \d{1,20}(?: vm:(?P<vm>\d{1,20})kB)?",
    re.DOTALL,
)
_REAPED = lazy(rb"oom_reaper: reaped process (?P<pid>\d{1,20}) \((?P<comm>.{0,64}?)\)(?:,|\s*\Z)", re.DOTALL)
_NAMED = lazy(rb".*?(?:OOM victim|reaped process) (?P<pid>\d{1,20}) \(", re.DOTALL)
_CUT = lazy(
    rb".*?Killed process (?P<pid>\d{1,20})(?=[ ,])(?:, UID \d{1,20},)?(?: \((?P<comm>.{0,15}?)\)"
    rb"(?:,?(?: UID \d{1,20},)? (?:total-vm|vsz):(?P<vm>\d{1,20})kB,?)?)?",
    re.DOTALL,
)
"""A pid, comm or size at the very end may be truncated, and is not read."""


VZ_KILL = b"Out of memory in UB "
"""A container (beancounter) of Virtuozzo or OpenVZ reached its limit."""


@lru_cache(maxsize=8)
def parse_killed(text: bytes) -> Victim | None:
    """Return the victim of a `Killed process` line with the sizes that it has, or None if not even a pid can
    be read."""
    if text.startswith(VZ_KILL):
        found = _VZ_KILLED.match(text)
        return (
            Victim(pid=int(found["pid"]), comm=readable(found["comm"]), total_vm_bytes=_kib(found["vm"]))
            if found
            else None
        )
    match = _KILLED.match(text)
    if match is None:
        cut = _CUT.match(text)
        if cut is None:
            return None
        return Victim(pid=int(cut["pid"]), comm=readable(cut["comm"] or b""), total_vm_bytes=_kib(cut["vm"]))
    group = match.group
    uid = group("uid") or group("old_uid") or group("el7_uid")
    return Victim(
        pid=int(group("pid")),
        comm=readable(group("comm")),
        uid=int(uid) if uid else None,
        total_vm_bytes=_kib(group("vm")),
        anon_rss_bytes=_kib(group("anon")),
        file_rss_bytes=_kib(group("file")),
        shmem_rss_bytes=_kib(group("shmem")),
        pgtables_bytes=_kib(group("pgtables")),
        oom_score_adj=int(group("adj")) if group("adj") else None,
    )


def parse_chosen(text: bytes) -> tuple[int, str] | None:
    """Return (pid, comm) of `Kill process N (comm) score S or sacrifice child`."""
    match = _CHOSEN.match(text) or _CHOSEN_CUT.match(text)
    return (int(match["pid"]), readable(match["comm"])) if match else None


def parse_reaped(text: bytes) -> Victim | None:
    """Return the process of an `oom_reaper: reaped process N (comm)` line, without sizes: the line has those
    after the kill."""
    match = _REAPED.match(text)
    return Victim(pid=int(match["pid"]), comm=readable(match["comm"])) if match else None


def parse_named_pid(text: bytes) -> int | None:
    """Return the pid of an `OOM victim N (...)` or `reaped process N (...)` line."""
    match = _NAMED.match(text)
    return int(match["pid"]) if match else None


def _kib(number: bytes | None) -> int | None:
    return int(number) * KIB if number is not None else None
