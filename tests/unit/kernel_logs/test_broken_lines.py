"""Lines that a mailer, a pager or a PDF broke are whole again, and two records never become one."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel_logs.conftest import kernel_texts, records_of
from tests.unit.kernel_logs.formats import (
    Writer,
    bare,
    dmesg,
    dmesg_ctime,
    huawei,
    kmsg,
    rsyslog,
    rsyslog_without_stamp,
    syslog2,
    tag_alone,
)
from tests.unit.kernel_logs.report import REPORT

DECISIVE = (
    b" invoked oom-killer",
    b"oom-kill:constraint",
    b"Killed process",
    b"memory: usage",
    b"Node 0 DMA32 free",
    b"Node 0 DMA32: ",
)
_FRAMED = (dmesg, dmesg_ctime, huawei, rsyslog, rsyslog_without_stamp, syslog2, tag_alone)
_ONE_LINE = tuple(said for said in REPORT if b"\n" not in said.text)


def _by_mailer(line: bytes, width: int) -> list[bytes]:
    """At blanks only, which are dropped; a longer word stands alone."""
    return [
        part.encode()
        for part in textwrap.wrap(line.decode(), width, break_long_words=False, break_on_hyphens=False)
    ]


def _by_pdf(line: bytes, width: int) -> list[bytes]:
    """At blanks, which stay at the end, or after a hyphen; else inside the word."""
    parts = []
    while len(line) > width:
        at = max(line.rfind(b" ", 0, width) + 1, line.rfind(b"-", 0, width) + 1)
        at = at if at > width // 3 else width
        parts.append(line[:at])
        line = line[at:]
    return [*parts, line]


def _by_terminal(line: bytes, width: int) -> list[bytes]:
    return [line[at : at + width] for at in range(0, len(line), width)]


def _decisive(texts: list[bytes]) -> list[bytes]:
    return [text for text in texts if any(marker in text for marker in DECISIVE)]


@pytest.mark.parametrize("blank_between", [False, True])
@pytest.mark.parametrize("width", [72, 76, 78, 80, 90, 100])
@pytest.mark.parametrize("writer", _FRAMED, ids=lambda writer: writer.__name__)
def test_stamped_report_broken_by_mailer_or_pdf_is_rejoined(
    writer: Writer, width: int, blank_between: bool
) -> None:
    for breaker in (_by_mailer, _by_pdf):
        end = b"\n\n" if blank_between else b"\n"
        pieces = [piece for said in _ONE_LINE for piece in breaker(writer(said)[:-1], width)]
        got = _decisive(kernel_texts(end.join(pieces) + end))
        want = _decisive([said.text for said in _ONE_LINE])
        assert [text.replace(b"  ", b" ") for text in got] == [text.replace(b"  ", b" ") for text in want], (
            breaker.__name__
        )


@pytest.mark.parametrize("width", [80, 100, 120, 132])
@pytest.mark.parametrize("writer", [dmesg, rsyslog, syslog2], ids=lambda writer: writer.__name__)
def test_stamped_report_cut_by_terminal_is_rejoined(writer: Writer, width: int) -> None:
    pieces = [piece for said in _ONE_LINE for piece in _by_terminal(writer(said)[:-1], width)]
    assert _decisive(kernel_texts(b"\n".join(pieces) + b"\n")) == _decisive([said.text for said in _ONE_LINE])


@pytest.mark.parametrize("width", [72, 76, 78])
def test_bare_report_broken_by_mailer_is_rejoined(width: int) -> None:
    pieces = [piece for said in _ONE_LINE for piece in _by_mailer(bare(said)[:-1], width)]
    assert _decisive(kernel_texts(b"\n".join(pieces) + b"\n")) == _decisive([said.text for said in _ONE_LINE])


def test_report_copied_from_pdf_viewer_is_rejoined() -> None:
    log = (
        "可以从日志中看到：\n warning|kernel[-]|[919920.414131] hog invoked oom-killer: "
        "gfp_mask=0xcc0(GFP_KERNEL), order=0, \n\n"
        "oom_score_adj=0\n\ninfo|kernel[-]|[919920.414220] memory: usage 81920kB, limit 81920kB, "
        "failcnt 30\n\n"
        "err|kernel[-]|[919920.414272] Memory cgroup out of memory: Killed process 2021 (hog) total-\n\n"
        "vm:105048kB, anon-rss:81884kB, file-rss:1544kB, shmem-rss:0kB, UID:0 pgtables:208kB \n\n"
        "oom_score_adj:0\n\n"
        "kernel: [  465.878286] active_anon:218 inactive_anon:202527 isolated_anon:0#012 "
        "active_file:5979 \n\n"
        "inactive_file:5231 isolated_file:0#012 unevictable:0 dirty:0 writeback:0#012 free:226231 \n "
        "解决方法\n\nfree_pcp:36 free_cma:0\n\n"
        "kernel: [ 1477.960064] oom-kill:constraint=CONSTRAINT_NONE,nodemask=\n\n(null),cpuset=/,"
        "mems_allowed=0,global_oom,"
        "task_memcg=/system.slice/sshd.service,task=main,pid=1822\n\n,uid=0\n\n"
        "kernel: [  933.264779] oom-\n\nkill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=1,cpuset=/,"
        "mems_allowed=0-\n\n"
        "1,global_oom,task_memcg=/system.slice/sshd.service,task=main,pid=1733,uid=0\n"
    )
    texts = kernel_texts(log.encode())
    assert b"hog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0" in texts
    assert (
        b"Memory cgroup out of memory: Killed process 2021 (hog) total-vm:105048kB, anon-rss:81884kB, "
        b"file-rss:1544kB, shmem-rss:0kB, "
        b"UID:0 pgtables:208kB oom_score_adj:0"
    ) in texts
    assert (
        b"active_anon:218 inactive_anon:202527 isolated_anon:0\n active_file:5979 inactive_file:5231 "
        b"isolated_file:0\n unevictable:0 "
        b"dirty:0 writeback:0\n free:226231 free_pcp:36 free_cma:0"
    ) in texts
    assert any(
        text.endswith(
            b"nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/sshd.service,"
            b"task=main,pid=1822,uid=0"
        )
        for text in texts
    )
    assert any(
        text.startswith(b"oom-kill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=1,cpuset=/,mems_allowed=0-1,")
        for text in texts
    )


@given(st.permutations(_ONE_LINE))
def test_complete_lines_in_any_order_are_never_joined(order: list[object]) -> None:
    for writer in (dmesg, rsyslog, kmsg, bare):
        log = b"".join(writer(said) for said in order)  # type: ignore[arg-type]
        assert len(records_of(log)) == len(order)


def test_truncated_line_does_not_absorb_next_record() -> None:
    log = (
        b"[ 4843.939001] Out of memory: Killed process 649 (fio) total-vm:216868kB, anon-rss:896kB, "
        b"file-rss\n"
        b"[ 5306.210082] tmux: server invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_CO\n"
        b"[ 5306.240968] Unreclaimable slab info:\n"
    )
    assert len(kernel_texts(log)) == 3


def test_shell_prompt_and_elision_are_not_joined_to_kernel_line() -> None:
    log = (
        b"[  1.000001] a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0,\n[...]\n"
        b"root@node-1:~# dmesg | tail -1\n"
        b"[  1.000002] Killed process 4 (a) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB\n"
    )
    assert [text[:20] for text in kernel_texts(log)] == [b"a invoked oom-killer", b"Killed process 4 (a)"]


_CLOUD = b"Nov 23 09:09:20 ip-10-11-12-213.eu-west-1.compute.internal kernel: [%5d.%06d] "
"""So long that little of a line is left before the break."""
_STATISTICS = (
    b"worker:12 invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=3, "
    b"oom_score_adj=-997",
    b"CPU: 1 UID: 0 PID: 4711 Comm: worker:12 Not tainted 6.12.1 #1",
    b"memory+swap: usage 65444kB, limit 65536kB, failcnt 31",
    b"inactive_anon 33386496",
    b"file_writeback 0",
    b" active_file:12 inactive_file:340 isolated_file:0",
    b" slab_reclaimable:1825 slab_unreclaimable:1399",
    b"Node 1 active_anon:139600kB inactive_anon:0kB isolated(file):0kB mapped:2376kB all_unreclaimable? no",
    b"Node 0 DMA free:14336kB boost:0kB min:44676kB low:55844kB present:15992kB managed:15360kB",
    b"lowmem_reserve[]: 0 137 3911 3911 3911",
    b"Node 0 DMA: 2*4kB (UM) 1*8kB (U) 0*16kB = 16kB",
    b"Node 1 hugepages_total=8 hugepages_free=8 hugepages_surp=0 hugepages_size=2048kB",
    b"704 total pagecache pages",
    b"Total swap = 98300kB",
    b"Out of memory (oom_kill_allocating_task): Killed process 4711 (worker:12) total-vm:741728kB, "
    b"anon-rss:199204kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:760kB oom_score_adj:-997",
    b"Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled",
)


@pytest.mark.parametrize("keep_blank", [False, True])
@pytest.mark.parametrize("width", [72, 76, 78, 80])
def test_line_broken_after_long_host_name_is_rejoined(width: int, *, keep_blank: bool) -> None:
    pieces = []
    for number, text in enumerate(_STATISTICS):
        parts = _by_mailer(_CLOUD % (1475, number) + text, width)
        pieces += [part + b" " for part in parts[:-1]] if keep_blank else parts[:-1]
        pieces.append(parts[-1])
    got = [text.strip() for text in kernel_texts(b"\n".join(pieces) + b"\n")]
    assert got == [text.strip() for text in _STATISTICS]


@pytest.mark.parametrize("width", range(72, 81))
def test_cut_inside_word_or_number_is_detected(width: int) -> None:
    pieces = [
        piece
        for number, text in enumerate(_STATISTICS)
        for piece in _by_terminal(b"[%5d.%06d] " % (1475, number) + text, width)
    ]
    assert kernel_texts(b"\n".join(pieces) + b"\n") == list(_STATISTICS)


@pytest.mark.parametrize("width", range(60, 90))
def test_cut_between_table_columns_keeps_blank(width: int) -> None:
    table = [
        b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        b"[    102]     0   102      565      455    28672        0         -1000 sh",
        b"[    107]     0   107    51483    51365   446464        0             0 large one",
    ]
    pieces = [
        piece
        for number, row in enumerate(table)
        for piece in _by_terminal(b"[%5d.%06d] " % (1475, number) + row, width)
    ]
    got = [text.split() for text in kernel_texts(b"\n".join(pieces) + b"\n")]
    assert [row[:7] for row in got[1:]] == [row.split()[:7] for row in table[1:]]


@pytest.mark.parametrize("width", [72, 76, 80])
def test_broken_kmsg_record_of_several_lines_is_rejoined(width: int) -> None:
    pieces = [piece for said in REPORT for piece in _by_mailer(kmsg(said)[:-1], width)]
    want = [said.text.split() for said in REPORT if b"\n" in said.text]
    got = [text.split() for text in kernel_texts(b"\n".join(pieces) + b"\n") if b"\n" in text]
    assert got == want


def test_tab_indented_paste_keeps_further_lines() -> None:
    log = b"".join(b"\t" + line + b"\n" for said in REPORT for line in dmesg(said).splitlines())
    assert kernel_texts(log) == [said.text for said in REPORT]


def test_kmsg_fragment_with_only_escaped_newline_is_not_joined() -> None:
    log = b"4,1,1000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),\n\\x0a\n"
    texts = [record.text for record in records_of(log)]
    assert texts[0] == b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),"
