"""`oomkeeper explain` without FILE: this host's own kernel log, or a line that says why not."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from oomkeeper.cli.main import main
from oomkeeper.kernel import kmsg

from .running import POD_LOG, oomkeeper


def _readable() -> bool:
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _readable(), reason="/dev/kmsg may not be read here")
def test_host_log_is_read_from_its_oldest_record_with_wall_clock_times() -> None:
    done = oomkeeper("explain", "--output", "json")
    document = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, b"")
    assert document["records"]["lines"] > 0  # none of the kernel's, where programs have overwritten it
    assert all(kill["time"].startswith("20") and kill["time"].endswith("Z") for kill in document["kills"])


@pytest.mark.skipif(not _readable(), reason="/dev/kmsg may not be read here")
def test_missing_dash_for_standard_input_is_reported() -> None:
    done = oomkeeper("explain", "--output", "json", stdin=POD_LOG.read_bytes())

    assert done.returncode == 0
    assert b"use - to explain standard input" in done.stderr


@pytest.fixture
def no_kmsg(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kmsg.KmsgUnreadableError("/dev/kmsg: Operation not permitted: needs root")

    monkeypatch.setattr(kmsg, "KmsgReader", refuse)


def _dmesg(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "dmesg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.usefixtures("no_kmsg")
def test_dmesg_is_used_without_access_to_kmsg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _dmesg(tmp_path, f"cat '{POD_LOG}'", monkeypatch)

    assert main(["explain", "-o", "json"]) == 0
    (kill,) = json.loads(capfdbinary.readouterr().out)["kills"]
    assert kill["cause"] == "PodLimit"


@pytest.mark.usefixtures("no_kmsg")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1",
            "read kernel buffer failed",
        ),
        ("exit 3", "exit 3"),
    ],
)
def test_no_access_to_any_log_is_reported_in_one_line(
    script: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    _dmesg(tmp_path, script, monkeypatch)

    assert main(["explain"]) == 2
    out, complaint = capfdbinary.readouterr()
    assert out == b""
    assert complaint.count(b"\n") == 1
    assert b"/dev/kmsg: Operation not permitted" in complaint
    assert said.encode() in complaint
    assert b"name a log file" in complaint


@pytest.mark.usefixtures("no_kmsg")
def test_missing_dmesg_is_reported(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "dmesg")

    monkeypatch.setattr(subprocess, "run", missing)

    assert main(["explain"]) == 2
    assert b"no dmesg: No such file or directory" in capfdbinary.readouterr().err
