"""Lines that name a cgroup and nothing else.

Task in V killed as a result of limit of B                        until 4.20 (mem_cgroup_print_oom_info())
Memory limit reached of cgroup B                                  until 4.20, where no victim was found
Tasks in B are going to be killed due to memory.oom.group set     since 4.19 (3d8b38eb81ca)
"""

import re

from ..lazy import lazy
from .text import readable

_TASK_IN = lazy(rb"Task in (?P<task>.*?) killed as a result of limit of (?P<limit>.*)", re.DOTALL)
_LIMIT = lazy(rb"Memory limit reached of cgroup (?P<limit>.*)", re.DOTALL)
_GROUP = lazy(rb"Tasks in (?P<path>.*) are going to be killed due to memory\.oom\.group set\s*", re.DOTALL)


def parse_task_in(text: bytes) -> tuple[str, str | None] | None:
    """Return (cgroup of the victim, cgroup that reached its limit); the second is None for `host`, as
    Alibaba's kernels print for no limit."""
    match = _TASK_IN.match(text)
    if match is None:
        return None
    limit = match["limit"].rstrip()
    return readable(match["task"]), None if limit == b"host" else readable(limit)


def parse_limit_reached(text: bytes) -> str | None:
    """Return the cgroup that reached its limit."""
    match = _LIMIT.match(text)
    return readable(match["limit"].rstrip()) if match else None


def parse_group(text: bytes) -> str | None:
    """Return the cgroup whose tasks are all killed."""
    match = _GROUP.match(text)
    return readable(match["path"]) if match else None
