"""A process that eats memory on command: `python -I -S eater.py`, one JSON command a line on stdin, one
answer a line on stdout.

It keeps to the standard library's smallest parts, so that what fills a cgroup is what the test asked for.
"""

import json
import mmap
import os
import resource
import signal
import sys
import time

PAGE = mmap.PAGESIZE
_held = []


def join(*, procs):
    """Become a member of a cgroup: `procs` is its cgroup.procs."""
    with open(procs, "w") as file:
        file.write(str(os.getpid()))


def adj(*, value):
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(value))


def comm(*, name):
    with open("/proc/self/comm", "wb") as file:
        file.write(name.encode("latin-1"))


def eat(*, bytes):
    """Anonymous memory, every page of it written."""
    area = mmap.mmap(-1, bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, bytes, PAGE):
        area[offset] = 1
    _held.append(area)


def fill(*, path, bytes):
    """A file, which on tmpfs is memory that stays when we die."""
    block = b"x" * (1 << 20)
    with open(path, "ab") as file:
        for _ in range(bytes >> 20):
            file.write(block)
            file.flush()


def storm(*, procs, count, bytes, gap=0.0, name="storm"):
    """Fork children in sequence; each joins the cgroup and eats. Return the pids that SIGKILL ended."""
    killed = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                comm(name=name)
                join(procs=procs[number % len(procs)])
                eat(bytes=bytes)
            finally:
                os._exit(3)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            killed.append(pid)
        if gap:
            time.sleep(gap)
    return killed


VERBS = {verb.__name__: verb for verb in (join, adj, comm, eat, fill, storm)}


def main():
    for line in sys.stdin:
        command = json.loads(line)
        answer = VERBS[command.pop("do")](**command)
        print(json.dumps(answer), flush=True)


main()
