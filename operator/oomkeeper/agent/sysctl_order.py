"""In which order sysctls are written where one makes another dangerous. Pure.

A panic with kernel.panic=0 hangs the node (kernel/panic.c), so vm.panic_on_oom is above 0 only while
kernel.panic is. With vm.overcommit_memory=2 a low vm.overcommit_ratio makes every allocation fail, so the
ratio is raised first and lowered last. A write can fail; what comes after it must then be harmless.
"""

from collections.abc import Iterable, Mapping

from oomkeeper.resources.oomnode import DesiredSysctl

PANIC_ON_OOM = "vm.panic_on_oom"
PANIC_SECONDS = "kernel.panic"
_RELEASE_FIRST = (PANIC_ON_OOM, "vm.overcommit_memory")
_APPLY_FIRST = (PANIC_SECONDS, "vm.overcommit_ratio")


def apply_order(wanted: Iterable[DesiredSysctl]) -> list[DesiredSysctl]:
    """Return the values in the order to apply them: vm.panic_on_oom first where it becomes 0, else after
    kernel.panic."""

    def rank(one: DesiredSysctl) -> tuple[int, str]:
        if one.name == PANIC_ON_OOM and one.value == 0:
            return 0, one.name
        return (1 if one.name in _APPLY_FIRST else 2), one.name

    return sorted(wanted, key=rank)


def release_order(keys: Iterable[str]) -> list[str]:
    """Return the keys in the order to restore them; kernel.panic is the last."""

    def rank(key: str) -> tuple[int, str]:
        return (0 if key in _RELEASE_FIRST else 2 if key == PANIC_SECONDS else 1), key

    return sorted(keys, key=rank)


def may_become(key: str, value: int, *, panic_on_oom: int | None) -> bool:
    """Return whether a key may get this value while vm.panic_on_oom is what it is now."""
    return not (key == PANIC_SECONDS and value == 0 and panic_on_oom)


def with_panic_seconds(persistent: Mapping[str, int], *, panic_seconds: int | None) -> dict[str, int]:
    """Return the values for the drop-in: one that panics the node also says when it starts again. A boot
    begins with kernel.panic=0 on most distributions."""
    values = dict(persistent)
    if values.get(PANIC_ON_OOM) and not values.get(PANIC_SECONDS) and panic_seconds:
        values[PANIC_SECONDS] = panic_seconds
    return values
