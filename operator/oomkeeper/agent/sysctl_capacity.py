"""Values that a node of this size cannot bear. Pure.

The API allows one range for every node; a sensible value on a node of 1 TiB leaves one of 8 GiB without
memory.
"""

from oomkeeper.kernel.meminfo import NodeMemory
from oomkeeper.resources.oomnode import DesiredSysctl

from .refusal import Refusal

MAX_PERCENT = {
    # Below vm.min_free_kbytes only the kernel's own emergencies get memory; too high a value makes a node run
    # out of it at once (Documentation/admin-guide/sysctl/vm.rst).
    "vm.min_free_kbytes": 5,
    # With strict overcommit, memory that only root may commit, and that a user's process must leave.
    "vm.admin_reserve_kbytes": 10,
    "vm.user_reserve_kbytes": 10,
}
"""Of the node's memory."""
DEPENDS_ON_MEMORY = frozenset({*MAX_PERCENT, "vm.overcommit_memory", "vm.overcommit_ratio"})
MARGIN_PERCENT = 5
"""Of what is committed: room for what starts while the setting is written."""
STRICT = 2
"""vm.overcommit_memory: never commit more than the limit."""


def refuse_beyond_capacity(
    wanted: DesiredSysctl, *, memory: NodeMemory, overcommit_memory: int | None, overcommit_ratio: int | None
) -> Refusal | None:
    """Return why a value is too much for this node, with the largest (or least) acceptable one; None where it
    is not. `overcommit_memory`, `overcommit_ratio`: as they are in force."""
    percent = MAX_PERCENT.get(wanted.name)
    if percent is not None:
        return _too_large(wanted, percent=percent, memory=memory)
    if wanted.name == "vm.overcommit_memory" and wanted.value == STRICT:
        return _too_little_to_commit(wanted, ratio=overcommit_ratio, memory=memory)
    if wanted.name == "vm.overcommit_ratio" and overcommit_memory == STRICT:
        return _too_little_to_commit(wanted, ratio=wanted.value, memory=memory)
    return None


def commit_limit_bytes(memory: NodeMemory, *, ratio: int) -> int:
    """Return what may be committed with vm.overcommit_memory=2 (mm/util.c, vm_commit_limit())."""
    return (memory.total_bytes - memory.huge_page_bytes) * ratio // 100 + memory.swap_bytes


def _too_large(wanted: DesiredSysctl, *, percent: int, memory: NodeMemory) -> Refusal | None:
    largest = memory.total_bytes // 1024 * percent // 100
    if wanted.value <= largest:
        return None
    return Refusal(
        "TooLargeForNode",
        f"{wanted.name}={wanted.value} is more than {percent} % of this node's memory "
        f"({memory.total_bytes // 1024} KiB); the largest acceptable value here is {largest}",
    )


def _too_little_to_commit(wanted: DesiredSysctl, *, ratio: int | None, memory: NodeMemory) -> Refusal | None:
    if ratio is None:
        return None
    needed = memory.committed_bytes * (100 + MARGIN_PERCENT) // 100
    if commit_limit_bytes(memory, ratio=ratio) >= needed:
        return None
    base = max(1, memory.total_bytes - memory.huge_page_bytes)
    least = -(-(needed - memory.swap_bytes) * 100 // base)
    return Refusal(
        "CommitLimitTooLow",
        f"{wanted.name}={wanted.value} would limit what processes may commit to "
        f"{commit_limit_bytes(memory, ratio=ratio) >> 20} MiB, but {memory.committed_bytes >> 20} MiB are "
        "committed already, and every allocation would fail; the least acceptable vm.overcommit_ratio here "
        f"is {least}",
    )
