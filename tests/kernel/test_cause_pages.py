"""What docs/causes tells people to run, run: on this machine's kernel, in cgroups of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.kmsg import KmsgReader
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Cause
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord
from tests.kernel.harness import await_reports
from tests.unit.docs.pages import CHECKOUT, Page, Try, names

PREFIX = "/oomkeeper-try"
SHOWN = [(name, one) for name in names() for one in Page(name).tries if one.where == "memcg"]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Check that no other test uses the examples' cgroup, and that it is removed afterwards. The kernel
    prints full reports meanwhile."""
    folder = CgroupHierarchy.find().folder(PREFIX)
    if folder.exists():
        pytest.skip(f"{folder} exists already: another process runs the examples")
    await_reports(5)
    yield
    left = folder.exists()
    for inner in sorted([folder, *folder.rglob("*/")], key=lambda one: -len(one.parts)):
        if inner.is_dir():
            inner.rmdir()
    assert not left, "the example left its cgroup behind"


def _records(reader: KmsgReader) -> list[LogRecord]:
    """What was printed until the log is quiet."""
    found: list[LogRecord] = []
    quiet = 0
    while quiet < 3:
        new = [item for item in reader.read_available() if isinstance(item, LogRecord)]
        found += new
        quiet = 0 if new else quiet + 1
        time.sleep(0.1)
    return found


def _causes(shown: Try) -> list[Cause]:
    """Causes of the kills that an example makes."""
    reader = KmsgReader(after_seq=KmsgReader.newest_seq())
    done = subprocess.run(
        ["sh", "-e", "-c", shown.script],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kills = list(parse_records(_records(reader)))
    reader.close()
    ours = [
        kill
        for kill in kills
        if (kill.oom_memcg or "").startswith(PREFIX) or (kill.oom_memcg is None and _is_tail(kill))
    ]
    return [diagnose(kill).cause for kill in ours]


@pytest.mark.parametrize(("name", "shown"), SHOWN, ids=[name for name, _ in SHOWN])
def test_example_of_a_cause_page_reproduces_the_cause(name: str, shown: Try) -> None:
    causes = _causes(shown)
    # On a busy machine a storm's kills may be so slow that the kernel prints all of them: then once more.
    for _ in range(9):
        if name == Cause.UNKNOWN_CGROUP_LIMIT and Cause(name) not in causes:
            causes = _causes(shown)
    assert Cause(name) in causes
    # The storm's first kills come with a report.
    assert set(causes) <= {Cause(name)} | (
        {Cause.CGROUP_LIMIT} if name == Cause.UNKNOWN_CGROUP_LIMIT else set()
    )


def _is_tail(kill: Kill) -> bool:
    return [victim.comm for victim in kill.victims] == ["tail"]


def test_example_of_unknown_cause_page_is_the_command_shown(tmp_path: Path) -> None:
    [shown] = [one for one in Page(Cause.UNKNOWN).tries if one.where == "text"]
    tools = tmp_path / "bin"
    tools.mkdir()
    [log] = Page(Cause.CGROUP_LIMIT).logs
    (tools / "dmesg").write_text(f"#!/bin/sh\ncat <<'END'\n{log}END\n")
    (tools / "oomkeeper").write_text(f'#!/bin/sh\nexec {sys.executable} -m oomkeeper "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    done = subprocess.run(
        ["sh", "-e", "-c", shown.script],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Cause unknown (Unknown), confidence Low" in done.stdout
