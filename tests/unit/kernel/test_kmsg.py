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


def test_record_with_caller_escapes_and_dictionary_is_parsed() -> None:
    raw = b"6,1234,98765432,-,caller=T7;a \\x1b[31m \\xff name\n SUBSYSTEM=acpi\n DEVICE=x\n"
    record = parse_kmsg(raw)
    assert record is not None
    assert record.text == b"a \x1b[31m \xff name"
    assert (record.seq, record.usec, record.caller, record.level) == (1234, 98765432, b"T7", 6)
    assert record.kernel


@pytest.mark.parametrize(
    ("prefix", "kernel"), [(b"3", True), (b"7", True), (b"11", False), (b"13", False), (b"1027", False)]
)
def test_only_facility_0_is_kernel(prefix: bytes, kernel: bool) -> None:
    record = parse_kmsg(prefix + b",1,2,-;Out of memory: Killed process 1 (init)")
    assert record is not None
    assert record.kernel is kernel


@pytest.mark.parametrize("raw", [b"", b"text", b"a,b,c,-;text", b"6,1;text", b"6;text", b",,,;"])
def test_malformed_record_is_none(raw: bytes) -> None:
    assert parse_kmsg(raw) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_without_error(raw: bytes) -> None:
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


def test_overwritten_records_are_counted_as_lost(device: Device) -> None:
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


def test_lost_count_is_updated_before_next_record(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=10)
    device.answers = [*device.records(11), errno.EPIPE, *device.records(15)]
    assert [(record.seq, reader.lost) for record in reader.read_available()] == [(11, 0), (15, 3)]


def test_records_already_processed_are_not_yielded(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=10)
    device.answers = device.records(8, 9, 10, 11)
    assert (seqs(reader), reader.lost) == ([11], 0)


def test_reading_from_oldest_record_counts_no_loss(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=-1)
    device.answers = [errno.EPIPE, *device.records(500, 501, 503)]
    assert (seqs(reader), reader.lost) == ([500, 501, 503], 1)


def test_overlong_and_malformed_records_are_skipped(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [errno.EINVAL, b"rubbish", *device.records(3)]
    assert (seqs(reader), reader.lost) == ([3], 1)


OOM_KILL = b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null)"
REST = b",cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0"


def test_pr_cont_piece_after_other_cpu_is_joined(device: Device) -> None:
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


def test_line_without_end_is_yielded(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [b"6,2,20,-;" + OOM_KILL + b"\n"]
    assert seqs(reader) == [2]
    device.answers = [b"6,3,20,-;" + OOM_KILL + b"\n", *device.records(*range(4, 12))]
    assert seqs(reader) == list(range(3, 12))


def test_interrupted_reader_loses_no_held_record(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [b"6,2,20,-;" + OOM_KILL + b"\n", *device.records(3, 4, 5)]
    taken = [next(reader.read_available()).seq for _ in range(4)]
    assert taken == [2, 3, 4, 5]


def test_other_read_error_is_raised(device: Device) -> None:
    reader = KmsgReader(path=device.path, after_seq=1)
    device.answers = [errno.EIO]
    with pytest.raises(OSError, match="Input/output"):
        seqs(reader)


def test_unreadable_log_is_named_with_remedy(tmp_path: Path) -> None:
    with pytest.raises(KmsgUnreadableError, match="No such file"):
        KmsgReader(path=tmp_path / "kmsg")
    assert "CAP_SYSLOG" in kmsg._why_unreadable("/dev/kmsg", PermissionError(errno.EPERM, "no"))


def readable_and_writable() -> bool:
    return os.access("/dev/kmsg", os.R_OK | os.W_OK)


@pytest.mark.skipif(not readable_and_writable(), reason="/dev/kmsg needs root")
def test_own_line_from_real_device_is_foreign() -> None:
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
