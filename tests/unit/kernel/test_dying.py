"""Whether a process is being killed, told by its stat file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oomkeeper.kernel.dying import is_dying

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def stat(folder: Path, *, state: str = "R", flags: int = 0x400000, pending: int = 0) -> bool:
    (folder / "7").mkdir()
    fields = [state, "1", "1", "1", "0", "-1", str(flags), *["0"] * 21, str(pending), *["0"] * 20]
    (folder / "7" / "stat").write_bytes(b"7 (a) Z 1 (\xff\n) " + " ".join(fields).encode())
    return is_dying(7, proc=folder)


@pytest.mark.parametrize("state", ["R", "S", "D", "T"])
def test_running_process_is_not_dying(tmp_path: Path, state: str) -> None:
    assert not stat(tmp_path, state=state)


def test_pending_sigkill_is_dying(tmp_path: Path) -> None:
    assert stat(tmp_path, pending=1 << (signal.SIGKILL - 1))


def test_another_pending_signal_is_not_dying(tmp_path: Path) -> None:
    assert not stat(tmp_path, pending=1 << (signal.SIGTERM - 1))


def test_exiting_process_is_dying(tmp_path: Path) -> None:
    assert stat(tmp_path, flags=0x400004)


def test_missing_process_is_not_dying(tmp_path: Path) -> None:
    assert not is_dying(7, proc=tmp_path)


def test_killed_process_of_this_kernel_is_dying_until_it_is_reaped() -> None:
    with subprocess.Popen(SLEEP) as process:
        assert not is_dying(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_dying(process.pid)
        process.wait()
        assert not is_dying(process.pid)
