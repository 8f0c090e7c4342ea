"""Records of the kernel's ring buffer, on pages made as include/linux/ring_buffer.h describes them."""

import random
import struct

import pytest

from oomkeeper.kernel.tracefs.events import CgroupJoined, ProcessMade, SignalSent, VictimMarked, decode
from oomkeeper.kernel.tracefs.formats import TraceFormatError, parse_format
from oomkeeper.kernel.tracefs.pages import PageLayout, parse_layout, parse_page

COMMON = """format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

"""
MARK_VICTIM_5_10 = f"""name: mark_victim
ID: 363
{COMMON}\tfield:int pid;\toffset:8;\tsize:4;\tsigned:1;

print fmt: "pid=%d", REC->pid
"""
MARK_VICTIM_6_8 = f"""name: mark_victim
ID: 609
{COMMON}\tfield:int pid;\toffset:8;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] comm;\toffset:12;\tsize:4;\tsigned:0;
\tfield:unsigned long total_vm;\toffset:16;\tsize:8;\tsigned:0;
\tfield:unsigned long anon_rss;\toffset:24;\tsize:8;\tsigned:0;
\tfield:unsigned long file_rss;\toffset:32;\tsize:8;\tsigned:0;
\tfield:unsigned long shmem_rss;\toffset:40;\tsize:8;\tsigned:0;
\tfield:uid_t uid;\toffset:48;\tsize:4;\tsigned:0;
\tfield:unsigned long pgtables;\toffset:56;\tsize:8;\tsigned:0;
\tfield:short oom_score_adj;\toffset:64;\tsize:2;\tsigned:1;

print fmt: "pid=%d comm=%s total-vm=%lukB", REC->pid, __get_str(comm), REC->total_vm
"""
SIGNAL_GENERATE = f"""name: signal_generate
ID: 261
{COMMON}\tfield:int sig;\toffset:8;\tsize:4;\tsigned:1;
\tfield:int errno;\toffset:12;\tsize:4;\tsigned:1;
\tfield:int code;\toffset:16;\tsize:4;\tsigned:1;
\tfield:char comm[16];\toffset:20;\tsize:16;\tsigned:0;
\tfield:pid_t pid;\toffset:36;\tsize:4;\tsigned:1;
\tfield:int group;\toffset:40;\tsize:4;\tsigned:1;
\tfield:int result;\toffset:44;\tsize:4;\tsigned:1;
"""
CGROUP_ATTACH_TASK = f"""name: cgroup_attach_task
ID: 538
{COMMON}\tfield:int dst_root;\toffset:8;\tsize:4;\tsigned:1;
\tfield:int dst_level;\toffset:12;\tsize:4;\tsigned:1;
\tfield:u64 dst_id;\toffset:16;\tsize:8;\tsigned:0;
\tfield:int pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] dst_path;\toffset:28;\tsize:4;\tsigned:0;
\tfield:__data_loc char[] comm;\toffset:32;\tsize:4;\tsigned:0;
"""
TASK_NEWTASK_5_10 = f"""name: task_newtask
ID: 205
{COMMON}\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;
\tfield:char comm[16];\toffset:12;\tsize:16;\tsigned:0;
\tfield:unsigned long clone_flags;\toffset:32;\tsize:8;\tsigned:0;
\tfield:short oom_score_adj;\toffset:40;\tsize:2;\tsigned:1;
"""
LAYOUT = PageLayout(commit_offset=8, commit_size=8, data_offset=16, page_bytes=4096)
MISSED_EVENTS, MISSED_STORED = 1 << 31, 1 << 30


def record(event_id: int, *, by_pid: int = 7, rest: bytes = b"") -> bytes:
    return struct.pack("=HBBi", event_id, 0, 0, by_pid) + rest


def head(kind: int, delta: int) -> bytes:
    return struct.pack("<I", kind | delta << 5)


def entry(data: bytes, *, delta: int = 0, long: bool = False) -> bytes:
    data += bytes(-len(data) % 4)
    if long or len(data) > 28 * 4:
        return head(0, delta) + struct.pack("<I", len(data) + 4) + data
    return head(len(data) // 4, delta) + data


def time_extend(delta: int) -> bytes:
    return head(30, delta & (1 << 27) - 1) + struct.pack("<I", delta >> 27)


def time_stamp(time: int) -> bytes:
    return head(31, time & (1 << 27) - 1) + struct.pack("<I", time >> 27 & (1 << 32) - 1)


def discarded(length: int, *, delta: int) -> bytes:
    return head(29, delta) + struct.pack("<I", length) + bytes(length - 4)


def page(*entries: bytes, started: int = 1000, lost: int | None = None) -> bytes:
    data = b"".join(entries)
    flags = 0 if lost is None else MISSED_EVENTS | MISSED_STORED
    tail = b"" if lost is None else struct.pack("<Q", lost)
    return (struct.pack("<QQ", started, len(data) | flags) + data + tail).ljust(4096, b"\xaa")


def test_layout_is_that_of_the_header_page() -> None:
    text = (
        "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
        "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
        "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
        "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n"
    )
    assert parse_layout(text) == LAYOUT
    with pytest.raises(TraceFormatError):
        parse_layout("\tfield: u64 timestamp;\toffset:0;\tsize:8;\n")


def test_times_add_up_over_every_kind_of_entry() -> None:
    far = 3_000_000_000_000
    parsed = parse_page(
        page(
            entry(record(1), delta=5),
            time_extend(10_000_000_000),
            entry(record(2), delta=1),
            discarded(44, delta=2),
            entry(record(3), delta=3),
            time_stamp(far),
            entry(record(4, rest=bytes(200)), delta=4),
            head(29, 0),
        ),
        LAYOUT,
    )
    begun = 1000 + 5
    times = [begun, begun + 10_000_000_001, begun + 10_000_000_006, far + 4]
    assert [time for time, _ in parsed.records] == times
    assert [data[0] for _, data in parsed.records] == [1, 2, 3, 4]
    assert not parsed.lost


def test_overwritten_records_are_told_by_the_page() -> None:
    parsed = parse_page(page(entry(record(1)), lost=17), LAYOUT)
    assert (parsed.lost, parsed.lost_count, len(parsed.records)) == (True, 17, 1)


def test_unused_rest_of_a_page_is_not_read() -> None:
    assert parse_page(page(), LAYOUT).records == ()


def test_page_that_contradicts_itself_is_refused() -> None:
    for broken in (b"", page()[:10], page(entry(record(1)))[:20], page(head(28, 0)), page(head(0, 0))):
        with pytest.raises(TraceFormatError):
            parse_page(broken, LAYOUT)


@pytest.mark.parametrize("seed", range(200))
def test_random_bytes_raise_nothing_else(seed: int) -> None:
    choose = random.Random(seed)
    data = bytearray(page(*(entry(record(1), delta=9) for _ in range(20))))
    for _ in range(choose.randrange(1, 60)):
        data[choose.randrange(300)] = choose.randrange(256)
    try:
        parse_page(bytes(data), LAYOUT)
    except TraceFormatError:
        return


def test_victim_before_6_8_is_a_pid_alone() -> None:
    fmt = parse_format(MARK_VICTIM_5_10)
    assert fmt.id == 363
    found = decode("oom/mark_victim", fmt, 5, record(363, by_pid=9, rest=struct.pack("=i", 4711)))
    assert found == VictimMarked(5, 9, 4711, *[None] * 8)


def test_victim_since_6_8_has_its_memory() -> None:
    fmt = parse_format(MARK_VICTIM_6_8)
    comm = b"a\nb \xff=\x00"
    rest = struct.pack("=iIQQQQI4xQh", 4711, 66 | len(comm) << 16, 60000, 48000, 4, 8, 1000, 140, -5) + comm
    found = decode("oom/mark_victim", fmt, 5, record(609, rest=rest))
    assert found == VictimMarked(5, 7, 4711, b"a\nb \xff=", 1000, 60000, 48000, 4, 8, 140, -5)


def test_signal_has_its_sender() -> None:
    fmt = parse_format(SIGNAL_GENERATE)
    rest = struct.pack("=iii16siii", 9, 0, -6, b"victim", 4711, 1, 2)
    found = decode("signal/signal_generate", fmt, 5, record(261, by_pid=77, rest=rest))
    assert found == SignalSent(5, 77, 4711, b"victim", 9, -6, 2)


def test_process_joins_a_cgroup() -> None:
    fmt = parse_format(CGROUP_ATTACH_TASK)
    path = b"/kubepods/pod1\0"
    rest = struct.pack("=iiQiII", 4, 2, 99, 4711, 36 | len(path) << 16, 36 | 0) + path
    found = decode("cgroup/cgroup_attach_task", fmt, 5, record(538, rest=rest))
    assert found == CgroupJoined(5, 7, 4711, 4, b"/kubepods/pod1")


def test_process_is_made_by_its_parent() -> None:
    fmt = parse_format(TASK_NEWTASK_5_10)
    rest = struct.pack("=i16s4xQh", 4711, b"sh", 0x200000011, 0)
    found = decode("task/task_newtask", fmt, 5, record(205, by_pid=8, rest=rest))
    assert found == ProcessMade(5, 8, 4711, 0x200000011)


def test_string_beyond_the_record_is_refused() -> None:
    fmt = parse_format(MARK_VICTIM_6_8)
    rest = struct.pack("=iIQQQQI4xQh", 4711, 66 | 5000 << 16, 1, 1, 1, 1, 1, 1, 1)
    with pytest.raises(TraceFormatError, match="lacks bytes"):
        decode("oom/mark_victim", fmt, 5, record(609, rest=rest))


def test_file_that_is_no_format_is_refused() -> None:
    for text in ("", "ID: x\n", "name: a\nID: 5\nformat:\n"):
        with pytest.raises(TraceFormatError):
            parse_format(text)
