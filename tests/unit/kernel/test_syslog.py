"""The kernel log by syslog(2)."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

import pytest

from oomkeeper.kernel import log_reader
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError
from oomkeeper.kernel.log_reader import CAP_SYSLOG, open_kernel_log
from oomkeeper.kernel.oomscore import has_capability
from oomkeeper.kernel.syslog import FIRST_SEQ, SyslogReader, parse_syslog


class Log:
    """What syslog(2) reads."""

    def __init__(self, *lines: str, size: int = 4096) -> None:
        self.lines = list(lines)
        self.size = size

    def __call__(self, action: int, length: int) -> bytes:
        if action == 10:
            return b"%d" % self.size
        return "".join(f"{line}\n" for line in self.lines).encode()[-length:]


def reader(log: Log, after_seq: int | None = -1) -> SyslogReader:
    return SyslogReader(after_seq=after_seq, call=log, looks=False)


def texts(made: SyslogReader) -> list[str]:
    return [record.text.decode() for record in made.read_available()]


def test_lines_become_records_with_their_writer() -> None:
    data = (
        b"<4>[    1.000001] first\n"
        b"<12>[    1.000002] <0>[    9.000000] Killed process 1 (forged)\n"
        b"<6>[12345.678901][ T17] with a caller\n"
        b"no prefix, of the record before\n"
        b"<6>[12345.678902] two lines\n<6>[12345.678902] of one record\n"
        b"<6>[12345.678902][C0] another caller\n"
    )
    found = list(parse_syslog(data))
    assert [record.text for record in found] == [
        b"first",
        b"<0>[    9.000000] Killed process 1 (forged)",
        b"with a caller\nno prefix, of the record before",
        b"two lines\nof one record",
        b"another caller",
    ]
    assert [record.kernel for record in found] == [True, False, True, True, True]
    assert [record.level for record in found] == [4, 4, 6, 6, 6]
    assert (found[2].usec, found[2].caller) == (12345678901, b"T17")
    seqs = [record.seq or 0 for record in found]
    assert seqs == sorted(set(seqs))
    assert min(seqs) > FIRST_SEQ


def test_each_record_is_read_once_also_after_a_restart() -> None:
    log = Log("<4>[ 1.000000] a", "<4>[ 2.000000] b")
    made = reader(log)
    assert texts(made) == ["a", "b"]
    assert texts(made) == []
    log.lines.append("<4>[ 3.000000] c")
    assert texts(made) == ["c"]
    [last] = [record.seq for record in parse_syslog(b"<4>[ 2.000000] b")]
    made.close()
    again = reader(log, after_seq=last)
    assert texts(again) == ["c"]
    assert again.lost == 0
    again.close()


def test_overwritten_records_are_noticed() -> None:
    log = Log("<4>[ 1.000000] a")
    made = reader(log)
    assert texts(made) == ["a"]
    log.lines = ["<4>[ 8.000000] y", "<4>[ 9.000000] z"]
    assert texts(made) == ["y", "z"]
    assert made.lost == 1
    made.close()


@pytest.mark.parametrize("after_seq", [None, 0, 4711])
def test_cursor_of_dev_kmsg_starts_at_the_end(after_seq: int | None) -> None:
    log = Log("<4>[ 1.000000] a")
    made = reader(log, after_seq=after_seq)
    assert texts(made) == []
    log.lines.append("<4>[ 2.000000] b")
    assert texts(made) == ["b"]
    made.close()


def test_log_without_times_is_empty_and_without_permission_an_error() -> None:
    made = reader(Log("<4>no time"))
    assert texts(made) == []
    made.close()

    def denied(_action: int, _length: int) -> bytes:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with pytest.raises(KmsgUnreadableError, match="CAP_SYSLOG"):
        SyslogReader(after_seq=-1, call=denied)


def test_new_records_wake_who_polls() -> None:
    log = Log("<4>[ 1.000000] a")
    made = SyslogReader(after_seq=-1, call=log)
    poller = select.poll()
    poller.register(made.fileno(), select.POLLIN)
    assert poller.poll(0), "what is there already"
    assert texts(made) == ["a"]
    log.lines.append("<4>[ 2.000000] b")
    assert poller.poll(60_000)
    assert "b" in texts(made)
    made.close()


def test_kmsg_is_taken_where_it_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(**_: object) -> KmsgReader:
        raise KmsgUnreadableError("denied") from PermissionError(errno.EPERM, "denied")

    fallback = reader(Log("<4>[ 1.000000] a"))
    monkeypatch.setattr(log_reader, "SyslogReader", lambda **_: fallback)
    status = tmp_path / "self" / "status"
    status.parent.mkdir()
    status.write_text(f"CapEff:\t{1 << CAP_SYSLOG:016x}\n")
    with pytest.raises(KmsgUnreadableError):
        open_kernel_log(path=tmp_path / "absent", after_seq=-1, proc=tmp_path)
    monkeypatch.setattr(log_reader, "KmsgReader", deny)
    assert open_kernel_log(path=tmp_path / "kmsg", after_seq=-1, proc=tmp_path) is fallback
    status.write_text("CapEff:\t0000000000000000\n")
    with pytest.raises(KmsgUnreadableError, match="denied"):
        open_kernel_log(path=tmp_path / "kmsg", after_seq=-1, proc=tmp_path)
    fallback.close()


@pytest.mark.skipif(os.geteuid() != 0 or not has_capability(CAP_SYSLOG), reason="needs root with CAP_SYSLOG")
def test_both_readers_read_the_same_of_this_kernel() -> None:
    try:
        kmsg = KmsgReader(after_seq=-1)
    except KmsgUnreadableError as error:
        pytest.skip(str(error))
    first = SyslogReader(after_seq=-1, looks=False)
    ours = list(first.read_available())
    theirs = list(kmsg.read_available())
    kmsg.close()
    first.close()
    if not ours:
        pytest.skip("an empty log, or one without times")
    newest = ours[-1].usec or 0
    wanted = {(one.usec, one.text) for one in theirs if (one.usec or 0) <= newest}
    # One that was written in between may be missing.
    assert len({(one.usec, one.text) for one in ours} - wanted) <= len(ours) // 100
