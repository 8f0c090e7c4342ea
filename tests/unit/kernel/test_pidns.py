"""Pids of the kernel log mean something in /proc only in the initial pid namespace."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oomkeeper.kernel.pidns import INITIAL_INODE, sees_kernel_pids

SAY = "from oomkeeper.kernel.pidns import sees_kernel_pids; print(sees_kernel_pids())"


def test_the_answer_is_that_of_the_namespace_file() -> None:
    there = Path("/proc/self/ns/pid").stat().st_ino
    assert sees_kernel_pids() is (there == INITIAL_INODE)


def test_a_process_in_a_pid_namespace_of_its_own_does_not_see_them() -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs util-linux")
    done = subprocess.run(
        [unshare, "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", sys.executable, "-c", SAY],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no pid namespace can be made here: {done.stderr.strip()[:100]}")
    assert done.stdout == "False\n"


def test_without_a_proc_to_ask_pids_are_taken_as_they_are(tmp_path: Path) -> None:
    assert sees_kernel_pids(tmp_path)
