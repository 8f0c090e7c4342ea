"""saved_cmdlines: the names of tasks that caused a traced event, also of those that are gone.

The kernel notes a task's comm when it is next scheduled after an event, for some 128 tasks
(Documentation/trace/ftrace.rst, saved_cmdlines and saved_cmdlines_size)."""

from pathlib import Path

from ..bounded_read import read_bytes


def noted_comms(tracefs: Path) -> dict[int, bytes]:
    """Return pid -> comm as the kernel noted it last; empty where it notes none. A comm may hold any bytes,
    line breaks too: what follows one could look like another task's line, so a pid that occurs twice is left
    out."""
    try:
        text = read_bytes(tracefs / "saved_cmdlines")
    except OSError:
        return {}
    found: dict[int, bytes] = {}
    twice = set()
    for line in text.split(b"\n"):
        number, _, comm = line.partition(b" ")
        if not number.isdigit() or len(number) > 10:
            continue
        pid = int(number)
        if pid in found:
            twice.add(pid)
        found[pid] = comm
    return {pid: comm for pid, comm in found.items() if pid not in twice}
