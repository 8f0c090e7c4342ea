"""Stretches of plain lines give the same as their lines one by one."""

from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from oomkeeper.kernel.logs import assembler
from oomkeeper.kernel.logs.assembler import Assembler
from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.signs import Sign
from oomkeeper.kernel.logs.tolerant.reading import TolerantReading
from oomkeeper.model.log import LogRecord
from tests.unit.kernel_logs.formats import dmesg, rsyslog
from tests.unit.kernel_logs.report import REPORT

_BARE = [line for said in REPORT for line in said.text.split(b"\n")]
_FRAMED = [line for said in REPORT for write in (dmesg, rsyslog) for line in write(said).splitlines()]
_OTHERS = [
    b"Nov 23 09:09:20 node-1 cron[7]: (root) CMD (run-parts)",
    b"Nov  3 09:09:20 node-1 kubelet: oom event received",
    b"Nov 23 09:09:20 node-1 app: a|b",
    b"Nov 23 09:09:20 node-1 kernel: eth0: link becomes ready",
    b"Nov 23 09:09:20 node-1 app[7]: [ pid ]   uid  tgid total_vm      rss name",
]
_STAMPED = [
    b"[    1.000001] eth0: link becomes ready",
    b"[    1.000002][    T7] short",
    b"[    1.000003] ,pid=7,uid=0",
    b"[    1.000004] a\\x0ab \\x41",
    b"[    1.000005] [oom-kill] Killed process 7 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
    b"[    1.000006] node-1 systemd[1]: Started.",
    b"[    1.000007] node-1 kernel: eth0: up",
    b"[    1.000008] page allocation failure: order:0",
    b"[    1.000009] [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
    b"[    1.000010] [    123]     0   123      257        1    32768        0             0 x",
    b"[    1.000011] " + b"long " * 30,
    b"[    1.000012] ",
    b"[    1.000012]  oom_kill_process.cold+0xb/0x10",
    b"[    1.000012]  ? out_of_memory+0x1fd/0x4c0",
    b"[    1.000013]",
    b"[Mon Nov 23 09:09:20 2026] dated",
]
_ODD = [
    b"",
    b"   ",
    b" oom_kill_process.cold+0xb/0x10",
    b" ? __alloc_pages+0x224/0x250",
    b" Workqueue+0x1/0x2",
    b"RAX: 0000000000015fd1 RBX: 0000000000001010 RCX: 00005658cf73d030",
    b"R10: 00007f5ba2909c70 R11: 0000000000000000 R12: 0000000000001001",
    b"Node 0 DMA free:13312kB | [    1.000000] x",
    b"Node 0 12 10:10:10 host kernel: x",
    b"2015 pages RAM 12 10:11:12 host kernel: x",
    b"4115400 pages RAM",
    b"44659 total pagecache pages",
    b"Free swap  = 84kB",
    b"[    123]     0   123 ",
    b"[    123]     0   123      257        1    32768        0             0 #011x",
    b"[    123]     0   123      257        1    32768        0             0 a|b: [ 1.000000] x",
    b"Out of memory:",
    b"Killed process 7 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
    b"Memory cgroup",
    b"out of memory: Killed process 7 (x) total-vm:1kB",
    b"        indented",
    b"> [    1.000000] quoted",
    b"{",
    b'{"MESSAGE": "Out of memory: Killed process 7 (x) total-vm:1kB", "_TRANSPORT": "kernel"}',
    b'"dmesg": [',
    b"-----",
    b"INFO something",
]
_LINES = st.one_of(*(st.sampled_from(some) for some in (_BARE, _FRAMED, _OTHERS, _STAMPED, _ODD)))
_PIECES = st.one_of(
    _LINES.map(lambda line: [line]),
    st.tuples(_LINES, st.integers(2, 5)).map(lambda made: [made[0]] * made[1]),
    # Any stretch of a report, whole or with lines cut.
    st.tuples(st.sampled_from([_BARE, _FRAMED]), st.integers(0, 60), st.integers(1, 20)).map(
        lambda made: made[0][made[1] : made[1] + made[2]]
    ),
    st.tuples(_LINES, st.integers(0, 100)).map(lambda made: [made[0][: made[1]], made[0][made[1] :]]),
    st.tuples(_LINES, st.sampled_from([b"12:", b"log-3-", b"pod "]), st.integers(1, 4)).map(
        lambda made: [made[1] + made[0]] * made[2]
    ),
)

_Reading = tuple[list[LogRecord], LogCounts, list[Sign]]


def _read(blocks: list[list[bytes]], *, tolerant: bool) -> _Reading:
    counts, reading = LogCounts(), TolerantReading() if tolerant else None
    reader = Assembler(counts, tolerant=reading)
    records = [record for block in blocks for record in reader.feed(b"".join(line + b"\n" for line in block))]
    records += reader.finish()
    return records, counts, reading.signs.found(kills=0) if reading is not None else []


@settings(max_examples=400)
@given(st.lists(st.lists(_PIECES, min_size=1, max_size=8), min_size=1, max_size=3), st.booleans())
@example([[_STAMPED, _STAMPED]], True)
@example([[_BARE, _OTHERS], [_BARE]], False)
def test_plain_lines_are_read_as_one_by_one(made: list[list[list[bytes]]], tolerant: bool) -> None:
    blocks = [[line for piece in pieces for line in piece] for pieces in made]
    together = _read(blocks, tolerant=tolerant)
    with patch.object(assembler, "read_plain_lines", lambda *_, **__: []):
        assert together == _read(blocks, tolerant=tolerant)


def test_most_lines_are_plain() -> None:
    lines = [
        b"[%5d.000000] [%7d]     0   123      257        1    32768        0             0 x" % (n, n)
        for n in range(100)
    ]
    rest = [
        b"[%7d]     0   123      257        1    32768        0             0 x" % number
        for number in range(100)
    ]
    for stretch in (lines, rest, _OTHERS[:1] * 100):
        reader = Assembler(LogCounts())
        with patch.object(reader, "_physical_line", wraps=reader._physical_line) as one:
            reader.feed(b"\n".join(stretch) + b"\n")
        assert one.call_count == 1
