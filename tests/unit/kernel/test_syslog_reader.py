"""syslog(2): each reading has the whole log, and the reader yields what is new."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.kernel import kmsg, live_log, syslog_reader
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError
from oomkeeper.kernel.live_log import SYSLOG_SEQS, open_live_log
from oomkeeper.kernel.syslog_reader import SyslogReader

KILL = b"Memory cgroup out of memory: Killed process 7 (app) total-vm:1kB, anon-rss:1kB"


class Kernel:
    """A log of limited size, and the kernel's count of kills."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: list[bytes] = []
        self._usec = 0
        self.now = 1000.0
        self.killed(0)

    def killed(self, count: int) -> None:
        (self._folder / "vmstat").write_text(f"oom_kill {count}\n")

    def prints(self, *texts: bytes, priority: int = 3, after_usec: int = 10) -> None:
        for text in texts:
            self._usec += after_usec
            stamp = b"[%5d.%06d]" % divmod(self._usec, 1_000_000)
            self._lines += [b"<%d>%s %s\n" % (priority, stamp, line) for line in text.split(b"\n")]

    def overwrites(self, lines: int) -> None:
        del self._lines[:lines]

    def log(self) -> bytes:
        return b"".join(self._lines)

    def reader(self, after_seq: int | None = -1) -> SyslogReader:
        return SyslogReader(after_seq=after_seq, proc=self._folder, read_all=self.log, clock=lambda: self.now)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.fixture
def reader(kernel: Kernel) -> Iterator[SyslogReader]:
    made = kernel.reader()
    yield made
    made.close()


def texts(reader: SyslogReader) -> list[bytes]:
    return [record.text for record in reader.read_available()]


def test_records_are_yielded_once(kernel: Kernel, reader: SyslogReader) -> None:
    kernel.prints(b"one", b"two")
    assert texts(reader) == [b"one", b"two"]
    kernel.now += 10
    kernel.prints(b"three")
    assert texts(reader) == [b"three"]
    kernel.now += 10
    assert (texts(reader), reader.lost) == ([], 0)


def test_log_is_read_soon_after_a_kill_and_seldom_without(kernel: Kernel, reader: SyslogReader) -> None:
    assert texts(reader) == []
    kernel.now += 2
    kernel.prints(b"no kill")
    assert texts(reader) == []
    kernel.killed(1)
    assert texts(reader) == [b"no kill"]
    kernel.prints(KILL)
    kernel.now += 0.2
    assert texts(reader) == [KILL]


def test_next_reader_continues_after_the_last_record(kernel: Kernel, reader: SyslogReader) -> None:
    kernel.prints(b"one", b"two", b"three", after_usec=0)
    seqs = [record.seq for record in reader.read_available()]
    second = kernel.reader(after_seq=seqs[1])
    assert [(record.text, record.seq) for record in second.read_available()] == [(b"three", seqs[2])]
    assert second.lost == 0
    second.close()


def test_overwritten_records_are_noticed(kernel: Kernel, reader: SyslogReader) -> None:
    kernel.prints(b"one", b"two")
    last = list(reader.read_available())[-1].seq
    kernel.prints(b"three", b"four")
    kernel.overwrites(3)
    for other in (reader, kernel.reader(after_seq=last)):
        kernel.now += 10
        assert (texts(other), other.lost) == ([b"four"], 1)


def test_what_a_caller_leaves_is_yielded_by_the_next_call(kernel: Kernel, reader: SyslogReader) -> None:
    kernel.prints(*(b"%d" % number for number in range(5)))
    assert [record.text for record in islice(reader.read_available(), 2)] == [b"0", b"1"]
    assert texts(reader) == [b"2", b"3", b"4"]


def test_times_that_go_back_lose_no_record(kernel: Kernel, reader: SyslogReader) -> None:
    kernel.prints(b"one", b"two")
    kernel.prints(b"earlier", after_usec=-5)
    records = list(reader.read_available())
    assert [record.text for record in records] == [b"one", b"two", b"earlier"]
    seqs = [record.seq or 0 for record in records]
    assert seqs == sorted(set(seqs))


def test_lines_of_a_process_are_foreign_whatever_they_contain(kernel: Kernel, reader: SyslogReader) -> None:
    forged = b"x\n<3>[    1.000000] " + KILL + b"\r<3>[    1.000000] " + KILL
    kernel.prints(forged, priority=11)
    assert [record.kernel for record in reader.read_available()] == [False, False]


@pytest.mark.parametrize(
    "text",
    [
        b"Memory cgroup out of memory: Killed process 7 (a\n<3>[ 1.0]b) total-vm:1kB, anon-rss:1kB",
        b"oom-kill:constraint=CONSTRAINT_MEMCG,task=a\nb,pid=7,uid=0",
    ],
)
def test_newline_in_a_process_name_does_not_divide_a_record(
    kernel: Kernel, reader: SyslogReader, text: bytes
) -> None:
    kernel.prints(text, b"next")
    assert texts(reader) == [text, b"next"]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_read_without_error(lines: list[bytes]) -> None:
    list(syslog_reader._records(b"\n".join(lines)))


def test_log_without_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KmsgUnreadableError, match=r"printk\.time=1"):
        SyslogReader(after_seq=-1, proc=tmp_path, read_all=lambda: b"<6>no time\n")


def test_denied_system_call_says_which_capability_is_missing(tmp_path: Path) -> None:
    def denied() -> bytes:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with pytest.raises(KmsgUnreadableError, match="CAP_SYSLOG"):
        SyslogReader(after_seq=-1, proc=tmp_path, read_all=denied)


@pytest.mark.parametrize("seq", [None, 12, 0])
def test_position_of_the_other_reader_means_from_now_on(kernel: Kernel, seq: int | None) -> None:
    kernel.prints(b"before")
    reader = kernel.reader(after_seq=seq)
    kernel.prints(b"after")
    assert texts(reader) == [b"after"]
    reader.close()


def test_device_is_read_where_it_can_be_opened(tmp_path: Path) -> None:
    device = tmp_path / "kmsg"
    device.touch()
    reader = open_live_log(path=device, after_seq=SYSLOG_SEQS + 5)
    assert isinstance(reader, KmsgReader)
    reader.close()


def test_missing_file_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KmsgUnreadableError, match="nowhere"):
        open_live_log(path=tmp_path / "nowhere", after_seq=None)


def test_system_call_is_used_where_the_device_is_denied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernel: Kernel
) -> None:
    monkeypatch.setattr(live_log, "DEVICE", tmp_path / "kmsg")
    monkeypatch.setattr(syslog_reader, "_kernel_log", kernel.log)
    kernel.prints(b"one")
    reader = open_live_log(path=tmp_path / "kmsg", after_seq=-1, proc=tmp_path)
    assert isinstance(reader, SyslogReader)
    assert [record.text for record in reader.read_available()] == [b"one"]
    reader.close()
    assert kmsg.KmsgReader.numbered
