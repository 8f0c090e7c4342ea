"""/proc/meminfo."""

from pathlib import Path
from typing import NamedTuple

from .bounded_read import read_text


class NodeMemory(NamedTuple):
    """What a node has, and what its processes were promised."""

    total_bytes: int
    swap_bytes: int
    huge_page_bytes: int
    """Reserved as huge pages of the default size; not part of the commit limit."""
    committed_bytes: int
    """Committed_AS: what all processes together may come to use."""


def read_meminfo(*, proc: Path = Path("/proc")) -> dict[str, int]:
    """Return the file's fields in bytes (its unit is KiB); those without a unit as they are. Raises
    OSError."""
    values = {}
    for line in read_text(proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        if parts:
            values[name] = int(parts[0]) * (1024 if len(parts) > 1 else 1)
    return values


def read_node_memory(*, proc: Path = Path("/proc")) -> NodeMemory:
    """Return the node's memory as it is now. Raises OSError."""
    values = read_meminfo(proc=proc)
    return NodeMemory(
        total_bytes=values.get("MemTotal", 0),
        swap_bytes=values.get("SwapTotal", 0),
        huge_page_bytes=values.get("HugePages_Total", 0) * values.get("Hugepagesize", 0),
        committed_bytes=values.get("Committed_AS", 0),
    )
