"""Parse the summary line of a report, printed since 5.0 (ef8444ea01d7) and by el8's 4.18.

    oom-kill:constraint=C,nodemask=N,cpuset=S,mems_allowed=M,oom_memcg=B,task_memcg=V,task=T,pid=P,uid=U
    oom-kill:constraint=C,nodemask=N,cpuset=S,mems_allowed=M,global_oom,task_memcg=V,task=T,pid=P,uid=U

The first is a memory cgroup's, the second the page allocator's. `cpuset=` and `mems_allowed=` are absent
without CONFIG_CPUSETS, `constraint=` in kernels of some vendors. T is up to 15 bytes of anything that the
process likes, and S, B, V are names chosen by anyone who may create a cgroup. So the line is read from both
ends: pid and uid are the last ones, a cgroup's *name* holds no `/` while its *path* starts with one, and B is
V or an ancestor of V."""

from functools import lru_cache
from typing import NamedTuple

from ..lazy import lazy
from .text import readable

_FRONT = lazy(
    rb"oom-kill:(?:constraint=(?:(?P<constraint>[A-Z0-9_]+)(?=,)|[A-Z0-9_]*\Z)|(?=,))"
    rb"(?:,nodemask=(?:(?P<nodemask>\(null\)|[\d,-]*\d|)(?=,)|[\d(nul,)-]*\Z))?(?=,|\Z)"
)
_TAIL = lazy(rb",pid=(?P<pid>\d{1,20}),uid=(?P<uid>\d{1,20})\s*\Z")
_MEMS = lazy(rb",mems_allowed=(?P<mems>[\d,-]*)\Z")
_COMM_BYTES = 15


class Summary(NamedTuple):
    """The fields of the line; None for missing and truncated ones."""

    constraint: str | None
    nodemask: str | None
    cpuset: str | None
    mems_allowed: str | None
    global_oom: bool
    oom_memcg: str | None
    task_memcg: str | None
    comm: str | None
    pid: int | None
    uid: int | None


@lru_cache(maxsize=8)
def parse_summary(text: bytes) -> Summary | None:
    """Parse the line, which may be truncated; return None for another line."""
    front = _FRONT.match(text)
    if front is None:
        return None
    rest = text[front.end() :]
    body, comm, pid, uid = _split_task(rest)
    place, memcg_part, global_oom = _split_memcg(body)
    whole = len(body) < len(rest)
    oom_memcg, task_memcg = _split_paths(memcg_part, global_oom=global_oom, whole=whole)
    cpuset, mems = _split_cpuset(place)
    return Summary(
        constraint=readable(front["constraint"]) if front["constraint"] is not None else None,
        nodemask=readable(front["nodemask"]) if front["nodemask"] is not None else None,
        cpuset=cpuset,
        mems_allowed=mems,
        global_oom=global_oom,
        oom_memcg=oom_memcg,
        task_memcg=task_memcg,
        comm=comm,
        pid=pid,
        uid=uid,
    )


def _split_task(text: bytes) -> tuple[bytes, str | None, int | None, int | None]:
    tail = _TAIL.search(text)
    if tail is None:
        # Cut by a pager or a serial console: a pid whose digits may be missing is no pid.
        front, task, _ = text.rpartition(b",task=")
        return (front if task else text), None, None, None
    text = text[: tail.start()]
    # The comm may itself hold `,task=`; it is at most 15 bytes, so the leftmost one near enough to the end is
    # the kernel's.
    at = text.find(b",task=", max(0, len(text) - _COMM_BYTES - len(b",task=")))
    if at < 0:
        at = text.rfind(b",task=")
    comm = readable(text[at + 6 :]) if at >= 0 else None
    return (text[:at] if at >= 0 else text), comm, int(tail["pid"]), int(tail["uid"])


def _split_memcg(body: bytes) -> tuple[bytes, bytes, bool]:
    # A cpuset's name may be `x,global_oom`, but never holds the `/` that a path starts with.
    at_memcg = body.find(b",oom_memcg=/")
    at_global = body.find(b",global_oom,task_memcg=/")
    if at_memcg >= 0 and (at_global < 0 or at_memcg < at_global):
        return body[:at_memcg], body[at_memcg + len(b",oom_memcg=") :], False
    if at_global >= 0:
        return body[:at_global], body[at_global + len(b",global_oom,task_memcg=") :], True
    if body.endswith(b",global_oom"):
        return body[: -len(b",global_oom")], b"", True
    return body, b"", False


def _split_paths(text: bytes, *, global_oom: bool, whole: bool) -> tuple[str | None, str | None]:
    """Return (B, V). A path at the end of a truncated line is unknown: the first half of a container's path
    is its pod's."""
    if not text:
        return None, None
    if global_oom:
        return None, readable(text) if whole else None
    separator = b",task_memcg="
    at = text.find(separator + b"/")
    first = at
    while at >= 0:
        limit, task = text[:at], text[at + len(separator) :]
        if task == limit or task.startswith(limit.rstrip(b"/") + b"/"):
            return readable(limit), readable(task) if whole else None
        at = text.find(separator + b"/", at + 1)
    if first >= 0:
        return readable(text[:first]), readable(text[first + len(separator) :]) if whole else None
    return (readable(text) if whole else None), None


def _split_cpuset(text: bytes) -> tuple[str | None, str | None]:
    mems = _MEMS.search(text)
    if mems is None or not text.startswith(b",cpuset="):
        return None, readable(mems["mems"]) if mems else None
    return readable(text[len(b",cpuset=") : mems.start()]), readable(mems["mems"])
