"""Stretches of plain lines, taken in one call: the same records, and the same events, as line by line."""

import io
import re
from random import Random

import pytest

from oomkeeper.kernel.logs import LogCounts, read_log, read_records, runs
from oomkeeper.kernel.report import ReportAssembler, event, parse_records
from oomkeeper.model.log import Logged, LogRecord, LogRun, singly
from tests.fuzz import seeds, shapes

_STAMP = re.compile(rb"^\[ *\d+\.\d{6}\] ", re.MULTILINE)
_FRAMES = (
    b"",
    b"[%5d.%06d] ",
    b"[%5d.%06d][ T%d] ",
    b"Nov 23 09:%02d:%02d node-7 kernel: ",
    b"Nov 23 09:%02d:%02d node-7 kernel: [ 1000.%06d] ",
    b"<4>[%5d.%06d] ",
    b"<6>kernel: [%5d.%06d] ",
    b"2026-11-23T09:%02d:%02d.%06d+00:00 host kernel: ",
)
_NOISE = b"".join(
    b"Nov 23 09:00:00 node-7 " + words + b"\n"
    for number in range(300)
    for words in (b"sshd[%d]: closed" % number, b"systemd[1]: Started Session %d." % number)
)


def _framed(log: bytes, frame: bytes) -> bytes:
    def prefix(number: int) -> bytes:
        return frame % (number // 60 % 60, number % 60, 7)[: frame.count(b"%")]

    lines = _STAMP.sub(b"", log).split(b"\n")
    return b"\n".join(prefix(number) + line for number, line in enumerate(lines))


def _log(seed: int) -> bytes:
    """A hostile log out of a real one, some of whose lines were framed before they were altered."""
    random = Random(seed)
    log = random.choice(seeds.logs())
    if random.random() < 0.8:
        log = _framed(log, random.choice(_FRAMES))
    if random.random() < 0.3:
        log = _NOISE[: random.randrange(len(_NOISE))] + log + b"\n" + _NOISE
    for _ in range(random.randrange(3)):
        log = shapes.alter(log, random)
    return log * random.randrange(1, 3)


def _run(texts: list[bytes], *, caller: bytes | None = None) -> LogRun:
    return LogRun(b"".join(b"\n" + text for text in texts), caller=caller)


def _logged(log: bytes, monkeypatch: pytest.MonkeyPatch, *, least: int) -> tuple[list[Logged], LogCounts]:
    monkeypatch.setattr(runs, "LEAST_BYTES", least)
    counts = LogCounts()
    return list(read_log(io.BytesIO(log), counts=counts)), counts


@pytest.mark.parametrize("part", range(8))
def test_runs_hold_what_the_lines_give_one_by_one(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    in_runs = 0
    for seed in range(part * 60, part * 60 + 60):
        log = _log(seed)
        quick, quick_counts = _logged(log, monkeypatch, least=0)
        slow, slow_counts = _logged(log, monkeypatch, least=1 << 30)
        assert list(singly(quick)) == slow, seed
        assert quick_counts == slow_counts, seed
        assert not any(isinstance(item, LogRun) for item in slow)
        in_runs += sum(len(item) for item in quick if isinstance(item, LogRun))
    assert in_runs > 1000, "there was nothing to compare"


@pytest.mark.parametrize("part", range(4))
def test_events_of_runs_are_those_of_their_records(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(1000 + part * 60, 1060 + part * 60):
        logged, _ = _logged(_log(seed), monkeypatch, least=0)
        one_by_one = ReportAssembler()
        kills = [kill for record in singly(logged) for kill in one_by_one.feed(record)]
        assert list(parse_records(logged)) == [*kills, *one_by_one.flush()], seed


@pytest.mark.parametrize("frame", _FRAMES)
def test_a_plain_report_comes_in_runs(frame: bytes) -> None:
    (log,) = (log for log in seeds.logs() if log.startswith(b"[ 1330.878670] tail invoked"))
    records = list(read_log(io.BytesIO(_framed(log, frame) if frame else log)))
    assert sum(len(item) for item in records if isinstance(item, LogRun)) > 80
    assert list(singly(records)) == list(read_records(io.BytesIO(_framed(log, frame) if frame else log)))


_HEADER = b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
_TITLE = b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
_KILL = b"Out of memory: Killed process 1 (task) total-vm:400kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB"


def test_a_table_beyond_the_first_check_fills_one_section() -> None:
    rows = [
        b"[%7d]     0 %7d      100       10    40960        0             0 task" % (n, n)
        for n in range(9000)
    ]
    (killed,) = parse_records([_run([_HEADER, _TITLE, *rows]), LogRecord(_KILL)])
    assert len(killed.tasks) == 9000


def test_a_report_beyond_the_bound_keeps_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event, "MAX_EVENT_BYTES", 40_000)
    rows = [
        b"[%7d]     0 %7d      100       10    40960        0             0 task" % (n, n) for n in range(900)
    ]
    run = _run([_HEADER, _TITLE, *rows, _KILL])
    (killed,) = parse_records([run])
    assert 200 < len(killed.tasks) < 400
    assert not killed.complete
    assert [killed] == list(parse_records(run.records()))


def test_thousands_of_other_lines_end_a_report_that_was_cut() -> None:
    noise = [b"usb 1-1: new high-speed USB device number %d" % n for n in range(40_000)]
    head = _run([_HEADER])
    rest = [_run(noise[at : at + 3000]) for at in range(0, len(noise), 3000)]
    kills = list(parse_records([head, *rest, _run([_KILL])]))
    assert [kill.header_seen for kill in kills] == [True, False]
    assert kills == list(parse_records(singly([head, *rest, _run([_KILL])])))


def test_records_of_another_caller_stay_out_of_a_report() -> None:
    head = LogRecord(_HEADER, caller=b"T1")
    foreign = _run([b"CPU: 1 UID: 0 PID: 7 Comm: y Not tainted 6.18.0 #1"] * 20, caller=b"T2")
    own = _run([b"CPU: 1 UID: 0 PID: 9 Comm: x Not tainted 6.18.0 #1"] * 20, caller=b"T1")
    kill = LogRecord(
        b"Out of memory: Killed process 9 (x) total-vm:4kB, anon-rss:4kB, file-rss:0kB", caller=b"T1"
    )
    (killed,) = parse_records([head, foreign, own, kill])
    assert killed.invoker is not None
    assert killed.invoker.pid == 9


@pytest.mark.parametrize("comm", [b"a|b", b"a#012b", b"a#b", b"x [7] y", b"a\\x0ab", b"[kworker]", b""])
@pytest.mark.parametrize("frame", [b"", b"[%5d.%06d] ", b"Nov 23 09:%02d:%02d node-7 kernel: "])
def test_any_name_in_a_table_is_read_alike(
    comm: bytes, frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        b"[%7d]     0 %7d      100       10    40960        0             0 %s"
        % (n, n, comm if n % 100 == 50 else b"task")
        for n in range(400)
    ]
    log = _framed(b"\n".join([_TITLE, *rows]), frame) + b"\n"
    quick, _ = _logged(log, monkeypatch, least=0)
    slow, _ = _logged(log, monkeypatch, least=1 << 30)
    assert list(singly(quick)) == slow
    assert any(isinstance(item, LogRun) for item in quick)


def test_words_of_the_framing_are_not_the_records() -> None:
    lines = b"".join(b"\nNov 23 09:00:00 out_of_memory kernel: " + text for text in (b"a", b"out", b"b"))
    run = LogRun(lines, width=len("Nov 23 09:00:00 out_of_memory kernel: "))
    assert run.texts() == [b"a", b"out", b"b"]
    assert run.joined() == b"a\nout\nb"
    assert not run.holds(b"out_of_memory")
    assert run.holds(b"out")
    assert not run.holds(b"kernel")


def test_a_run_without_its_last_records() -> None:
    run = _run([b"a", b"b", b"c"])
    rest, last = run.without_last(2)
    assert rest is not None
    assert rest.texts() == [b"a"]
    assert [record.text for record in last] == [b"b", b"c"]
    rest, last = run.without_last(7)
    assert rest is None
    assert [record.text for record in last] == [b"a", b"b", b"c"]
