"""The three processes of the first part: one program under three names, in one cgroup."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import eater
from .memcg import DemoCgroup
from .narration import DemoError

BEGINNING_MIB = {"test": 40, "test1": 8, "test2": 8}
"""The intended victim is not the largest, so its size cannot be the reason."""

Eaters = dict[str, subprocess.Popen[bytes]]


@contextmanager
def eaters_in(cgroup: DemoCgroup, *, folder: Path) -> Iterator[Eaters]:
    """Start the three processes, each in the cgroup before it allocates."""
    eaters: Eaters = {}
    try:
        for name, mib in BEGINNING_MIB.items():
            program = folder / name
            program.write_bytes(Path(eater.__file__).read_bytes())
            command = (sys.executable, "-I", "-S", str(program), str(mib))
            eaters[name] = subprocess.Popen(
                # The shell waits until it is in the cgroup, so nothing is charged elsewhere.
                ["/bin/sh", "-c", 'read -r _ && exec "$@"', "sh", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            cgroup.add(eaters[name].pid)
            stdin, stdout = eaters[name].stdin, eaters[name].stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(b"in\n")
            stdin.flush()
            if stdout.readline() != b"ready\n":
                raise DemoError(f"{name} could not start")
        yield eaters
    finally:
        for process in eaters.values():
            process.kill()
            process.communicate()
