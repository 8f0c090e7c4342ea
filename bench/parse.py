"""How fast `oomkeeper explain` is: `python -m bench.parse`. A figure and its yardstick come from the same
run.

report    a text of nothing but OOM reports, parsed and judged: lines a second of CPU, beside OOMAnalyser's
finding   the reports in a large log of other lines: CPU beside `grep -c oom-killer`, and memory
start     CPU of a whole `oomkeeper explain` of one report, the interpreter's own start included
"""

import argparse
import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.kill import Kill
from oomkeeper.reporting.kill_record import kill_record

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "tests" / "unit" / "cli" / "data" / "pod-limit-6.18-cgroup-v1.log"
"""A real report of 114 lines: a cgroup v1 kill in a pod."""
SHARED = ROOT.parent / "shared"
"""What lies beside the checkout and is no part of it: the peer, and a long report from its own tests."""
PEER = SHARED / "peers" / "OOMAnalyser" / "OOMAnalyser.py"
NODE_REPORT = SHARED / "corpus" / "001-oomanalyser-archlinux-6.1.1.log"
REPORTS = 200
ROUNDS = 5
MIB = 1 << 20
NEWLINE = b"\n"


def main() -> int:
    """Print every figure; exit 0 whatever they are: a bench informs, tests judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.parse", description="Speed of oomkeeper explain.")
    parser.add_argument("--mib", type=int, default=256, help="MiB of the log to search (default %(default)s)")
    args = parser.parse_args()
    _reports("a pod's report", REPORT)
    _reports("a node's report", NODE_REPORT)
    with tempfile.TemporaryDirectory() as folder:
        _finding(Path(folder) / "messages", args.mib)
    _start()
    return 0


def _reports(name: str, path: Path) -> None:
    if not path.is_file():
        print(f"{name}: skipped, there is no {path}")
        return
    report = path.read_bytes().rstrip(NEWLINE) + NEWLINE
    text = b"".join(_of_another(report, number) for number in range(REPORTS))
    lines = text.count(NEWLINE)
    reading = _best(lambda: _drain(read_relevant_records(io.BytesIO(text))))
    parsing = _best(lambda: _drain(_kills(text)))
    judging = _best(lambda: [diagnose(kill) for kill in _kills(text)])
    writing = _best(lambda: [kill_record(kill, diagnose(kill)) for kill in _kills(text)])
    print(f"{name}: {lines / parsing:,.0f} lines/s to kills, {lines / judging:,.0f} lines/s to verdicts")
    print(
        f"  {REPORTS} reports of {report.count(NEWLINE)} lines: text to records {reading:.3f} s, "
        f"to kills {parsing - reading:.3f} s, to verdicts {judging - parsing:.3f} s, "
        f"to kill records {writing - judging:.3f} s"
    )
    peer = _peer()
    if peer is None:
        print(f"  OOMAnalyser: skipped, it is not at {PEER}")
        return
    # It takes one report at a time; its verdict is included, and nothing is rendered.
    one = report.decode()
    theirs = report.count(NEWLINE) / _best(lambda: _analyse(peer, one))
    print(
        f"  OOMAnalyser: {theirs:,.0f} lines/s; ours is {lines / parsing / theirs:.1f} times as fast "
        f"to kills, {lines / judging / theirs:.1f} times to verdicts, "
        f"{lines / writing / theirs:.1f} times to kill records"
    )


def _finding(log: Path, mib: int) -> None:
    reports = _write_log(log, mib)
    command = [sys.executable, "-m", "oomkeeper", "explain", str(log), "-o", "json"]
    ours = min((_run(command) for _ in range(3)), key=lambda run: run.cpu)
    took = f"{ours.cpu:.2f} s of CPU, {ours.memory_bytes / MIB:.0f} MiB of memory"
    print(f"finding {reports} reports in {mib:,} MiB: {took}")
    grep = shutil.which("grep")
    if grep is None:
        print("  grep: skipped, it is not installed")
        return
    theirs = min(_run([grep, "-c", "oom-killer", str(log)]).cpu for _ in range(3))
    print(f"  grep -c oom-killer: {theirs:.2f} s of CPU; ours takes {ours.cpu / theirs:.1f} times that")


def _start() -> None:
    command = [sys.executable, "-m", "oomkeeper", "explain", str(REPORT)]
    runs = sorted(_run(command).cpu for _ in range(15))
    bare = min(_run([sys.executable, "-c", "pass"]).cpu for _ in range(15))
    print(
        f"start: {runs[0] * 1000:.0f} ms of CPU for one report (median {runs[len(runs) // 2] * 1000:.0f}), "
        f"{bare * 1000:.0f} ms of it the bare interpreter"
    )


def _of_another(report: bytes, number: int) -> bytes:
    """The report with another pid and another pod, so that nothing can be remembered from the one before."""
    killed = re.search(rb"Killed process (\d+)", report)
    assert killed is not None
    width = len(killed[1])
    report = report.replace(killed[1], b"%d" % (10 ** (width - 1) + number))
    return re.sub(rb"/pod[0-9a-f]{8}-", b"/pod%08x-" % number, report)


def _kills(text: bytes) -> Iterator[Kill]:
    return parse_records(read_relevant_records(io.BytesIO(text)))


def _drain(items: Iterator[object]) -> None:
    for _ in items:
        pass


def _best(work: Callable[[], object]) -> float:
    """CPU seconds of the quickest of some rounds: what else runs on the machine only ever adds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


class Run(NamedTuple):
    """What one process took."""

    cpu: float
    """Seconds, user and system."""
    memory_bytes: int
    """Largest resident set."""


def _run(command: list[str]) -> Run:
    # A file and not /dev/null: with that as output, grep stops at the first match.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}")
    return Run(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _write_log(log: Path, mib: int) -> int:
    """A node's syslog: 1 MiB of ordinary lines again and again, a report every 64 MiB. Gives how many."""
    stamp = b"Nov 23 09:00:00 node-7 "
    report = b"".join(stamp + b"kernel: " + line for line in REPORT.read_bytes().splitlines(keepends=True))
    words = (
        b"systemd[1]: Started Session %d.",
        b"kubelet[812]: I1123 kubelet.go:%d] PLEG",
        b"sshd[%d]: closed",
    )
    lines = (stamp + words[number % 3] % number + NEWLINE for number in range(30_000))
    block = b"".join(lines)[:MIB].rpartition(NEWLINE)[0] + NEWLINE
    reports = 0
    with log.open("wb") as file:
        for number in range(mib):
            file.write(block)
            if number % 64 == 32:
                file.write(report)
                reports += 1
    return reports


def _peer() -> ModuleType | None:
    if not PEER.is_file():
        return None
    spec = importlib.util.spec_from_file_location("OOMAnalyser", PEER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _analyse(peer: ModuleType, report: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        if not peer.OOMAnalyser(peer.OOMEntity(report)).analyse():
            raise SystemExit("OOMAnalyser cannot read the report, so there is nothing to compare")


if __name__ == "__main__":
    sys.exit(main())
