"""Reads of files that others control: never more than a limit, never waiting."""

import ast
import os
import threading
import time
from pathlib import Path

import pytest

from oomkeeper.kernel.bounded_read import Deadline, UnsuitableFileError, read_bytes, read_start, read_text

PACKAGE = Path(__file__).parents[3] / "operator" / "oomkeeper"


def test_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 200_000)
    assert len(read_bytes(file, max_bytes=200_000)) == 200_000
    with pytest.raises(UnsuitableFileError, match="larger than 199999 bytes"):
        read_bytes(file, max_bytes=199_999)


def test_bytes_that_are_no_text_survive_as_surrogates(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"/kubepods/\xff")
    assert read_text(tmp_path / "file").encode(errors="surrogateescape") == b"/kubepods/\xff"


@pytest.mark.parametrize("endless", ["/dev/zero", "/dev/random"])
def test_device_without_an_end_is_refused(endless: str) -> None:
    with pytest.raises(UnsuitableFileError, match="not a regular file"):
        read_bytes(Path(endless))


def test_fifo_without_a_writer_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    started = time.monotonic()
    with pytest.raises(UnsuitableFileError, match="not a regular file"):
        read_bytes(tmp_path / "fifo")
    assert time.monotonic() - started < 1


def test_missing_file_and_folder_are_ordinary_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none")
    with pytest.raises(OSError):
        read_bytes(tmp_path)


def test_files_of_proc_are_regular_and_read_whole() -> None:
    assert b"MemTotal" in read_bytes(Path("/proc/meminfo"))
    assert read_bytes(Path("/proc/self/comm")).endswith(b"\n")


def test_read_that_hangs_is_given_up_and_not_started_twice() -> None:
    release = threading.Event()
    deadline: Deadline[str] = Deadline(seconds=0.05)
    with pytest.raises(TimeoutError, match="no answer within"):
        deadline.run(lambda: str(release.wait()))
    started: list[int] = []
    with pytest.raises(TimeoutError, match="still hangs"):
        deadline.run(lambda: str(started.append(1)))
    assert not started
    release.set()
    for thread in threading.enumerate():
        if thread.name == "bounded-read":
            thread.join(5)
    assert deadline.run(lambda: "back") == "back"


def test_error_of_a_read_in_time_is_the_callers() -> None:
    deadline: Deadline[bytes] = Deadline(seconds=5)
    with pytest.raises(FileNotFoundError):
        deadline.run(lambda: read_bytes(Path("/nonexistent")))


def test_start_of_a_larger_file_is_read_where_that_is_enough(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert read_start(tmp_path / "file", max_bytes=10) == b"x" * 10
    assert read_start(tmp_path / "file", max_bytes=1000) == b"x" * 100
    with pytest.raises(UnsuitableFileError):
        read_start(Path("/dev/zero"), max_bytes=10)


READING_MODES = ("r", "rb", "rt")
MAY_OPEN = frozenset({"kernel/logs/open_log.py"})
"""Reads a log that a person names, which may be a pipe."""


def _unbounded_reads(source: str) -> list[str]:
    """Return the calls that may read a whole file: .read_text() and .read_bytes() of a path, and open()."""
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and _reads_a_file(node)
    ]


def _reads_a_file(call: ast.Call) -> bool:
    modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    if isinstance(call.func, ast.Attribute):
        name = call.func.attr
        return name in ("read_text", "read_bytes") or (
            name == "open" and modes[:1] in ([m] for m in READING_MODES)
        )
    return isinstance(call.func, ast.Name) and call.func.id == "open"


def test_unbounded_read_is_recognized() -> None:
    assert _unbounded_reads("x = (proc / 'comm').read_text(errors='replace')") != []
    assert _unbounded_reads("x = (proc / 'comm').open('rb')") != []
    assert _unbounded_reads("x = open(name)") != []
    assert _unbounded_reads("x = read_text(proc / 'comm')") == []
    assert _unbounded_reads("x = Store.open(folder)") == []


def test_agent_and_kernel_packages_read_files_only_within_bounds() -> None:
    found = {
        str(path.relative_to(PACKAGE)): reads
        for folder in ("agent", "kernel")
        for path in sorted((PACKAGE / folder).rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in MAY_OPEN and (reads := _unbounded_reads(path.read_text()))
    }
    assert found == {}
