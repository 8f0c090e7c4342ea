"""The OOM search over a large log finds the same events as reading the log in full."""

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.oom_search import history, relevant
from oomkeeper.kernel.logs.oom_search.landmarks import Landmark, landmark_of
from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.kill import Kill
from tests.unit.kernel_logs.formats import ONE_LINE, Said, dmesg, journal_json, kmsg, rsyslog
from tests.unit.kernel_logs.report import REPORT

BLOCK = 4096
"""Small, so that a log of a few hundred KiB has many blocks."""
NOISE = b"Jun  1 00:00:00 node-1 cron[1]: (root) CMD (run-parts --report /etc/cron.hourly)\n"
CHATTER = b"Jun  1 00:00:00 node-1 kernel: [    1.000000] eth0: link becomes ready\n"
TALK = b"Jun  1 00:00:00 node-1 app[7]: fork failed: out of memory: Killed process 7, invoked oom-killer: a\n"
WRITERS: list[Callable[[Said], bytes]] = [rsyslog, dmesg, kmsg, journal_json]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(relevant, "ALWAYS_BYTES", 0)
    monkeypatch.setattr(relevant, "AHEAD_BYTES", 20 * BLOCK)
    monkeypatch.setattr(relevant, "AFTER_BYTES", BLOCK)


def full(log: bytes) -> list[Kill]:
    return list(parse_records(read_records(io.BytesIO(log))))


def scanned(log: bytes, counts: LogCounts | None = None) -> list[Kill]:
    return list(parse_records(read_relevant_records(io.BytesIO(log), counts=counts)))


pieces = st.one_of(
    st.tuples(st.sampled_from([NOISE, CHATTER, TALK, NOISE + TALK]), st.integers(1, 400)).map(
        lambda made: made[0] * made[1]
    ),
    st.tuples(st.sampled_from(WRITERS), st.integers(-4, -1)).map(
        lambda made: b"".join(map(made[0], REPORT[: made[1]]))
    ),
    # Where the header is lost, what is remembered must not reach into another report's statistics.
    st.tuples(st.sampled_from(WRITERS), st.integers(1, 8)).map(
        lambda made: NOISE * 200 + b"".join(map(made[0], REPORT[made[1] :]))
    ),
    st.sampled_from(WRITERS).map(lambda writer: b"".join(map(writer, REPORT))),
    st.integers(1, 3000).map(lambda size: b"x" * size + b"\n"),
)


@settings(max_examples=120)
@given(st.lists(pieces, min_size=1, max_size=8))
def test_oom_search_finds_same_kills_as_full_read(made: list[bytes]) -> None:
    log = b"".join(made)
    counts = LogCounts()
    assert scanned(log, counts) == full(log)
    assert counts.lines == log.count(b"\n")
    assert counts.skipped <= counts.lines


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_little_is_read_around_complete_report(writer: Callable[[Said], bytes]) -> None:
    report = b"".join(map(writer, REPORT))
    log = NOISE * 2000 + report + NOISE * 2000
    counts = LogCounts()
    (kill,) = scanned(log, counts)
    assert kill == full(log)[0]
    assert counts.lines - counts.skipped < report.count(b"\n") + 3 * BLOCK // len(NOISE)


def test_process_cannot_end_report_with_kill_line() -> None:
    report = [rsyslog(said) for said in REPORT]
    forged = NOISE.replace(b"(root)", b"Out of memory: Killed process 1 (x) total-vm:1kB, anon-rss:1kB")
    log = NOISE * 300 + report[0] + forged + NOISE * 300 + b"".join(report[1:]) + NOISE * 300
    assert scanned(log) == full(log)
    assert len(full(log)) == 1


def test_header_inside_process_message_is_read_with_preceding_lines() -> None:
    message = b"Jun  1 00:00:00 node-1 app[7]: begin\n" + b"more of it\n" * 400
    forged = b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
    kill = b"Out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB, file-rss:0kB\n"
    assert scanned(NOISE * 300 + message + forged + kill + NOISE * 300) == []


def test_log_inside_exported_entry_stays_entry_text() -> None:
    inner = CHATTER * 20 + b"".join(map(rsyslog, REPORT))
    entry = b"__CURSOR=s=1\n_TRANSPORT=stdout\n_PID=7\nMESSAGE\n"
    log = entry + len(inner).to_bytes(8, "little") + inner + b"\n\n"
    assert scanned(log) == full(log) == []


@pytest.mark.parametrize("writer", ONE_LINE, ids=lambda writer: writer.__name__)
def test_framed_header_and_kill_line_are_landmarks(writer: Callable[[Said], bytes]) -> None:
    landmarks = [landmark_of(line) for said in REPORT for line in writer(said).splitlines()[:1]]
    ends = [landmark for landmark in landmarks if landmark in (Landmark.HEADER, Landmark.KILL)]
    assert ends == ([Landmark.HEADER, Landmark.KILL] if ends or writer in WRITERS else [])


@pytest.mark.parametrize(
    "line",
    [
        b"Out of memory: Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
        b" [    1.000000] Out of memory: Killed process 1 (x) total-vm:1kB",
        b"12,1,1,-;Out of memory: Killed process 1 (x) total-vm:1kB",
        b"Jun  1 00:00:00 node-1 app[7]: Out of memory: Killed process 1 (x) total-vm:1kB",
        b'{"_TRANSPORT":"stdout","MESSAGE":"Out of memory: Killed process 1 (x) total-vm:1kB"}',
        b"[    1.000000] systemd[1]: Out of memory: Killed process 1 (x) total-vm:1kB",
        b"[    1.000000] a user said that x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL)",
    ],
)
def test_text_of_other_writers_is_no_landmark(line: bytes) -> None:
    assert landmark_of(line) is None
