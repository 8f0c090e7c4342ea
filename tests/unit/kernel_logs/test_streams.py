"""Any bytes, in any pieces, give records: no error, no growth, no time beyond their length."""

import io
import itertools
import json
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.line_blocks import LINE_MAX_BYTES
from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.model.log import LogRecord
from tests.unit.kernel_logs.conftest import records_of
from tests.unit.kernel_logs.formats import ONE_LINE, bare, dmesg, journal_export, journal_json, kmsg, rsyslog
from tests.unit.kernel_logs.report import REPORT

_lines = st.sampled_from(
    [line for writer in (*ONE_LINE, bare) for said in REPORT for line in writer(said).split(b"\n")]
)
_junk = st.binary(max_size=40) | st.sampled_from(
    [b"", b"[", b"{", b"}", b"...", b"> ", b"    ", b"<4>", b"\x00", b"\r", b'"dmesg": [']
)
_logs = st.lists(_lines | _junk, max_size=40).map(b"\n".join)
NOISE = b"Jun  1 00:00:00 node-1 cron[1]: (root) CMD (run-parts --report /etc/cron.hourly)\n"


class Pieces(io.RawIOBase):
    """A stream that gives what it has in pieces, and repeats it to any length without holding it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._rest = self._rest or next(self._pieces, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


@settings(max_examples=400)
@given(_logs)
def test_every_line_is_counted_without_error(log: bytes) -> None:
    counts = LogCounts()
    records = records_of(log, counts)
    assert counts.lines == log.count(b"\n") + (log != b"" and not log.endswith(b"\n"))
    assert counts.kernel == sum(record.kernel for record in records)
    assert counts.foreign == sum(not record.kernel for record in records)


@settings(max_examples=300)
@given(_logs)
def test_oom_search_returns_short_log_in_full(log: bytes) -> None:
    counts = LogCounts()
    assert list(read_relevant_records(io.BytesIO(log), counts=counts)) == records_of(log)
    assert counts.skipped == 0


@given(st.lists(st.sampled_from(REPORT), min_size=1, max_size=20), st.integers(1, 50))
def test_pieces_of_pipe_do_not_change_records(said: list[object], size: int) -> None:
    for writer in (dmesg, kmsg, rsyslog, journal_json, journal_export):
        log = b"".join(writer(one) for one in said)  # type: ignore[arg-type]
        pieces = iter([log[at : at + size] for at in range(0, len(log), size)])
        whole = [record.text for record in records_of(log)]
        assert [record.text for record in read_records(Pieces(pieces))] == whole


def test_record_is_yielded_when_next_one_begins() -> None:
    log = [dmesg(said) for said in REPORT]
    given_before: list[int] = []
    taken = itertools.count()
    stream = Pieces(piece for piece in log if next(taken) >= 0)
    for number, _ in enumerate(read_records(stream)):
        given_before.append(next(taken) - number)
    assert max(given_before) < 10 + len(log)
    assert len(given_before) == len(REPORT)


@pytest.mark.parametrize("offset", range(0, 40, 3))
def test_report_spanning_two_reads_is_found_in_large_log(offset: int) -> None:
    noise = (NOISE * (4 * 2**20 // len(NOISE)))[: 4 * 2**20 - offset]
    noise = noise[: noise.rfind(b"\n") + 1]
    pad = b"x" * (4 * 2**20 - offset - len(noise) - 1) + b"\n"
    report = b"".join(map(rsyslog, REPORT))
    log = noise + pad + report + NOISE * 60_000
    counts = LogCounts()
    found = [record.text for record in read_relevant_records(io.BytesIO(log), counts=counts) if record.kernel]
    assert [said.text for said in REPORT] == [text for text in found if text != pad[:-1]]
    assert counts.lines == log.count(b"\n")
    assert 0 < counts.skipped < counts.lines


@pytest.mark.parametrize(
    "kept", [REPORT[-2:], REPORT[-3:-2], REPORT[:3]], ids=["kill only", "oom-kill only", "header only"]
)
def test_each_part_of_report_is_found_alone(kept: tuple[object, ...]) -> None:
    part = b"".join(rsyslog(said) for said in kept)  # type: ignore[arg-type]
    log = NOISE * 60_000 + part + NOISE * 60_000
    texts = [record.text for record in read_relevant_records(io.BytesIO(log)) if record.kernel]
    assert texts == [said.text for said in kept]  # type: ignore[attr-defined]


def test_messages_about_memory_do_not_cause_full_read() -> None:
    talk = (
        b"Jun  1 00:00:00 node-1 app[7]: fork failed: out of memory\n"
        b"Jun  1 00:00:00 node-1 app[7]: see zoom-room and the oom-killed pods, anon-rss: much\n"
    )
    counts = LogCounts()
    list(read_relevant_records(io.BytesIO((talk + NOISE * 100) * 1500), counts=counts))
    assert counts.skipped > counts.lines * 0.8


def test_kill_written_as_byte_numbers_by_journald_is_found() -> None:
    noise = json.dumps({"MESSAGE": "x" * 80, "_TRANSPORT": "stdout"}).encode() + b"\n"
    text = (
        b"Out of memory: Killed process 7 (a\xff\xfe) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"
    )
    kill = {"MESSAGE": list(text), "_TRANSPORT": "kernel", "SYSLOG_FACILITY": "0"}
    line = json.dumps(kill, separators=(",", ":")).encode() + b"\n"
    found = read_relevant_records(io.BytesIO(noise * 40_000 + line + noise * 40_000))
    assert [record.text for record in found if record.kernel] == [text]


def test_forged_line_far_inside_process_message_is_foreign() -> None:
    message = b"Jun  1 00:00:00 node-1 app[7]: begin\n" + b"more of it\n" * 20_000
    forged = b"Out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB, file-rss:0kB\n"
    log = NOISE * 60_000 + message + forged + NOISE * 60_000
    assert not [record for record in read_relevant_records(io.BytesIO(log)) if record.kernel]


def test_memory_is_bounded_over_long_stream() -> None:
    def peak(megabytes: int) -> int:
        block = NOISE * (2**20 // len(NOISE)) + b"".join(map(dmesg, REPORT))
        tracemalloc.start()
        for _ in read_records(Pieces(iter(itertools.repeat(block, megabytes)))):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(4) < peak(1) * 1.2 + 100_000


def test_overlong_line_is_cut_and_next_line_is_read() -> None:
    log = b"[    1.000000] " + b"x" * (3 * LINE_MAX_BYTES) + b"\n[    2.000000] next\n"
    counts = LogCounts()
    first, second = read_records(io.BytesIO(log), counts=counts)
    assert len(first.text) <= LINE_MAX_BYTES
    assert second == LogRecord(text=b"next", usec=2_000_000)
    assert (counts.lines, counts.truncated) == (2, 1)


@pytest.mark.parametrize(
    "unit",
    [
        b"\r",
        b"\x00",
        b" ",
        b"[",
        b"[ 1.000000] ",
        b"<4>",
        b"{",
        b'{"MESSAGE":',
        b"#012",
        b"\\x0a",
        b"> ",
        b"| ",
        b"\x1b[",
        b"(U) ",
        b"a invoked oom",
        b"Killed process 1 (",
        b"\n",
        b"\n ",
        b"\n             x",
        b"\noom-kill:",
        b"\n,",
        b"\nkB",
        b"\n1*4kB",
        b"\n{",
        b"\n    A=",
        b"\n[ 1] 1 1 1 1 ",
        b"rss:1kB",
        b", anon-rss:1kB\n",
        b"\nactive_anon:1 ",
        b" x:1",
        b"\n x:1",
        b"1,1,1,-;",
        b"kernel: ",
        b"Jan  1 00:00:00 h kernel: ",
        b"warning|",
        b"kern  :warn  : ",
        b"__CURSOR=\n",
        b"__CURSOR=a\nMESSAGE\n\x01",
    ],
)
@pytest.mark.parametrize(
    "head", [b"", b"[    1.000000] Killed process 1 (a) total-vm:1kB", b"[    1.000000] active_anon:1 x:1\n"]
)
def test_time_is_linear_in_log_size(head: bytes, unit: bytes) -> None:
    def cost(size: int) -> float:
        log = head + unit * (size // len(unit))
        begun = time.process_time()
        records_of(log)
        return time.process_time() - begun

    small = min(cost(50_000) for _ in range(3))
    large = min(cost(400_000) for _ in range(2))  # a busy machine costs CPU time, too
    assert large < 8 * 4 * small + 0.5  # eight times the bytes; a quadratic step would cost 64 times
