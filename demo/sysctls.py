"""The sysctls that the demo's policies set, before and after."""

from collections.abc import Iterable, Mapping

from oomkeeper.kernel.sysctl import Sysctls

SHOWN = ("vm.panic_on_oom", "vm.oom_kill_allocating_task", "vm.oom_dump_tasks")
"""What the demo's policies and the examples for every node ask for, and nothing else is compared or written:
other programs have their own business with the rest.
"""


def read(keys: Iterable[str] = SHOWN) -> dict[str, int]:
    """Return their current values. Raises SysctlError."""
    return {key: Sysctls().read(key) for key in keys}


def in_force(wanted: Mapping[str, int]) -> bool:
    """Return whether /proc/sys has these values."""
    return read(wanted) == wanted


def put_back(before: Mapping[str, int]) -> list[str]:
    """Restore values that differ from `before`; return them, one sentence each."""
    said = []
    for key, value in read(before).items():
        if value != before[key]:
            Sysctls().write(key, before[key])
            said.append(f"{key} was {value} and is {before[key]} again")
    return said


def rows(before: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Return a table of the values before and now."""
    now = read(before)
    return [("sysctl", "before", "now"), *((key, str(before[key]), str(now[key])) for key in before)]
