"""Lines of OOM killers in user space, as each writes them, and lines that only look so."""

from __future__ import annotations

import pytest

from oomkeeper.kernel.user_space_kills import EARLYOOM, OOMD, SYSTEMD_OOMD, TALOS, reported_kill
from oomkeeper.model.log import LogRecord

POD = "/kubepods/burstable/pod77f06c5c-4593-43e9-b970-987f6ecb825b"
LINES = {
    f'[talos] Sending SIGKILL to cgroup {{"component": "controller-runtime", "controller": '
    f'"runtime.OOMController", "cgroup": "/sys/fs/cgroup{POD}"}}': (TALOS, POD, None),
    "systemd-oomd[709]: Killed /system.slice/docker-8.scope due to memory used (60776927232) / total "
    "(66940563456) and swap used (61069553664) / total (67830013952) being more than 90.00%": (
        SYSTEMD_OOMD,
        "/system.slice/docker-8.scope",
        None,
    ),
    f"systemd-oomd[1]: Killed {POD}/c due to memory pressure for {POD} being 64.18% > 50.00% for > 20s with "
    "reclaim activity": (SYSTEMD_OOMD, f"{POD}/c", None),
    f"systemd-oomd[1332]: Marked {POD} for killing due to memory pressure for / being 64.18% > 50.00% for > "
    "20s with reclaim activity": (SYSTEMD_OOMD, POD, None),
    'earlyoom[41]: sending SIGKILL to process 4711 uid 0 "tail": badness 1300, VmRSS 56 MiB': (
        EARLYOOM,
        None,
        4711,
    ),
    "oomd kill: 68.25 46.17 11.96 workload.slice/a.service 42467 ruleset:[user] detectorgroup:[x] "
    "killer:kill_by_memory_size_or_growth v2": (OOMD, "/workload.slice/a.service", None),
}


def record(text: str | bytes, *, kernel: bool = False) -> LogRecord:
    return LogRecord(text.encode() if isinstance(text, str) else text, usec=1, kernel=kernel)


@pytest.mark.parametrize("line", LINES)
def test_line_is_read(line: str) -> None:
    assert reported_kill(record(line)) == LINES[line]
    assert reported_kill(record(line, kernel=True)) is None


@pytest.mark.parametrize(
    "line",
    [
        "[talos] OOM controller triggered {}",
        '[talos] victim processes: {"processes": [56372], "cgroup": "/x"}',
        "systemd-oomd[709]: Considered 41 cgroups for killing, top candidates were:",
        "earlyoom: mem avail: 1 of 2 MiB, sending SIGTERM to process 4711 uid 0",
        'earlyoom[41]: sending SIGTERM to process 4711 uid 0 "tail": badness 1300, VmRSS 56 MiB',
        "oomd kill: 1.0 1.0 1.0 a.service 4 ruleset:[u] detectorgroup:[x] killer:(dry)kill_by_pressure v2",
        "say systemd-oomd[709]: Killed /x due to memory used (1)",
        "Memory cgroup out of memory: Killed process 4711 (tail)",
        "earlyoom: sending SIGKILL to process 99999999999999999999999",
    ],
)
def test_other_line_is_no_claim(line: str) -> None:
    assert reported_kill(record(line)) is None


def test_bytes_that_are_no_text_are_taken() -> None:
    found = reported_kill(record(b"systemd-oomd: Killed /a\xff\x1b[2J due to memory used"))
    assert found is not None
    assert found.cgroup == "/a\\xff\x1b[2J"


def test_long_line_is_read_quickly() -> None:
    assert reported_kill(record(b"[talos] Sending SIGKILL to cgroup {" + b'"cgroup" ' * 100_000)) is None
