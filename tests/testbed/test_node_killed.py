"""A node-level testbed whose holder or supervisor is killed: the machine is restored anyway."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import TestbedError, cgroups, native_node
from tests.testbed.checking import await_machine, hold, machine_now, supervisor_of
from tests.testbed.node import why_not
from tests.testbed.processes import is_running, of_run
from tests.testbed.runs import live_runs
from tests.waiting import eventually

pytestmark = [pytest.mark.node, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

HOLDER = """
import sys, time
from pathlib import Path
from tests.testbed import native_node
with native_node(folder=Path(sys.argv[1])) as node:
    run = ["run", "sleeper", "--image=oomkeeper.local/busybox:1", "--restart=Never"]
    node.kubectl(*run, "--", "-c", "sleep 1000 & sleep 1000")
    node.kubectl("wait", "pod/sleeper", "--for=condition=Ready", "--timeout=60s")
    print(node.control_plane.folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def runs() -> Iterator[Path]:
    """A folder for run folders; tmp_path is too long a name for the sockets in them."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        yield Path(folder)


def hold_node(runs: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a node with a running pod; its run folder."""
    holder, line = hold(HOLDER, str(runs))
    return holder, Path(line)


def test_machine_is_restored_after_the_holder_is_killed(runs: Path) -> None:
    found = machine_now()
    holder, folder = hold_node(runs)
    assert machine_now() != found
    assert cgroups.pids()
    holder.kill()
    holder.wait()
    eventually(lambda: not folder.exists(), seconds=90)
    assert of_run(folder) == set()
    await_machine(found)


def test_next_start_restores_what_a_killed_supervisor_left(runs: Path) -> None:
    found = machine_now()
    holder, folder = hold_node(runs)
    holder.send_signal(signal.SIGSTOP)  # or it would clean up itself
    supervisor = supervisor_of(folder)
    os.kill(supervisor, signal.SIGKILL)
    try:
        eventually(lambda: not is_running(supervisor))
        assert cgroups.pids()  # the containers keep running: no process was left to end them
        said: list[str] = []
        with native_node(folder=runs, say=said.append) as node:
            assert f"sweeping {folder.name}, left by a killed run" in said
            assert live_runs(runs) == [node.control_plane.folder]
            assert of_run(folder) == set()
        await_machine(found)
    finally:
        holder.kill()
        holder.wait()


def test_folder_name_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="use a folder with a shorter name"):
        native_node(folder=tmp_path / ("x" * 70)).__enter__()
