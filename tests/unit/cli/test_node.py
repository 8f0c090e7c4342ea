"""`oomkeeper node`: what it refuses before it changes anything, and what ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.host_files import make_proc

POLICY = """
apiVersion: oomkeeper.dev/v1alpha1
kind: OOMPolicy
metadata: {name: ten}
spec:
  sysctls: {vm.swappiness: 10}
"""


class Host:
    """A host of files, and `oomkeeper node` on it as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        proc = make_proc(folder)
        (proc / "vmstat").write_text("oom_kill 0\n")
        (proc / "sys/kernel/hostname").write_text("host\n")
        (proc / "sys/kernel/random/boot_id").write_text("boot-1\n")
        (proc / "sys/vm/swappiness").write_text("60\n")
        for name in ("etc", "cgroup", "pstore", "archive"):
            (folder / name).mkdir()
        (folder / "kmsg").write_bytes(b"")
        (folder / "policy.yaml").write_text(POLICY)

    @property
    def swappiness(self) -> int:
        return int((self.folder / "proc/sys/vm/swappiness").read_text())

    def command(self, *arguments: str) -> list[str]:
        paths = {
            "proc": "proc",
            "sys": "sys",
            "cgroup": "cgroup",
            "etc": "etc",
            "kmsg": "kmsg",
            "pstore": "pstore",
            "pstore-archive": "archive",
            "state-dir": "state",
        }
        roots = [f"--{name}={self.folder / path}" for name, path in paths.items()]
        return [sys.executable, "-m", "oomkeeper", "node", *roots, *arguments]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_empty_policy_path_is_an_error_and_changes_nothing(host: Host) -> None:
    done = subprocess.run(
        host.command("--policy", ""), check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "--policy is empty: write the path of a policy file" in done.stderr
    assert not (host.folder / "state").exists()


def test_restore_without_a_state_is_an_error_and_makes_none(host: Host) -> None:
    done = subprocess.run(host.command("--restore"), check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "nothing to restore" in done.stderr
    assert not (host.folder / "state").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_that_ends_it_restores_what_was_changed(host: Host, number: signal.Signals) -> None:
    policy = str(host.folder / "policy.yaml")
    process = subprocess.Popen(
        host.command("--policy", policy, "--restore"), stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while host.swappiness != 10:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert host.swappiness == 60
    assert "restored vm.swappiness = 60" in said
