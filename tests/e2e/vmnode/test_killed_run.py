"""A virtual node whose holder or supervisor is killed leaves no process and no folder."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.checking import hold, supervisor_of
from tests.testbed.processes import is_running, of_run
from tests.testbed.runs import sweep
from tests.testbed.vmnode import why_not
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

HOLDER = """
import sys, time
from pathlib import Path
from tests.testbed.launch import launched
from tests.testbed.processes import of_run
from tests.testbed.vmnode import prepare_vm
with launched(prepare_vm(say=lambda _: None), level="vmnode", exclusive=False, say=lambda _: None,
              folder=Path(sys.argv[1])) as plan:
    while not of_run(plan.folder, only="qemu-system-x86_64"):
        time.sleep(0.1)
    print(plan.folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def runs() -> Iterator[Path]:
    """A folder for run folders; tmp_path is too long a name for the sockets in them."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        yield Path(folder)


@pytest.fixture
def held(runs: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a virtual node, which is about to boot; its run folder."""
    holder, line = hold(HOLDER, str(runs))
    try:
        yield holder, Path(line)
    finally:
        holder.kill()
        holder.wait()


def emulators(folder: Path) -> set[int]:
    return of_run(folder, only="qemu-system-x86_64")


def test_guest_ends_with_its_holder(held: tuple[subprocess.Popen[str], Path]) -> None:
    holder, folder = held
    assert len(emulators(folder)) == 1
    holder.kill()
    holder.wait()
    eventually(lambda: not folder.exists(), seconds=90)
    assert of_run(folder) == set()


def test_guest_ends_with_its_supervisor(runs: Path, held: tuple[subprocess.Popen[str], Path]) -> None:
    holder, folder = held
    [emulator] = emulators(folder)
    holder.send_signal(signal.SIGSTOP)  # or it would clean up itself
    os.kill(supervisor_of(folder), signal.SIGKILL)
    eventually(lambda: not is_running(emulator))
    eventually(lambda: not of_run(folder))
    sweep(runs, say=lambda _: None)
    assert not folder.exists()
