"""An agent on a host of files, and a real Prometheus that scrapes it and a controller."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.host_files import make_proc
from tests.testbed.prometheus import Prometheus
from tests.waiting import eventually

from .test_rules import RULES

LOOPBACK = "127.0.0.1"
RECORD_BYTES = 8192
"""The agent reads the kernel log record by record; of a file, by as many bytes."""


def own_address() -> str:
    """Return an address of this machine that an API server proxies to; loopback where it has no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.254", 9))  # sends nothing
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])


class HostOfFiles:
    """What an agent reads of a host, with a kernel log that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        proc = make_proc(folder)
        (proc / "sys/kernel/random/boot_id").write_text("boot-1\n")
        (proc / "sys/kernel/hostname").write_text("node-a\n")
        self.swappiness = proc / "sys/vm/swappiness"
        self.swappiness.write_text("60\n")
        for name in ("etc", "pstore", "archive", "tracefs", "sys", "cgroup/memory"):
            (folder / name).mkdir(parents=True)
        (folder / "cgroup/memory/memory.usage_in_bytes").write_text("0")
        (folder / "kmsg").write_bytes(b"")
        self.reader: int | None = None
        """Pid of the agent that runs. It is stopped while a record is written: of a file, unlike of the
        kernel's log, a reader may get a half."""
        self._seq = 0
        self.kills = 0
        self.count()

    def arguments(self) -> list[str]:
        places = {"pstore-archive": "archive", "state-dir": "state"}
        names = ("proc", "sys", "cgroup", "etc", "kmsg", "tracefs", "pstore", "pstore-archive", "state-dir")
        return [f"--{name}={self.folder / places.get(name, name)}" for name in names]

    def count(self) -> None:
        new = self.folder / "proc/vmstat.new"
        new.write_text(f"oom_kill {self.kills}\n")
        new.rename(self.folder / "proc/vmstat")

    def kill(self, cgroup: str, *, pid: int) -> None:
        """Have the kernel kill a process of a cgroup at its limit."""
        with stopped(self.reader):
            self._kill(cgroup, pid=pid)

    def _kill(self, cgroup: str, *, pid: int) -> None:
        for line in (
            "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
            "memory: usage 49152kB, limit 49152kB, failcnt 20",
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
            f"oom_memcg={cgroup},task_memcg={cgroup},task=tail,pid={pid},uid=0",
            f"Memory cgroup out of memory: Killed process {pid} (tail) total-vm:60000kB, anon-rss:48000kB, "
            "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:140kB oom_score_adj:0",
        ):
            self._print(line)
        self.kills += 1
        self.count()

    def _print(self, text: str) -> None:
        self._seq += 1
        record = f"6,{self._seq},{time.monotonic_ns() // 1000},-;{text}\n P=".encode()
        with (self.folder / "kmsg").open("ab") as log:
            log.write(record + b"x" * (RECORD_BYTES - len(record) - 1) + b"\n")


@contextmanager
def stopped(pid: int | None) -> Iterator[None]:
    """Stop a process within the block; None, or one that has ended: nothing is done."""
    if pid is None or not _signal(pid, signal.SIGSTOP):
        yield
        return
    try:
        eventually(lambda: _is_stopped(pid))
        yield
    finally:
        _signal(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    """Return whether no thread of the process runs."""
    states = [
        path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    return all(state in "TZX" for state in states)


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


class Scraper:
    """A Prometheus with the chart's rules. Where they look back 10 minutes, it looks back 5 seconds."""

    def __init__(
        self, programs: Prometheus, folder: Path, *, address: str, port: int, agent: int, controller: int
    ) -> None:
        self.address, self.port = address, port
        self.url = f"http://{address}:{port}"
        rules = RULES.read_text().replace("offset 10m", "offset 5s")
        (folder / "rules.yaml").write_text(rules)
        jobs = {"oomkeeper-agent": (agent, "node-a"), "oomkeeper-controller": (controller, "controller")}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {
                    "job_name": job,
                    "honor_labels": True,
                    "static_configs": [{"targets": [f"{address}:{target}"], "labels": {"instance": name}}],
                }
                for job, (target, name) in jobs.items()
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        command = [programs.server, f"--config.file={folder / 'prometheus.yaml'}"]
        command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}:{port}"]
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, cwd=folder)
        eventually(lambda: self.get("/-/ready", parse=False), also=(OSError,))

    def get(self, path: str, *, parse: bool = True, **query: str) -> Any:
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read()
        return json.loads(text)["data"] if parse else text

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Raises urllib.error.HTTPError for an expression that is not valid."""
        return self.get("/api/v1/query", query=expression)["result"]  # type: ignore[no-any-return]

    def value(self, expression: str) -> float:
        """Raises ValueError unless there is one result."""
        [found] = self.query(expression)
        return float(found["value"][1])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
