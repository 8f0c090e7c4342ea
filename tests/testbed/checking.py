"""What the testbed's own tests share: a process that holds one, its supervisor, the machine as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import cgroups, machine, mounts, traces
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[2]


def hold(program: str, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start a process that holds a testbed; gives it and the line that it prints when the testbed is up."""
    command = [sys.executable, "-c", program, *arguments]
    holder = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, holder.stdout.readline().strip()


def supervisor_of(folder: Path) -> int:
    """The pid of the supervisor of a run folder."""
    [pid] = [int(entry.name) for entry in Path("/proc").iterdir() if _is_supervisor(entry, folder)]
    return pid


def _is_supervisor(entry: Path, folder: Path) -> bool:
    try:
        arguments = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"tests.testbed.supervisor" in arguments and os.fsencode(folder) in arguments


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a node-level testbed could leave changed."""

    sysctls: dict[str, str]
    links: list[str]
    mounts: list[str]
    pod_cgroups: list[Path]
    absent_folders: list[str]


def machine_now() -> Machine:
    """The machine as it is."""
    return Machine(
        sysctls={key: (Path("/proc/sys") / key.replace(".", "/")).read_text() for key in machine.SYSCTLS},
        links=sorted(path.name for path in Path("/sys/class/net").iterdir()),
        mounts=[str(point) for point in mounts.below(Path("/var"))],
        pod_cgroups=cgroups.roots(),
        absent_folders=traces.absent(),
    )


def await_machine(expected: Machine, *, seconds: float = 90) -> None:
    """Wait until the machine is restored: interfaces of a dead network namespace disappear a little later.

    Raises AssertionError after `seconds`.
    """

    def is_restored() -> bool:
        assert machine_now() == expected
        return True

    eventually(is_restored, seconds=seconds)
