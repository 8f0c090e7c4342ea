"""The demo's first part on a machine where other processes are OOM-killed at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.harness import MIB, Cgroup, Eater

CHECKOUT = Path(__file__).parents[2]

pytestmark = pytest.mark.kernel


def test_demo_repeats_a_kill_whose_report_the_kernel_left_out(
    top: Cgroup, eater: Callable[..., Eater]
) -> None:
    """Other kills use up the kernel's ten reports in 5 s until the demo has seen that once."""
    other = top.child("other", limit_bytes=4 * MIB)
    maker = eater("maker")
    stop = threading.Event()
    output: list[str] = []

    def storm() -> None:
        while not stop.is_set():
            maker.do("storm", procs=[other.procs], count=15, bytes=8 * MIB)

    demo = subprocess.Popen(
        [sys.executable, "-m", "demo", "--only", "host"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    storming = threading.Thread(target=storm)
    storming.start()
    try:
        assert demo.stdout is not None
        for line in demo.stdout:
            output.append(line)
            if "Once more" in line or "printed no report" in line:
                stop.set()
    finally:
        stop.set()
        storming.join(60)
        code = demo.wait(60)
    text = "".join(output)
    assert code == 0, text
    assert "The kernel printed no report of this kill" in text
    assert "the cause is CgroupLimit" in text
