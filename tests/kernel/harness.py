"""Real kills on this kernel: cgroups of our own, processes that eat in them, and `oomkeeper node`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError
from tests.waiting import eventually

MIB = 1 << 20
EATER = Path(__file__).with_name("eater.py")

Json = dict[str, Any]


def why_not() -> str | None:
    """Why no kill can be made and seen here, or None when it can."""
    if os.geteuid() != 0:
        return "real OOM kills need root: cgroups are made below /sys/fs/cgroup and /dev/kmsg is read"
    hierarchy = CgroupHierarchy.find()
    probe = hierarchy.mount / f"oomkeeper-probe-{uuid.uuid4().hex[:8]}"
    try:
        probe.mkdir()
    except OSError as error:
        return f"no memory cgroup can be made in {hierarchy.mount}: {error.strerror}"
    has_limit = (probe / _limit_file(hierarchy.version)).exists()
    probe.rmdir()
    if not has_limit:
        return (
            f"cgroups in {hierarchy.mount} have no memory limit: the memory controller is not enabled there"
        )
    try:
        KmsgReader().close()
    except KmsgUnreadableError as error:
        return str(error)
    return None


def _limit_file(version: int) -> str:
    return "memory.limit_in_bytes" if version == 1 else "memory.max"


HEADERS_PER_WINDOW = 10
WINDOW_USEC = 5_000_000
"""mm/oom_kill.c: oom_rs prints so many reports in so long, for the whole machine."""


def reports_left(kmsg: KmsgReader, seen_usec: list[int]) -> int:
    """How many more reports the kernel prints at least before it leaves some out. `kmsg` has read from the
    oldest record on, `seen_usec` keeps the reports found so far."""
    seen_usec += [
        record.usec
        for record in kmsg.read_available()
        if record.kernel and record.usec is not None and b"invoked oom-killer" in record.text
    ]
    # printk's clock is the kernel's local_clock(), which follows CLOCK_MONOTONIC to within milliseconds.
    begun = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - WINDOW_USEC - 100_000
    return HEADERS_PER_WINDOW - sum(usec > begun for usec in seen_usec)


def await_reports(count: int) -> None:
    """Wait until the kernel prints `count` more reports in full: what ran before may have used them up."""
    kmsg = KmsgReader(after_seq=-1)
    seen: list[int] = []
    try:
        eventually(lambda: reports_left(kmsg, seen) >= count)
    finally:
        kmsg.close()


def flood_kernel_log() -> None:
    """Overwrite everything that is in the kernel log now."""
    newest = KmsgReader.newest_seq() or 0
    for _ in range(2000):
        if _oldest_seq() > newest:
            return
        for _ in range(20):
            # Each open file may write so many records in 5 s (kernel/printk/printk.c, devkmsg_write()).
            with Path("/dev/kmsg").open("wb", buffering=0) as log:
                for _ in range(10):
                    log.write(b"<14>oomkeeper test: flood " + b"x" * 900 + b"\n")
    raise AssertionError("the kernel log could not be overwritten")


def _oldest_seq() -> int:
    reader = KmsgReader(after_seq=-1)
    try:
        return next((record.seq for record in reader.read_available() if record.seq is not None), 0)
    finally:
        reader.close()


class Cgroup:
    """A memory cgroup of our own."""

    def __init__(self, folder: Path, *, hierarchy: CgroupHierarchy, limit_bytes: int | None = None) -> None:
        self.folder = folder
        self._hierarchy = hierarchy
        folder.mkdir()
        if hierarchy.version == 2:
            # A cgroup2 parent hands the controller down, as long as it has no processes of its own.
            with contextlib.suppress(OSError):
                (folder.parent / "cgroup.subtree_control").write_text("+memory")
        if limit_bytes is not None:
            (folder / _limit_file(hierarchy.version)).write_text(str(limit_bytes))
            if hierarchy.version == 2 and (folder / "memory.swap.max").exists():
                (folder / "memory.swap.max").write_text("0")

    @property
    def path(self) -> str:
        """As the kernel prints it."""
        return "/" + str(self.folder.relative_to(self._hierarchy.mount))

    @property
    def procs(self) -> str:
        return str(self.folder / "cgroup.procs")

    @property
    def oom_kills(self) -> int:
        """The cgroup's own count."""
        return self._hierarchy.oom_kills(self.folder) or 0

    def remove(self) -> None:
        """With whatever processes are left in it."""
        _remove(self.folder)

    def child(self, name: str, *, limit_bytes: int | None = None) -> Cgroup:
        return Cgroup(self.folder / name, hierarchy=self._hierarchy, limit_bytes=limit_bytes)


@contextlib.contextmanager
def cgroups() -> Iterator[Cgroup]:
    """A cgroup without a limit; it and all below it are gone afterwards, with their processes."""
    hierarchy = CgroupHierarchy.find()
    top = Cgroup(hierarchy.mount / f"oomkeeper-test-{uuid.uuid4().hex[:8]}", hierarchy=hierarchy)
    try:
        yield top
    finally:
        for folder in sorted([top.folder, *top.folder.rglob("*/")], key=lambda one: -len(one.parts)):
            if folder.is_dir():
                _remove(folder)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class Eater:
    """One eater.py."""

    def __init__(self, *, name: str = "eater") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(EATER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.pid = self._process.pid
        self.name = name
        self.do("comm", name=name)

    def do(self, verb: str, **arguments: Any) -> Any:
        """Have it done and wait for it. Raises ChildProcessError where it dies of it."""
        self.begin(verb, **arguments)
        return self.result()

    def begin(self, verb: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": verb, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ChildProcessError(f"{self.name} is gone: {self._process.wait()}") from error

    def result(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(f"{self.name} ended with {self._process.wait()}")
        return json.loads(line)

    @property
    def killed(self) -> bool:
        """Dead by SIGKILL. A process that still eats is given the time that it takes on a busy machine."""
        try:
            return self._process.wait(60) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def oomkeeper(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    command = [sys.executable, "-m", "oomkeeper", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def private_mib(pid: int) -> float:
    """Return the private memory of a process. Raises OSError."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


class Node:
    """`oomkeeper node` as a process, with state and /etc of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.etc = folder / "etc"
        self.etc.mkdir()
        self._log = folder / "node.log"
        self._out = folder / "node.out"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str | Path) -> None:
        """Start, and wait until it watches."""
        before = self._log.stat().st_size if self._log.exists() else 0
        command = [sys.executable, "-m", "oomkeeper", "node", "--state-dir", self.state, "--etc", self.etc]
        command += ["--output", "json", "--verbose", *arguments]
        with self._log.open("ab") as log, self._out.open("ab") as out:
            self._process = subprocess.Popen([*map(str, command)], stdout=out, stderr=log)
        eventually(lambda: "watching the kernel log" in self.log_since(before))

    def log_since(self, at: int = 0) -> str:
        text = self._log.read_bytes()[at:].decode()
        assert self._process is None or self._process.poll() is None or "watching" in text, text
        return text

    @property
    def printed(self) -> list[Json]:
        """Kills that it printed."""
        return [json.loads(line) for line in self._out.read_text().splitlines()]

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        assert self._process is not None
        return self._process.pid

    def all_kills(self) -> list[Json]:
        """Stored kills of all processes."""
        document = json.loads(oomkeeper("kills", "--state-dir", self.state, "--output", "json").stdout)
        kills: list[Json] = document["kills"]
        return kills

    def kills(self, *, below: Cgroup) -> list[Json]:
        """Stored kills of processes below a cgroup."""
        return [kill for kill in self.all_kills() if _is_below(kill, below)]

    def status(self) -> Json:
        done = oomkeeper("status", "--state-dir", self.state, "--output", "json")
        assert done.returncode == 0, done.stderr
        document: Json = json.loads(done.stdout)
        return document

    def sysctl(self, key: str) -> Json:
        return next(row for row in self.status()["sysctls"] if row["name"] == key)

    def closed_account(self) -> Json:
        """The account, once nothing in it is open. Others kill on this machine too."""

        def look() -> Json:
            account: Json = self.status()["account"]
            assert account["unattributed"] == 0
            assert account["vmstatOomKill"] == account["recorded"] + account["unattributed"]
            assert account["lostRecords"] == 0
            return account

        return eventually(look)


def _is_below(kill: Json, cgroup: Cgroup) -> bool:
    # A victim without a known path may still have a known limit, and vice versa.
    return any((path or "").startswith(cgroup.path) for path in (kill["taskMemcg"], kill["oomMemcg"]))


def pids(kills: Sequence[Json]) -> list[int]:
    return [victim["pid"] for kill in kills for victim in kill["victims"]]
