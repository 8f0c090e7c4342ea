"""Kernel messages inside other text: read in files that a person hands in, never by the live reader."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.kmsg import parse_kmsg
from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.logs.tolerant.reading import TolerantReading
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Cause
from oomkeeper.model.kill import Kill
from tests.fuzz import seeds

from .test_forgery import FORGED_LINES

SIZES = "total-vm:1000kB, anon-rss:500kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:40kB oom_score_adj:999"
MEMCG = f"Memory cgroup out of memory: Killed process 7 (a b) {SIZES}"
NODE = f"Out of memory: Killed process 7 (a b) {SIZES}"
REPORT = (
    (Path(__file__).parents[1] / "cli" / "data" / "pod-limit-6.18-cgroup-v1.log").read_text().splitlines()
)
BARE = [line.partition("] ")[2] for line in REPORT]


def kills_in(text: str | bytes) -> list[Kill]:
    data = text.encode() if isinstance(text, str) else text
    records = read_relevant_records(io.BytesIO(data), tolerant=TolerantReading())
    return list(parse_records(records, excerpt=True))


def strict_kills(data: bytes) -> list[Kill]:
    return list(parse_records(read_records(io.BytesIO(data))))


def _facts(kill: Kill) -> tuple[object, ...]:
    return kill.victims, kill.oom_memcg, kill.task_memcg, kill.memory, list(kill.tasks), kill.invoker


@pytest.mark.parametrize(
    "date",
    [
        "jun 20 03:23:46",
        "JUN 20 03:23:46",
        "dic 20 03:23:46",
        "mars 20 03:23:46",
        "avril 20 03:23:46",
        "févr. 20 03:23:46",
        "Mär 20 03:23:46",
        "июл 20 03:23:46",
        "5月 29 03:23:46",
        "Sa 2026-06-20 03:23:46 CEST",
        "So. 2026-06-21 03:23:46 CEST",
        "2024 Oct  1 03:23:46",
    ],
)
def test_journal_in_any_language_is_read(date: str) -> None:
    log = "".join(f"{date} host kernel: {line}\n" for line in BARE)
    (kill,) = strict_kills(log.encode())
    assert kill.complete
    assert len(kill.tasks) == len(strict_kills("\n".join(BARE).encode())[0].tasks)
    assert strict_kills(f"{date} host app[7]: {NODE}\n".encode()) == []
    assert kills_in(f"{date} host app[7]: {NODE}\n") == []


@pytest.mark.parametrize("prefix", ["[Dec 1 05:21] ", "[Dec11 05:21] ", "[Dez 1 05:21] ", "[juin 1 05:21] "])
def test_dmesg_human_readable_stamp_is_read(prefix: str) -> None:
    (kill,) = strict_kills("".join(f"{prefix}{line}\n" for line in BARE).encode())
    assert kill.complete


@pytest.mark.parametrize(
    "line",
    [
        f"95s         Warning   OOMKilling   node/n1   {MEMCG}",
        f"  Warning  OOMKilling  95s  kernel-monitor  {MEMCG}",
        f'    "message": "{MEMCG}",',
        f'{{"textPayload":"[1.0] {MEMCG}\\r\\n"}}',
        f'{{"jsonPayload":{{"MESSAGE":"{MEMCG}","SYSLOG_IDENTIFIER":"kernel"}}}}',
        f'{{"jsonPayload":{{"message":"{MEMCG}"}},"logName":"projects/p/logs/kernel"}}',
        f'2024-10-01T09:00:00Z,n1,kernel,"{MEMCG}"',
        f'{{"log":"[    1.000000] {MEMCG}\\n","stream":"stdout","time":"2024-10-01T09:00:00Z"}}',
        f'{{"status":"success","data":{{"result":[{{"stream":{{}},"values":[["17","{MEMCG}"]]}}]}}}}',
        f'2024-10-01T09:00:00Z {{job="kern"}} {MEMCG}',
        f'2024-10-01T09:00:00Z {{job="kern"}} [1.0] {MEMCG}',
        f'{{"events":[{{"timestamp":1,"message":"[1.0] {MEMCG}","ingestionTime":1}}]}}',
        f'{{"kind":"Event","message":"{MEMCG}","reason":"OOMKilling"}}',
        f"MESSAGE={MEMCG}",
        f"`{MEMCG}`",
        f"`[    1.000000] {MEMCG}`",
        f"<td>{MEMCG}</td>",
        f"<p>&gt; {MEMCG}</p>",
        MEMCG.replace(" ", "\u00a0").replace("(a\u00a0b)", "(a b)"),
        MEMCG.replace("out of memory", "out&nbsp;of&nbsp;memory"),
        f"node1: [1.0] {MEMCG}",
        f"- [ 1.0] {MEMCG}",
        f"* {MEMCG}",
        f"kern.log:Jun 20 03:23:46 h kernel: {MEMCG}",
        f"/var/log/kern.log.1:881:Jun 20 03:23:46 h kernel: [  1.000000] {MEMCG}",
        f"20/06/2026 03:23 host kernel: {MEMCG}",
        f"I1123 09:09:20.0 1 log_monitor.go:160] New status: &{{Reason:OOMKilling Message:{MEMCG}}}",
        f'time="2026-11-23T09:09:20Z" level=warning msg="{MEMCG}"',
        f"2026-11-23T09:09:20.1Z stdout F [    1.000000] {MEMCG}",
    ],
)
def test_kill_line_in_unknown_wrapper_is_one_kill(line: str) -> None:
    (kill,) = kills_in(f"some text before\n{line}\nsome text after\n")
    (victim,) = kill.victims
    assert (victim.pid, victim.comm, victim.anon_rss_bytes) == (7, "a b", 500 * 1024)
    assert diagnose(kill).cause is Cause.UNKNOWN_CGROUP_LIMIT


def test_chosen_process_in_combined_event_is_one_kill() -> None:
    (kill,) = kills_in(
        "Message:(combined from similar events): Memory cgroup out of memory: Kill process 1 (x) score 9 or "
        "sacrifice child\n"
    )
    assert [(victim.pid, victim.comm) for victim in kill.victims] == [(1, "x")]
    assert diagnose(kill).cause is Cause.UNKNOWN_CGROUP_LIMIT


@pytest.mark.parametrize(
    "prefix",
    [
        lambda number: f"{number}:",
        lambda number: f"{number}{':' if number % 5 == 0 else '-'}",
        lambda number: f"kern.log:{number}:",
        lambda _: "host1: ",
        lambda _: "web_1  | ",
        lambda number: f"2024-10-01 09:00:{number % 60:02d}.123 n1 ",
        lambda _: '2024-10-01T09:00:00Z {job="kern"} ',
        lambda _: "[pod/kmsg-x/kmsg] ",
    ],
)
@pytest.mark.parametrize("lines", [REPORT, BARE, [f"Jun 20 03:23:46 h kernel: {line}" for line in REPORT]])
def test_whole_report_with_prefix_is_read(prefix: Callable[[int], str], lines: list[str]) -> None:
    (plain,) = strict_kills("\n".join(lines).encode())
    wrapped = "".join(f"{prefix(number)}{line}\n" for number, line in enumerate(lines, 1))
    (kill,) = kills_in(f"before\n{wrapped}")
    assert _facts(kill) == _facts(plain)
    assert kill.complete


@pytest.mark.parametrize("quote", ['    "message": "{}",', '{{"message":"{}"}}', "x: {}"])
def test_choice_and_kill_in_one_message_are_one_kill(quote: str) -> None:
    chosen = "Memory cgroup out of memory: Kill process 7 (a b) score 9 or sacrifice child"
    (kill,) = kills_in(quote.format(rf"{chosen}\nKilled process 7 (a b) {SIZES}"))
    assert [victim.anon_rss_bytes for victim in kill.victims] == [500 * 1024]


@pytest.mark.parametrize("prefix", ["{}:", "host1: ", "kern.log:{}:"])
def test_truncated_header_behind_a_prefix_does_not_absorb_the_next_lines(prefix: str) -> None:
    lines = [
        "[49689.294138] ip invoked oom-killer: gfp_mask=0xc2cc0(GFP_KERNEL|__GFP_COMP), order=3, "
        "oom_score_adj=0 ...",
        "[49689.294425] Unreclaimable slab info:",
        "[49689.329363] btrfs_extent_map     3207098KB    3375622KB",
    ]
    wrapped = "".join(prefix.format(number) + f"{line}\n" for number, line in enumerate(lines, 1))
    assert kills_in(wrapped) == strict_kills("\n".join(lines).encode())


def _docker(lines: list[str]) -> str:
    return "".join(json.dumps({"log": f"{line}\n", "stream": "stdout"}) + "\n" for line in lines)


def _google(lines: list[str]) -> str:
    return "".join(json.dumps({"textPayload": f"{line}\r\n", "severity": "INFO"}) + "\n" for line in lines)


def _cloudwatch(lines: list[str]) -> str:
    return json.dumps({"events": [{"timestamp": 1, "message": line} for line in lines]})


def _loki(lines: list[str]) -> str:
    values = [[str(10**18 + number), line] for number, line in enumerate(lines)]
    return json.dumps({"data": {"result": [{"stream": {"job": "k"}, "values": values[::-1]}]}})


def _logcli(lines: list[str]) -> str:
    return "".join(json.dumps({"labels": {}, "line": line, "timestamp": "x"}) + "\n" for line in lines)


def _one_string(lines: list[str]) -> str:
    return json.dumps({"body": "\n".join(lines)})


def _pretty(lines: list[str]) -> str:
    return json.dumps({"items": [{"message": line} for line in lines]}, indent=2)


@pytest.mark.parametrize("wrap", [_docker, _google, _cloudwatch, _loki, _logcli, _one_string])
@pytest.mark.parametrize("lines", [REPORT, BARE])
def test_whole_report_in_json_is_read(wrap: Callable[[list[str]], str], lines: list[str]) -> None:
    (plain,) = strict_kills("\n".join(lines).encode())
    (kill,) = kills_in(wrap(lines))
    assert _facts(kill) == _facts(plain)
    assert kill.complete


def test_kill_in_pretty_printed_json_is_one_kill() -> None:
    (kill,) = kills_in(_pretty(["Started container", MEMCG, "Pulled image"]))
    assert kill.victims[0].pid == 7


@pytest.mark.parametrize(
    "echo",
    [
        f"I1123 09:09:20.0 1 log_monitor.go:160] New status: &{{Reason:OOMKilling Message:{MEMCG}}}",
        f"95s  Warning  OOMKilling  node/n1  {MEMCG}",
        f'time="2026-11-23T09:09:20Z" level=info msg="{MEMCG}"',
        f"Jun 20 03:23:47 h node-problem-detector[9]: {MEMCG}",
        "95s Warning OOMKilling node/n1 Memory cgroup out of memory: Kill process 7 (a b) score 9 or "
        "sacrifice child",
    ],
)
def test_quoted_kill_that_is_already_known_is_no_second_kill(echo: str) -> None:
    assert len(kills_in(f"[    1.000000] {MEMCG}\n{echo}\n{echo}\n")) == 1


@pytest.mark.parametrize("tag", ["[ oom-killer ] ", "[oom-kill] ", ""])
@pytest.mark.parametrize("indent", ["               ", "  ", ""])
def test_tagged_kill_line_on_several_lines_keeps_its_sizes(tag: str, indent: str) -> None:
    broken = MEMCG.replace(") total-vm", f") \n{indent}total-vm").replace(
        " oom_score", f" \n{indent}oom_score"
    )
    (kill,) = kills_in(f"[    1.000000] {tag}{broken}\n[    1.000001] oom_reaper: reaped process 7 (a b)\n")
    (victim,) = kill.victims
    assert (victim.anon_rss_bytes, victim.oom_score_adj) == (500 * 1024, 999)
    assert kill.reaped == (7,)


def test_strict_reader_reads_no_tagged_kill_line() -> None:
    assert strict_kills(f"[    1.000000] [ oom-killer ] {MEMCG}\n".encode()) == []


@pytest.mark.parametrize("at", [1, 5, 7, 20, 70])
@pytest.mark.parametrize("inner", ["", "/" + "b" * 20])
def test_broken_path_of_a_limit_is_joined_without_a_blank(at: int, inner: str) -> None:
    limit = f"/kubepods/pod0a1b2c3d-0000-1111-2222-333344445555/{'a' * 64}"
    line = f"Task in {limit}{inner} killed as a result of limit of "
    (kill,) = kills_in(f"[    1.000000] {line}{limit[:at]}\n{limit[at:]}\n[    1.000000] {MEMCG}\n")
    assert (kill.oom_memcg, kill.task_memcg) == (limit, limit + inner)


def test_two_kernel_kills_of_one_pid_are_two_kills() -> None:
    assert len(kills_in(f"[    1.000000] {MEMCG}\n[ 9001.000000] {MEMCG}\n")) == 2


UNNAMED_WRITERS = (b"time=", b"I1123", b'{"log"', b"2026-11-23T09:09:20.000001Z stdout")
"""How the forged lines begin whose format names no writer."""


@pytest.mark.parametrize("line", [line for line in FORGED_LINES if not line.startswith(UNNAMED_WRITERS)])
def test_line_of_named_writer_stays_foreign(line: bytes) -> None:
    assert kills_in(line + b"\n") == []
    if not line.startswith(b"__CURSOR"):  # an export is recognised at the beginning of a log
        assert kills_in(b"[    1.000000] usb 1-1: new device\n" + line + b"\n") == []


@pytest.mark.parametrize("line", FORGED_LINES)
def test_strict_reader_reads_no_quoted_line(line: bytes) -> None:
    assert strict_kills(line + b"\n") == []


@pytest.mark.parametrize("text", [f"95s Warning OOMKilling node/n1 {MEMCG}", f"`{MEMCG}`", f"host1: {MEMCG}"])
def test_live_reader_takes_no_kill_inside_other_text(text: str) -> None:
    """/dev/kmsg, the kernel's own facility: the kernel prints a kill line only at the start of a record."""
    record = parse_kmsg(f"4,1,1000000,-;{text}\n".encode())
    assert record is not None
    assert record.kernel
    assert list(parse_records([record])) == []


@pytest.mark.parametrize("log", [log for log in seeds.logs() if len(log) < 200_000][:60])
def test_tolerant_reading_changes_nothing_in_plain_log(log: bytes) -> None:
    assert kills_in(log) == strict_kills(log)


_JUNK = st.sampled_from(
    [b"{", b"[", b'"', b'{"a":', b"<td>", b"&nbsp;", b"12:", b"host1: ", b"kernel: ", b"[1.0] ", b"\xc2\xa0"]
)


@given(st.lists(_JUNK | st.binary(max_size=20) | st.sampled_from(seeds.lines()), max_size=40))
def test_any_bytes_are_read_tolerantly(parts: list[bytes]) -> None:
    kills_in(b"".join(parts))
    kills_in(b"\n".join(parts))


@pytest.mark.parametrize(
    "unit",
    [
        b"{",
        b"[",
        b'{"a":',
        b"<td>",
        b"</",
        b"&nbsp;",
        b"\xc2\xa0",
        b"12:",
        b"a:",
        b"host: ",
        b"kernel: ",
        b"Killed process 1 (",
        b"Memory cgroup out of memory: Kill process 1 ",
        b"oom-kill:constraint=",
        b"oom-kill:constraint=\n",
        b"\nx CPU: 1 PID: 1 ",
        b"\n1:Mem-Info:",
        b"\nx invoked oom-killer: gfp_mask=",
        b"Tasks in /",
        b'\n{"log":"[ 1.0] Out of memory: Killed process 1 (a) total-vm:1kB"}',
        b"\n`Out of memory: Killed process 1 (a) total-vm:1kB`",
    ],
)
def test_tolerant_time_is_linear_in_log_size(unit: bytes) -> None:
    import time

    def cost(size: int) -> float:
        log = unit * (size // len(unit))
        begun = time.process_time()
        kills_in(log)
        return time.process_time() - begun

    small = min(cost(50_000) for _ in range(2))
    assert cost(400_000) < 8 * 4 * small + 0.5
