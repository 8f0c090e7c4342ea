"""Plain and compressed logs open by name; an unreadable log is reported with the reason."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oomkeeper.kernel.logs.open_log import LogUnreadableError, open_log
from oomkeeper.kernel.logs.reader import read_records
from tests.unit.kernel_logs.formats import dmesg
from tests.unit.kernel_logs.report import REPORT

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LOG = b"".join(map(dmesg, REPORT))
TEXTS = [said.text for said in REPORT]
PACKERS = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstd.compress,
    "log": bytes,
}


def _texts(name: str) -> list[bytes]:
    with open_log(name) as stream:
        return [record.text for record in read_records(stream)]


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("suffix", ["right", "none"])
def test_compressed_log_is_recognised_by_content(tmp_path: Path, packing: str, suffix: str) -> None:
    packed = PACKERS[packing](LOG)
    path = tmp_path / ("messages." + packing if suffix == "right" else "messages")
    path.write_bytes(packed)
    assert _texts(str(path)) == TEXTS


@pytest.mark.parametrize("packing", PACKERS)
def test_compressed_standard_input_is_read(packing: str) -> None:
    packed = PACKERS[packing](LOG)
    program = (
        "from oomkeeper.kernel.logs.open_log import open_log\n"
        "from oomkeeper.kernel.logs.reader import read_records\n"
        "print(sum(1 for _ in read_records(open_log('-'))))"
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


def test_named_pipe_is_read_without_seeking(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(gzip.compress(LOG),))
    writer.start()
    assert _texts(str(fifo)) == TEXTS
    writer.join()


def test_missing_file_is_named() -> None:
    with pytest.raises(LogUnreadableError, match=r"/nowhere/messages: No such file"):
        open_log("/nowhere/messages")


def test_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadableError, match="Is a directory"):
        _texts(str(tmp_path))


@pytest.mark.parametrize("packing", ["gz", "xz", "bz2", "zst"])
def test_damaged_file_yields_beginning_then_error(tmp_path: Path, packing: str) -> None:
    data = os.urandom(1 << 16) + LOG
    packed = PACKERS[packing](data)
    path = tmp_path / "broken"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LogUnreadableError, match="broken: cannot be read further"):
        _texts(str(path))


def test_empty_log_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert _texts(str(path)) == []


def test_any_binary_file_object_is_read() -> None:
    class Reader:
        def __init__(self) -> None:
            self._inner = io.BytesIO(LOG)

        def read(self, size: int = -1, /) -> bytes:
            return self._inner.read(min(size, 7))

    assert [record.text for record in read_records(Reader())] == TEXTS
