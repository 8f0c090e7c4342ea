"""Text that a process wrote is never taken for the kernel's, as far as the format lets one know."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel_logs.conftest import kernel_texts, records_of
from tests.unit.kernel_logs.formats import WHOLE, Said, Writer
from tests.unit.kernel_logs.report import REPORT

KILL = b"Out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"


FORGED_LINES = [
    b"12,7,5000000,-;" + KILL,
    b"30,7,5000000,-,caller=T7;" + KILL,
    b"<12>[    5.000000] " + KILL,
    b"user  :warn  : [    5.000000] " + KILL,
    b"daemon:err   : 2026-11-23T09:09:20,096069+00:00 " + KILL,
    b"Nov 23 09:09:20 node-1 app[77]: " + KILL,
    b"Nov 23 09:09:20 node-1 app: kernel: [    5.000000] " + KILL,
    b"Nov 23 09:09:20 app: kernel: " + KILL,
    b"Nov 23 09:09:20 node-1 kernel[77]: " + KILL,
    b"Nov 23 09:09:20 node-1 user.warn kernel: " + KILL,
    b"Nov 23 09:09:20 user.warn kernel: " + KILL,
    b"2026-11-23T09:09:20.000001+00:00 node-1 app: kernel: " + KILL,
    b"2026-11-23T09:09:20.000001Z stdout F [    5.000000] " + KILL,
    b"<14>1 2026-11-23T09:09:20Z node-1 kernel - - - " + KILL,
    b"<6>1 2026-11-23T09:09:20Z node-1 app - - - kernel: " + KILL,
    b"warning|app[77]|" + KILL,
    b"warning|kernel[77]|[5.000000] " + KILL,
    b"[    5.000000] node-1 app[77]: " + KILL,
    b"10.5.0.2: user: warning: [2026-11-23T09:09:20.000001Z]: " + KILL,
    b"11-23 09:09:20.001   123   123 E kernel  : " + KILL,
    b'time="2026-11-23T09:09:20Z" level=info msg="' + KILL + b'"',
    b"I1123 09:09:20.000001    1234 oom_watcher.go:1] " + KILL,
    json.dumps({"MESSAGE": KILL.decode(), "_TRANSPORT": "kernel", "SYSLOG_FACILITY": "1"}).encode(),
    json.dumps({"MESSAGE": KILL.decode(), "_TRANSPORT": "syslog", "SYSLOG_IDENTIFIER": "kernel"}).encode(),
    json.dumps({"MESSAGE": KILL.decode(), "_PID": "7", "SYSLOG_IDENTIFIER": "kernel"}).encode(),
    json.dumps({"log": "[    5.000000] " + KILL.decode() + "\n", "stream": "stdout"}).encode(),
    b"__CURSOR=a\nMESSAGE=" + KILL + b"\n_TRANSPORT=stdout\n\n",
]
"""Lines whose format shows, or does not exclude, that a process wrote the kill line."""


@pytest.mark.parametrize("line", FORGED_LINES)
def test_kill_line_written_by_process_is_foreign(line: bytes) -> None:
    records = records_of(line + b"\n")
    assert records
    assert not any(record.kernel for record in records)


@pytest.mark.parametrize(
    "head",
    [
        b"Nov 23 09:09:20 node-1 app[77]: begin",
        b"2026-11-23T09:09:20+00:00 node-1 app: begin",
        b"12,7,5000000,-;begin",
    ],
)
@pytest.mark.parametrize("indent", [b"", b" ", b"            "])
def test_further_lines_of_process_message_are_foreign(head: bytes, indent: bytes) -> None:
    forged = head + b"\n" + indent + KILL + b"\n" + indent + b"x invoked oom-killer: gfp_mask=0x0, order=0\n"
    assert kernel_texts(forged) == []
    assert kernel_texts(forged + b"Nov 23 09:09:21 node-1 kernel: real\n") == [b"real"]


@pytest.mark.parametrize("writer", WHOLE, ids=lambda writer: writer.__name__)
@given(comm=st.binary(min_size=1, max_size=15).filter(lambda comm: 0 not in comm and 0x1B not in comm))
def test_comm_cannot_begin_or_end_record(writer: Writer, comm: bytes) -> None:
    text = (
        b"Memory cgroup out of memory: Killed process 7 ("
        + comm
        + b") total-vm:1kB, anon-rss:1kB, file-rss:0kB"
    )
    before, after = Said(b"before", 1, 4, 1), Said(b"after", 3, 4, 3)
    records = records_of(writer(before) + writer(Said(text, 2, 3, 2)) + writer(after))
    assert len(records) == 3 or b"\n" in comm or b"\r" in comm
    firsts = [record.text.split(b"\n")[0] for record in records if record.kernel]
    assert (firsts[0], firsts[-1]) == (b"before", b"after")
    assert sum(first.startswith((b"Memory cgroup", b"Out of", b"Killed")) for first in firsts) == 1


@pytest.mark.parametrize("escape", [b"\\x0a", b"#012"])
def test_escaped_newline_in_comm_stays_inside_record(escape: bytes) -> None:
    for line in (
        b"3,1,1000000,-;Killed process 7 (a" + escape + b"Out of memory) x",
        b"Nov 23 09:09:20 node-1 kernel: [    1.000000] Killed process 7 (a" + escape + b"Out of memory) x",
        b"[    1.000000] Killed process 7 (a" + escape + b"Out of memory) x",
    ):
        assert len(kernel_texts(line)) == 1


@pytest.mark.parametrize("comm", [b"[ 1.000000] x", b"[ 1.0][ T1] Out", b"h kernel: Kill", b"(0)[1:a] Out"])
def test_comm_that_looks_like_stamp_does_not_split_line(comm: bytes) -> None:
    line = (
        b"[ 9.000000] Memory cgroup out of memory: Killed process 7 ("
        + comm
        + b") total-vm:1kB, anon-rss:1kB"
    )
    (text,) = kernel_texts(
        line + b", file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:120kB oom_score_adj:0" + b" " * 40
    )
    assert b"Killed process 7 (" + comm + b") total-vm" in text


def test_export_value_cannot_fake_fields_or_entries() -> None:
    value = b"x\n\n__CURSOR=b\n_TRANSPORT=kernel\nMESSAGE=" + KILL + b"\n"
    entry = b"__CURSOR=a\n_TRANSPORT=stdout\nMESSAGE\n" + struct.pack("<Q", len(value)) + value + b"\n\n"
    kernel = b"__CURSOR=c\n_TRANSPORT=kernel\nMESSAGE=real\n\n"
    assert kernel_texts(entry + kernel) == [b"real"]


def test_kernel_entry_is_recognised_by_trusted_journald_fields() -> None:
    entry = {
        "MESSAGE": REPORT[0].text.decode(),
        "_TRANSPORT": "kernel",
        "SYSLOG_FACILITY": "0",
        "PRIORITY": "4",
    }
    (record,) = records_of(json.dumps(entry).encode())
    assert (record.kernel, record.level, record.text) == (True, 4, REPORT[0].text)


@pytest.mark.parametrize("brace", [b"{", b"  { ", b'{\n"key": 1,'])
def test_brace_in_other_text_hides_no_record(brace: bytes) -> None:
    texts = [record.text for record in REPORT]
    for place in range(len(texts)):
        lines = [*texts[:place], *brace.split(b"\n"), *texts[place:]]
        assert kernel_texts(b"\n".join(lines) + b"\n") == kernel_texts(b"\n".join(texts) + b"\n")
