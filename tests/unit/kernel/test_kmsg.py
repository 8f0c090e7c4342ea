"""/dev/kmsg: one record a read, with what was lost counted."""

import errno
import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.kernel import kmsg
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError, parse_kmsg


def test_a_record_with_caller_escapes_and_dictionary() -> None:
    raw = b"6,1234,98765432,-,caller=T7;a \\x1b[31m \\xff name\n SUBSYSTEM=acpi\n DEVICE=x\n"
    record = parse_kmsg(raw)
    assert record is not None
    assert record.text == b"a \x1b[31m \xff name"
    assert (record.seq, record.usec, record.caller, record.level) == (1234, 98765432, b"T7", 6)
    assert record.kernel


@pytest.mark.parametrize(
    ("prefix", "kernel"), [(b"3", True), (b"7", True), (b"11", False), (b"13", False), (b"1027", False)]
)
def test_only_facility_0_is_the_kernels(prefix: bytes, kernel: bool) -> None:
    record = parse_kmsg(prefix + b",1,2,-;Out of memory: Killed process 1 (init)")
    assert record is not None
    assert record.kernel is kernel


@pytest.mark.parametrize("raw", [b"", b"text", b"a,b,c,-;text", b"6,1;text", b"6;text", b",,,;"])
def test_what_is_no_record_is_none(raw: bytes) -> None:
    assert parse_kmsg(raw) is None


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    parse_kmsg(raw)


class Device:
    """A kernel log whose reads answer as told: bytes, or the error number that read() fails with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.answers: list[bytes | int] = []
        self.path = folder / "kmsg"
        self.path.touch()
        monkeypatch.setattr(kmsg, "os", self)

    def __getattr__(self, name: str):
        return getattr(os, name)

    def read(self, _fd: int, _size: int) -> bytes:
        answer = self.answers.pop(0) if self.answers else errno.EAGAIN
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    def records(self, *seqs: int) -> list[bytes | int]:
        return [b"6,%d,%d,-;record %d\n" % (seq, seq, seq) for seq in seqs]


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Device:
    return Device(monkeypatch, tmp_path)


def seqs(reader: KmsgReader) -> list[int | None]:
    return [record.seq for record in reader.read_available()]


def test_records_overwritten_before_they_were_read_are_counted(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=10)
    device.answers = [
        *device.records(11, 12),
        errno.EPIPE,
        *device.records(20),
        errno.EPIPE,
        *device.records(25),
    ]
    assert seqs(reader) == [11, 12, 20, 25]
    assert reader.lost == 7 + 4


def test_the_count_is_there_with_the_record_that_follows_the_gap(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=10)
    device.answers = [*device.records(11), errno.EPIPE, *device.records(15)]
    assert [(record.seq, reader.lost) for record in reader.read_available()] == [(11, 0), (15, 3)]


def test_what_was_read_before_is_not_given_again(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=10)
    device.answers = device.records(8, 9, 10, 11)
    assert (seqs(reader), reader.lost) == ([11], 0)


def test_a_log_read_from_whatever_it_holds_has_lost_nothing(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=-1)
    device.answers = [errno.EPIPE, *device.records(500, 501, 503)]
    assert (seqs(reader), reader.lost) == ([500, 501, 503], 1)


def test_a_record_too_long_for_its_buffer_and_one_of_rubbish_stop_nothing(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [errno.EINVAL, b"rubbish", *device.records(3)]
    assert (seqs(reader), reader.lost) == ([3], 1)


OOM_KILL = b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null)"
REST = b",cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0"


def test_a_piece_that_another_cpu_cut_off_is_put_to_its_line(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [
        b"6,2,20,-,caller=T7;" + OOM_KILL + b"\n",
        b"6,3,21,-,caller=T9;eth0: link\n",
        b"12,4,21,c,caller=T7;,forged\n",
        b"6,5,21,c,caller=T9;,of another\n",
        b"6,6,22,c,caller=T7;" + REST + b"\n",
        b"3,7,23,-,caller=T7;Killed process 7 (x)\n",
    ]
    records = list(reader.read_available())
    assert [record.seq for record in records] == [2, 3, 4, 5, 7]
    assert records[0].text == OOM_KILL + REST
    assert reader.lost == 0


def test_a_line_whose_end_never_comes_is_given_all_the_same(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [b"6,2,20,-;" + OOM_KILL + b"\n"]
    assert seqs(reader) == [2]
    device.answers = [b"6,3,20,-;" + OOM_KILL + b"\n", *device.records(*range(4, 12))]
    assert seqs(reader) == list(range(3, 12))


def test_a_reader_that_stops_in_between_loses_nothing_that_was_held(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [b"6,2,20,-;" + OOM_KILL + b"\n", *device.records(3, 4, 5)]
    taken = [next(reader.read_available()).seq for _ in range(4)]
    assert taken == [2, 3, 4, 5]


def test_another_failure_is_not_hidden(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [errno.EIO]
    with pytest.raises(OSError, match="Input/output"):
        seqs(reader)


def test_a_log_that_cannot_be_opened_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KmsgUnreadableError, match="No such file"):
        KmsgReader(path=tmp_path / "kmsg")
    assert "CAP_SYSLOG" in kmsg._why_unreadable("/dev/kmsg", PermissionError(errno.EPERM, "no"))


def readable_and_writable() -> bool:
    return os.access("/dev/kmsg", os.R_OK | os.W_OK)


@pytest.mark.skipif(not readable_and_writable(), reason="/dev/kmsg needs root")
def test_the_real_device_gives_a_line_of_ours_back_as_no_evidence() -> None:
    reader = KmsgReader()
    newest = KmsgReader.newest_seq()
    mark = f"oomkeeper test {uuid.uuid4()} \x1b"
    with open("/dev/kmsg", "w") as log:
        log.write(f"<3>{mark}\n")
    [ours] = [record for record in reader.read_available() if record.text == mark.encode()]
    reader.close()
    assert not ours.kernel
    assert newest is not None
    assert ours.seq is not None
    assert ours.seq > newest
    again = KmsgReader(after_seq=ours.seq - 1)
    assert next(again.read_available()).seq == ours.seq
    assert again.lost == 0
    again.close()
