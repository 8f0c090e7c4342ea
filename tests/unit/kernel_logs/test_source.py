"""A log opens by name whatever packed it, and what cannot be read says why."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oomkeeper.kernel.logs import LogUnreadableError, open_log, read_records
from tests.unit.kernel_logs.formats import dmesg
from tests.unit.kernel_logs.report import REPORT

LOG = b"".join(map(dmesg, REPORT))
TEXTS = [said.text for said in REPORT]
PACKERS = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "log": bytes}


def _texts(name: str) -> list[bytes]:
    with open_log(name) as stream:
        return [record.text for record in read_records(stream)]


def _zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("needs the program zstd to pack with")
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("packing", [*PACKERS, "zst"])
@pytest.mark.parametrize("suffix", ["right", "none"])
def test_a_packed_log_is_read_by_its_content(tmp_path: Path, packing: str, suffix: str) -> None:
    packed = _zstd(LOG) if packing == "zst" else PACKERS[packing](LOG)
    path = tmp_path / ("messages." + packing if suffix == "right" else "messages")
    path.write_bytes(packed)
    assert _texts(str(path)) == TEXTS


@pytest.mark.parametrize("packing", [*PACKERS, "zst"])
def test_standard_input_may_be_packed(packing: str) -> None:
    packed = _zstd(LOG) if packing == "zst" else PACKERS[packing](LOG)
    program = (
        "import sys\nfrom oomkeeper.kernel.logs import *\nprint(sum(1 for _ in read_records(open_log('-'))))"
    )
    root = Path(__file__).resolve().parents[3] / "operator"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=packed,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert int(done.stdout) == len(REPORT)


def test_a_pipe_by_name_is_read_without_seeking(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(gzip.compress(LOG),))
    writer.start()
    assert _texts(str(fifo)) == TEXTS
    writer.join()


def test_a_missing_file_is_named() -> None:
    with pytest.raises(LogUnreadableError, match=r"/nowhere/messages: No such file"):
        open_log("/nowhere/messages")


def test_a_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadableError, match="Is a directory"):
        _texts(str(tmp_path))


@pytest.mark.parametrize("packing", ["gz", "xz", "bz2", "zst"])
def test_a_damaged_file_gives_its_beginning_and_then_says_so(tmp_path: Path, packing: str) -> None:
    data = os.urandom(1 << 16) + LOG
    packed = _zstd(data) if packing == "zst" else PACKERS[packing](data)
    path = tmp_path / "broken"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LogUnreadableError, match="broken: cannot be read further"):
        _texts(str(path))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the standard library has zstd")
def test_zstd_without_a_program_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "messages.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd rest")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LogUnreadableError, match="install the package zstd"):
        open_log(str(path))


def test_an_empty_log_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert _texts(str(path)) == []


def test_any_binary_file_object_will_do() -> None:
    class Reader:
        def __init__(self) -> None:
            self._inner = io.BytesIO(LOG)

        def read(self, size: int = -1, /) -> bytes:
            return self._inner.read(min(size, 7))

    assert [record.text for record in read_records(Reader())] == TEXTS
