"""Real logs and a real kill for the tests of kernel.logs."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.model.log import LogRecord
from tests.kernel.harness import await_reports

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus"
MEMCG_V1 = Path("/sys/fs/cgroup/memory")


def records_of(data: bytes, counts: LogCounts | None = None) -> list[LogRecord]:
    """All records of a log given as bytes."""
    return list(read_records(io.BytesIO(data), counts=counts))


def kernel_texts(data: bytes) -> list[bytes]:
    """Texts of its kernel records."""
    return [record.text for record in records_of(data) if record.kernel]


def corpus_logs() -> list[Path]:
    """The public logs, where they lie beside the checkout."""
    return sorted(CORPUS.glob("*.log"))


@pytest.fixture(scope="session")
def real_kill() -> Iterator[str]:
    """Makes the kernel kill a process of ours in a memory cgroup of ours; gives the cgroup's name."""
    if (
        os.geteuid() != 0
        or not MEMCG_V1.joinpath("memory.limit_in_bytes").exists()
        or not os.access("/dev/kmsg", os.R_OK)
    ):
        pytest.skip("needs root, a cgroup v1 memory controller and /dev/kmsg")
    name = f"oomkeeper-logs-{os.getpid()}"
    cgroup = MEMCG_V1 / name
    cgroup.mkdir()
    await_reports(1)
    try:
        cgroup.joinpath("memory.limit_in_bytes").write_text("30M")
        hog = (
            "import os,sys\nopen(sys.argv[1],'w').write(str(os.getpid()))\n"
            "keep=[bytearray(os.urandom(1<<20)) for _ in range(99)]"
        )
        done = subprocess.run(
            [sys.executable, "-c", hog, str(cgroup / "cgroup.procs")], check=False, capture_output=True
        )
        assert done.returncode == -9, "the kernel did not kill the hog"
        yield name
    finally:
        for _ in range(50):  # the dying process may still be charged
            try:
                cgroup.rmdir()
                break
            except OSError:
                time.sleep(0.1)
