"""The public logs: every line of an OOM report comes out as the log has it, none is lost, joined or taken for
another's."""

import io
import re
from pathlib import Path

import pytest

from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from tests.unit.kernel_logs.conftest import CORPUS, corpus_logs, records_of

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus of public logs at {CORPUS}")

MARKERS = (
    b" invoked oom-killer",
    b"oom-kill:constraint=",
    b"Killed process",
    b"Kill process",
    b"Kernel panic - not syncing",
)
_EACH = pytest.mark.parametrize("path", corpus_logs(), ids=lambda path: path.stem[:40])


@_EACH
def test_every_report_line_begins_own_kernel_record(path: Path) -> None:
    data = path.read_bytes()
    texts = [record.text for record in records_of(data) if record.kernel]
    for marker in MARKERS:
        assert sum(marker in text for text in texts) == sum(marker in line for line in data.split(b"\n"))
        assert all(text.split(b"\n")[0].count(marker) <= 1 for text in texts)


@_EACH
def test_no_framing_remains_in_text(path: Path) -> None:
    framing = re.compile(
        rb"\A(?:\[ *\d+\.\d{6}\]|<\d>|[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d|\d,\d+,\d+|kernel:|"
        rb"\[[^\]]*\d\d:\d\d:\d\d \d{4}\])"
    )
    for record in records_of(path.read_bytes()):
        if record.kernel:
            assert not framing.match(record.text)


@_EACH
def test_stamped_kernel_lines_have_uptime(path: Path) -> None:
    data = path.read_bytes()
    stamped = len(re.findall(rb"(?m)\[ *\d+\.\d{6}\]|^\d,\d+,\d+,", data))
    with_usec = sum(record.usec is not None for record in records_of(data))
    assert with_usec == stamped


@_EACH
def test_oom_search_finds_same_events_as_full_read(path: Path) -> None:
    noise = b"Jun  1 00:00:00 host cron[1]: (root) CMD (run-parts /etc/cron.hourly)\n" * 60_000  # 4 MB
    data = noise + path.read_bytes() + noise
    full_counts, scan_counts = LogCounts(), LogCounts()
    full = list(read_records(io.BytesIO(data), counts=full_counts))
    scanned = list(read_relevant_records(io.BytesIO(data), counts=scan_counts))
    assert list(parse_records(scanned)) == list(parse_records(full))
    kernel = iter(record for record in full if record.kernel)
    assert all(record in kernel for record in scanned if record.kernel)
    assert scan_counts.lines == full_counts.lines == data.count(b"\n") + (not data.endswith(b"\n"))
    assert scan_counts.skipped > 50_000


def test_interleaved_daemon_lines_are_foreign() -> None:
    (path,) = CORPUS.glob("005-*")
    counts = LogCounts()
    records = records_of(path.read_bytes(), counts)
    assert (counts.lines, counts.kernel, counts.foreign) == (44, 31, 13)
    assert all(record.kernel is (record.usec is not None) for record in records)


def test_raw_kmsg_record_keeps_sequence_caller_and_newlines() -> None:
    (path,) = CORPUS.glob("013-*")
    records = records_of(path.read_bytes())
    assert (records[0].seq, records[0].caller, records[0].usec, records[0].level) == (
        19685342,
        b"T12845",
        241227987454,
        4,
    )
    (mem_info,) = [record for record in records if record.text.startswith(b"active_anon:")]
    assert mem_info.text.count(b"\n") == 5
    assert b"\\x" not in mem_info.text


def test_journalctl_and_dmesg_continuation_lines_join_record() -> None:
    (journal,), (dmesg,) = CORPUS.glob("033-*"), CORPUS.glob("002-*")
    (mem_info,) = [r.text for r in records_of(journal.read_bytes()) if r.text.startswith(b"active_anon:")]
    assert mem_info.split(b"\n")[1].startswith(b" active_file:106 ")
    (stats,) = [r.text for r in records_of(dmesg.read_bytes()) if r.text.startswith(b"anon ")]
    assert b"\nfile 688283648\nkernel_stack 5242880\n" in stats


def test_header_after_program_output_on_console_is_found() -> None:
    (path,) = CORPUS.glob("020-*")
    first = records_of(path.read_bytes())[0]
    assert first.text.startswith(b"mkfs.ext4 invoked oom-killer: ")
    assert first.usec == 35419377
