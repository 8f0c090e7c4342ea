"""This machine's kernel kills, and every way of reading its log gives the same records."""

import errno
import os
import shutil
import subprocess

import pytest

from oomkeeper.model.log import LogRecord
from tests.unit.kernel_logs.conftest import records_of

pytestmark = pytest.mark.kernel


def _read_kmsg() -> bytes:
    """The whole ring buffer as /dev/kmsg gives it."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    pieces = []
    try:
        while True:
            try:
                pieces.append(os.read(descriptor, 8192))
            except BlockingIOError:
                return b"".join(pieces)
            except OSError as error:
                if error.errno != errno.EPIPE:  # a record was overwritten meanwhile; go on with the next
                    raise
    finally:
        os.close(descriptor)


def _report(log: bytes, cgroup: str) -> list[LogRecord]:
    """The kernel records from the hog's header to its kill line."""
    records = [record for record in records_of(log) if record.kernel]
    named = f"oom_memcg=/{cgroup}".encode()
    (at,) = [
        number
        for number, record in enumerate(records)
        if record.text.startswith(b"oom-kill:") and named in record.text
    ]
    begin = max(n for n in range(at) if b" invoked oom-killer: " in records[n].text)
    return records[begin : at + 2]


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--decode",
        "--ctime",
        "--raw",
        "--notime",
        "--show-delta",
        "--reltime",
        "--color=always",
        "--json",
        "--json --decode",
        "--time-format iso",
        "--time-format iso --decode",
        "--time-format delta",
        "--time-format reltime",
        "--syslog",
        "--syslog --raw",
        "--syslog --decode",
    ],
)
def test_dmesg_with_any_option_agrees_with_kmsg(real_kill: str, options: str) -> None:
    if shutil.which("dmesg") is None:
        pytest.skip("needs util-linux")
    done = subprocess.run(["dmesg", *options.split()], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this dmesg knows no {options}: {done.stderr.decode()[:80]}")
    want = _report(_read_kmsg(), real_kill)
    got = _report(done.stdout, real_kill)
    assert [record.text for record in got] == [record.text for record in want]
    assert {record.level for record in got} <= {None, *(record.level for record in want)}
    if got[0].usec is not None:
        assert [record.usec for record in got] == [record.usec for record in want]


def test_kmsg_records_have_level_sequence_and_uptime(real_kill: str) -> None:
    report = _report(_read_kmsg(), real_kill)
    sequences = [record.seq for record in report]
    assert sequences == sorted(set(sequences), key=lambda seq: seq or 0)
    assert all(record.usec is not None and record.level is not None for record in report)
    assert report[-1].text.startswith(b"Memory cgroup out of memory: Killed process ")
    assert report[-1].level == 3


def test_text_written_to_kmsg_by_process_is_foreign(real_kill: str) -> None:
    mark = f"Out of memory: Killed process 1 ({real_kill}-forged) total-vm:1kB, anon-rss:1kB, file-rss:0kB"
    with open("/dev/kmsg", "wb", buffering=0) as device:
        device.write(b"<3>" + mark.encode() + b"\n")  # without it printk waits for the rest of the line
    (forged,) = [record for record in records_of(_read_kmsg()) if mark.encode() in record.text]
    assert not forged.kernel
    decoded = subprocess.run(["dmesg", "--decode"], capture_output=True, check=True).stdout
    (forged,) = [record for record in records_of(decoded) if mark.encode() in record.text]
    assert not forged.kernel
