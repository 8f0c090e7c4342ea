"""`oomkeeper node` as a process that is killed at random moments, again and again: its counters are read as
Prometheus reads them."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.testbed.ports import free_ports
from tests.waiting import eventually

from .endpoints import HostOfFiles

ROUNDS = 8
UNIT = "/system.slice/db.service"


def counters(port: int) -> dict[str, float]:
    """Return name -> sum over all series."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_counters_only_grow_and_end_with_every_kill(tmp_path: Path) -> None:
    chance = random.Random(16)
    host, [port] = HostOfFiles(tmp_path), free_ports(1)
    command = [sys.executable, "-m", "oomkeeper", "node", *host.arguments()]
    command += ["--metrics-port", str(port), "--metrics-address", "127.0.0.1"]
    names = ("oomkeeper_oom_kills_total", "oomkeeper_kernel_oom_kills_total")
    served: dict[str, list[float]] = {name: [0] for name in names}

    def read() -> dict[str, float]:
        found = counters(port)
        for name in names:
            served[name].append(found.get(name, 0))
        return found

    for _ in range(ROUNDS):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        host.reader = process.pid
        try:
            # Kills before the loop runs for the first time are before the account.
            eventually(lambda: read()["oomkeeper_kernel_log_readable"] == 1, also=(OSError,))
            for _ in range(chance.randrange(1, 5)):
                host.kill(UNIT, pid=10_000 + host.kills)
                time.sleep(chance.random() * 0.1)
            if chance.random() < 0.5:
                read()
            time.sleep(chance.random() * 0.4)
        finally:
            process.kill()
            process.wait()
        host.reader = None
        host.kill(UNIT, pid=10_000 + host.kills)  # while no agent runs
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for name in names:
            eventually(lambda name=name: read()[name] == host.kills, also=(OSError,))  # type: ignore[misc]
        assert counters(port)["oomkeeper_unattributed_oom_kills_total"] == 0
    finally:
        process.kill()
        process.wait()
    for name in names:
        assert served[name] == sorted(served[name]), name
    assert host.kills > 2 * ROUNDS


def test_address_that_is_not_there_ends_the_command_with_one_line(tmp_path: Path) -> None:
    host, [port] = HostOfFiles(tmp_path), free_ports(1)
    command = [sys.executable, "-m", "oomkeeper", "node", *host.arguments()]
    command += ["--metrics-port", str(port), "--metrics-address", "192.0.2.1"]  # TEST-NET-1: not this machine
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"oomkeeper node: metrics on 192.0.2.1 port {port}: ")
