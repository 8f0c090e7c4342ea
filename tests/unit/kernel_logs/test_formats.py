"""One report in every format comes out as the same records."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oomkeeper.kernel.logs.formats import dmesg as dmesg_format
from oomkeeper.kernel.logs.formats.syslog import parse_other_program, parse_syslog
from tests.unit.kernel_logs.conftest import records_of
from tests.unit.kernel_logs.formats import (
    BOOT,
    LEVELLED,
    ONE_LINE,
    STAMPED,
    WHOLE,
    Said,
    Writer,
    bare,
    dmesg,
    dmesg_caller,
    dmesg_ctime,
    dmesg_decode,
    dmesg_iso,
    journal_short_precise,
    kmsg,
    rsyslog,
    rsyslog_iso,
    syslog2,
)
from tests.unit.kernel_logs.report import REPORT

_WHOLE = pytest.mark.parametrize("writer", WHOLE, ids=lambda writer: writer.__name__)
_ONE_LINE = pytest.mark.parametrize("writer", ONE_LINE, ids=lambda writer: writer.__name__)

# What printk's records hold in practice: names of files, tasks and cgroups in any bytes, and no line ends of
# their own.
_words = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\x85"),
    max_size=60,
)
_texts = st.builds(
    lambda head, rest: head + rest,
    st.sampled_from(("", "usb 1-1: ", "EXT4-fs (vda): ", "x invoked oom-killer: ")),
    _words,
)


def _log(writer: Writer, records: Iterator[Said] | tuple[Said, ...]) -> bytes:
    return b"".join(map(writer, records))


@_WHOLE
def test_report_has_same_texts_in_every_format(writer: Writer) -> None:
    records = records_of(_log(writer, REPORT))
    assert [record.text for record in records] == [said.text for said in REPORT]
    assert all(record.kernel for record in records)


@_WHOLE
def test_uptime_level_and_sequence_are_read_if_format_has_them(writer: Writer) -> None:
    for record, said in zip(records_of(_log(writer, REPORT)), REPORT, strict=True):
        assert record.usec == (said.usec if writer in STAMPED else None)
        assert record.level == (said.level if writer in LEVELLED else None)
        assert record.seq == (said.seq if writer.__name__.startswith("kmsg") else None)


@pytest.mark.parametrize("writer", [syslog2, bare], ids=lambda writer: writer.__name__)
def test_formats_without_record_boundaries_keep_lines_in_order(writer: Writer) -> None:
    lines = [line for record in records_of(_log(writer, REPORT)) for line in record.text.split(b"\n")]
    assert lines == [line for said in REPORT for line in said.text.split(b"\n")]


@_ONE_LINE
@given(text=_texts.filter(lambda text: text.strip() == text and text != ""), usec=st.integers(0, 2**52))
def test_any_single_line_text_survives_every_format(writer: Writer, text: str, usec: int) -> None:
    said = Said(text.encode(), usec % 10**15, 4, 7)
    if (
        text[:1] in ("[", "(", ",", "<", "#")
        or "\\x" in text
        or "#0" in text
        or "#1" in text
        or ": " in text[:12]
    ):
        return  # begins like a further stamp, or spells an escape out: what these lose is said in escapes.py
    (record,) = records_of(writer(said))
    assert record.text == said.text
    assert record.kernel


_BY_NAME = {writer.__name__: writer for writer in WHOLE}
_WIDTHS = "journal_short_precise kmsg dmesg kmsg kmsg kmsg kmsg kmsg kmsg kmsg journal_json journal_short"
_LANGUAGES = (
    "dmesg_ctime dmesg_ctime dmesg_crlf dmesg_color rsyslog_without_host dmesg_ctime_german "
    "kmsg_with_dictionary tag_alone journal_short rsyslog_iso dmesg_color dmesg_ctime"
)
_TAGGED = "dmesg journal_short_monotonic" + 9 * " kmsg" + " dmesg"


@given(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=12))
@example([_BY_NAME[name] for name in _WIDTHS.split()])  # dates of two widths
@example([_BY_NAME[name] for name in _LANGUAGES.split()])  # days of two widths
@example([_BY_NAME[name] for name in _TAGGED.split()])  # a tag behind one stamp, none behind the other
def test_formats_may_change_within_stream(writers: list[Writer]) -> None:
    mixed = [
        (writer, said)
        for writer, said in zip(writers, REPORT, strict=False)
        if writer.__name__ != "journal_export"
    ]
    log = b"".join(writer(said) for writer, said in mixed)
    assert [record.text for record in records_of(log)] == [said.text for _, said in mixed]


@given(st.binary(min_size=1, max_size=200))
def test_raw_kmsg_preserves_every_byte(text: bytes) -> None:
    (record,) = records_of(kmsg(Said(text, 1, 3, 9)))
    assert record.text == text or text[:1] == b","


@pytest.mark.parametrize(
    ("line", "wall"),
    [
        (b"[Mon Nov 23 09:09:20 2026] x", "2026-11-23T09:09:20"),
        (b"[Di Aug 12 03:54:03 2025] x", "2025-08-12T03:54:03"),
        ("[月  1月 26 10:00:00 2026] x".encode(), "2026-01-26T10:00:00"),
        ("[mar. août 12 03:54:03 2025] x".encode(), "2025-08-12T03:54:03"),
        (b"[lun. mars  3 03:54:03 2025] x", "2025-03-03T03:54:03"),
        ("[Пн ноя 23 09:09:20 2026] x".encode(), "2026-11-23T09:09:20"),
        (b"2026-11-23T09:09:20,096069+00:00 x", "2026-11-23T09:09:20.096069+00:00"),
        (b"2026-11-23T09:09:20+0100 host kernel: x", "2026-11-23T09:09:20+01:00"),
        (b"2026-11-23T09:09:20.5Z host kernel: x", "2026-11-23T09:09:20.5+00:00"),
        (b"Mon 2026-11-23 09:09:20 UTC host kernel: x", "2026-11-23T09:09:20+00:00"),
        (b"Nov 23 09:09:20 host kernel: x", "Nov 23 09:09:20"),
        (b"1795425560.096069 host kernel: x", "2026-11-23T09:19:20.096069+00:00"),
    ],
)
def test_wall_time_is_rfc_3339_if_year_is_known(line: bytes, wall: str) -> None:
    (record,) = records_of(line)
    assert (record.text, record.wall) == (b"x", wall)


def test_journal_entries_have_utc_and_kernel_uptime() -> None:
    from tests.unit.kernel_logs.formats import journal_json

    (record,) = records_of(journal_json(REPORT[0]))
    assert record.usec == REPORT[0].usec
    assert record.wall is not None
    assert record.wall.endswith("+00:00")
    assert record.wall.startswith(f"{BOOT:%Y-%m-%dT}11:06:00")


@pytest.mark.parametrize(
    ("line", "usec", "caller", "level"),
    [
        (b"<4>[76541.325574] x", 76541325574, None, 4),
        (b"[   49.921978][ T6736] x", 49921978, b"T6736", None),
        (b"[   49.921978][    C0] x", 49921978, b"C0", None),
        (b"[    0.000000] [      T0] x", 0, b"T0", None),
        (b"[  766.096069 <    0.000005>] x", 766096069, None, None),
        (b"[<    0.000005>] x", None, None, None),
        (b"[  +0.000005] x", None, None, None),
        (b"[Nov23 09:09] x", None, None, None),
        (b"[  123.456789,0] x", 123456789, None, None),
        (b"[  123.456789] (2)[4251:binder] x", 123456789, None, None),
        (b"[  123.456789]  [0:  swapper/0:    0] x", 123456789, None, None),
        (b"    [  123.456789] x", 123456789, None, None),
        (b">> [  123.456789] x", 123456789, None, None),
        (b"Mon Nov 23 09:09:20 2026 kern.warn kernel: [  123.456789] x", 123456789, None, 4),
        (b"warning|kernel[-]|[2919920.414131] x", 2919920414131, None, 4),
    ],
)
def test_stamps_of_vendors_and_dmesg_options_are_removed(
    line: bytes, usec: int | None, caller: bytes | None, level: int | None
) -> None:
    (record,) = records_of(line)
    assert (record.text, record.usec, record.caller, record.level, record.kernel) == (
        b"x",
        usec,
        caller,
        level,
        True,
    )


def test_pr_cont_pieces_are_joined() -> None:
    log = (
        b"6,10,5000000,-,caller=T7;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,"
        b"mems_allowed=0\n"
        b"4,11,5000001,-,caller=T9;eth0: link up\n"
        b"6,12,5000002,c,caller=T7;,oom_memcg=/a,task_memcg=/a/b\n"
        b"6,13,5000003,c,caller=T7;,task=x,pid=3,uid=0\n"
    )
    first, second = records_of(log)
    assert first.text.endswith(b"mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=3,uid=0")
    assert second.text == b"eth0: link up"


@pytest.mark.parametrize("at_once", [2, 3, 5, 40])
@pytest.mark.parametrize(
    "writer",
    [
        dmesg,
        dmesg_caller,
        dmesg_ctime,
        dmesg_decode,
        dmesg_iso,
        syslog2,
        rsyslog,
        rsyslog_iso,
        journal_short_precise,
    ],
    ids=lambda writer: writer.__name__,
)
def test_messages_without_line_ends_are_split(writer: Writer, at_once: int) -> None:
    said = [record for record in REPORT if b"\n" not in record.text and record.text[:1] != b" "]
    written = [writer(record)[:-1] for record in said]
    lines = [b" ".join(written[at : at + at_once]) for at in range(0, len(written), at_once)]
    texts = [record.text for record in records_of(b"\n".join(lines))]
    kept = b"\x00".join(texts)
    for record in said:
        if record.text.startswith((b"oom-kill", b"Memory cgroup out", b"[", b"memory:", b"oom_reaper")):
            assert record.text in kept.split(b"\x00")


_stamp_parts = st.lists(
    st.sampled_from(
        [
            b"[",
            b"]",
            b" ",
            b"12",
            b".",
            b"123456",
            b"123.456789",
            b"T7",
            b"C0",
            b"(1)",
            b"7:",
            b"x",
            b",0",
            b"<",
        ]
    ),
    max_size=14,
).map(b"".join)


@settings(max_examples=2000)
@given(st.one_of(_stamp_parts, _stamp_parts.map(lambda rest: b"[   12.345678]" + rest)))
def test_usual_stamp_is_read_as_the_general_pattern_reads_it(line: bytes) -> None:
    usual, general = dmesg_format._USUAL_STAMP.match(line), dmesg_format._STAMP.match(line)
    if usual is not None:
        assert general is not None
        assert (usual.end(), usual[1] + b"." + usual[2], usual[3]) == (general.end(), general[1], general[4])


_tag_parts = st.lists(
    st.sampled_from(
        [
            b"kernel",
            b"app",
            b"kern.warn",
            b"[7]",
            b"[-]",
            b":",
            b" ",
            b"|",
            b"warning|app[7]|",
            b"[    1.000000] x",
        ]
    ),
    max_size=8,
).map(b"".join)


@settings(max_examples=2000)
@given(_tag_parts)
@example(b"host app[7]: x")
def test_line_of_other_program_is_read_as_by_the_general_parser(rest: bytes) -> None:
    line = b"Nov 23 09:09:20 " + rest
    quick = parse_other_program(line)
    assert quick is None or quick == parse_syslog(line)
    assert rest != b"host app[7]: x" or quick is not None
