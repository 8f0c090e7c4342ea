"""Lose the packets of one TCP port on loopback: a peer that is gone, as far as the other side can tell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def packets_lost(*, port: int) -> Iterator[None]:
    """Drop everything from and to a port within the block. Skips the test where that is not possible."""
    if shutil.which("iptables") is None:
        pytest.skip("needs iptables")
    rules = [
        ["INPUT", "-i", "lo", "-p", "tcp", direction, str(port), "-j", "DROP"]
        for direction in ("--dport", "--sport")
    ]
    added: list[list[str]] = []
    try:
        for rule in rules:
            done = subprocess.run(
                ["iptables", "-w", "-I", *rule], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                pytest.skip(f"iptables: {done.stderr.strip()}")
            added.append(rule)
        yield
    finally:
        for rule in added:
            subprocess.run(["iptables", "-w", "-D", *rule], check=True, capture_output=True)
