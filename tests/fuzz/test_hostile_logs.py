"""The properties of `properties.py` on logs that Hypothesis and the fuzzer's own mutations make, bounded to
seconds; and what a forged line may never do."""

import tracemalloc
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oomkeeper.diagnosis import diagnose
from oomkeeper.model.kill import Kill

from . import seeds, shapes
from .properties import check, kills_of

LOGS = [log for log in seeds.logs() if log[:1].isdigit()]
"""Raw /dev/kmsg: the form that says who wrote a record."""

lines = st.one_of(
    st.sampled_from(seeds.lines()),
    st.binary(max_size=200),
    st.builds(lambda a, b: a + b, st.sampled_from(seeds.lines()), st.binary(max_size=40)),
)
words = st.sampled_from(
    [
        b"invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0",
        b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
        b"task_memcg=/,task=forged,pid=1,uid=0",
        b"Out of memory: Killed process 1 (forged) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB",
        b"memory: usage 1kB, limit 1kB, failcnt 1",
        b"Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled",
        b"Tasks in /a are going to be killed due to memory.oom.group set",
        b"Out of memory and no killable processes...",
        b"honest\\x0a4,1,1,-;Out of memory: Killed process 1 (forged) total-vm:1kB, anon-rss:1kB",
        b"Mem-Info:",
        b"Unreclaimable slab info:",
    ]
)


@given(st.lists(lines, max_size=60))
@settings(deadline=None, max_examples=150)
def test_any_lines_are_read_explained_and_rendered(chosen: list[bytes]) -> None:
    check(b"\n".join(chosen))


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_read(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize("seed", range(8))
def test_altered_real_reports_are_read_explained_and_rendered(seed: int) -> None:
    random = Random(seed)
    events = sum(check(shapes.alter(shapes.start(random), random)) for _ in range(60))
    assert events > 10


def _verdicts(kills: list[Kill]) -> list[tuple[object, ...]]:
    return [
        (
            verdict.cause,
            verdict.level,
            verdict.outcome,
            verdict.limit_bytes,
            verdict.contributors,
            verdict.summary,
            kill.victims,
            tuple(kill.tasks),
        )
        for kill in kills
        for verdict in [diagnose(kill)]
    ]


@given(log=st.sampled_from(LOGS), data=st.data())
@settings(deadline=None, max_examples=60)
def test_text_of_process_changes_no_verdict(log: bytes, data: st.DataObject) -> None:
    """/dev/kmsg gives every record that a process wrote a facility other than 0 (devkmsg_write())."""
    honest = log.split(b"\n")
    forged = list(honest)
    starts = [at for at, line in enumerate(honest) if line[:1].isdigit()]
    for at in sorted(data.draw(st.lists(st.sampled_from(starts), min_size=1, max_size=8)), reverse=True):
        text = data.draw(words).replace(b"\n", b"")
        facility = data.draw(st.integers(1, 127)) << 3 | data.draw(st.integers(0, 7))
        forged.insert(at, b"%d,%s,-;%s" % (facility, b",".join(honest[at].split(b",")[1:3]), text))
    assert _verdicts(kills_of(b"\n".join(forged))) == _verdicts(kills_of(log))


def _work(data: bytes) -> int:
    """Function calls, the same on any machine."""
    import sys

    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        check(data)
    finally:
        sys.setprofile(None)
    return calls


@given(unit=st.lists(lines, min_size=1, max_size=6))
# Each fragment after a row may be the row's rest, and looks for the header of its table.
@example(
    unit=[b"[    1.000000] Mem-Info:", b"6,1,9,-;[    865]     0   865      565      453 sh", b"x", b"x"]
)
@settings(deadline=None, max_examples=12)
def test_work_is_linear_in_log_size(unit: list[bytes]) -> None:
    block = b"\n".join(unit) + b"\n"
    once, twice = _work(block * 60), _work(block * 120)
    assert twice < once * 2.6 + 20_000


def test_memory_is_independent_of_number_of_events() -> None:
    from io import BytesIO

    from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
    from oomkeeper.kernel.report import parse_records

    def peak(times: int) -> int:
        stream = BytesIO(LOGS[0] * times)
        tracemalloc.start()
        for kill in parse_records(read_relevant_records(stream)):
            diagnose(kill)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    # The blocks that are read in one piece fill up first.
    assert peak(900) < peak(300) * 1.2


def test_reserved_pages_beyond_ram_make_no_negative_share() -> None:
    events = check(
        b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\nMem-Info:\n"
        b"active_anon:1000 inactive_anon:1 isolated_anon:0\n"
        b" slab_reclaimable:9 slab_unreclaimable:9\n"
        b"100 pages RAM\n500 pages reserved\n"
        b"Out of memory: Killed process 7 (x) total-vm:9kB, anon-rss:9kB, file-rss:0kB, shmem-rss:0kB\n"
    )
    assert events == 1
