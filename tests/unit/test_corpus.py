"""Real logs from public sources with the verdict each must get, read where they lie; they are no part of the
repository."""

import csv
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Cause, ContributorName, Outcome
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.kill import Kill

CORPUS = Path(os.environ.get("OOMKEEPER_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")

CAUSES = {
    "global": Cause.NODE_MEMORY,
    "global_kernel_slab": Cause.NODE_MEMORY,
    "global_zone_lowmem": Cause.ZONE_MEMORY,
    "fragmentation": Cause.FRAGMENTATION,
    "numa_cpuset": Cause.NUMA_CPUSET,
    "manual_sysrq": Cause.MANUAL_TRIGGER,
    "bpf_policy": Cause.EXTERNAL_POLICY,
    "cgroup_limit": Cause.CGROUP_LIMIT,
    "cgroup_limit_ancestor": Cause.ANCESTOR_CGROUP_LIMIT,
    "cgroup_limit_pod": Cause.POD_LIMIT,
    "cgroup_limit_unknown_level": Cause.UNKNOWN_CGROUP_LIMIT,
}


class Expected(NamedTuple):
    """One row of INDEX.tsv."""

    file: str
    kernel: str
    cause: str
    victims: list[tuple[int, str]]
    oom_memcg: list[str]
    task_memcg: list[str]
    limits_kib: list[int]


def _rows() -> list[Expected]:
    index = CORPUS / "INDEX.tsv"
    if not index.is_file():
        return []
    with index.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        Expected(
            file=row["file"],
            kernel=row["kernel"],
            cause=row["expected_cause"],
            victims=list(_victims(row["victims"])),
            oom_memcg=_paths(row["oom_memcg"]),
            task_memcg=_paths(row["task_memcg"]),
            limits_kib=[int(part[:-2]) for part in row["memory_limit"].split(";") if part.endswith("kB")],
        )
        for row in rows
    ]


def _victims(text: str) -> Iterator[tuple[int, str]]:
    """`1:a,2:b(note)`, or `1,2,3:a` for three processes of one name."""
    waiting: list[int] = []
    for part in text.split(","):
        pid, _, comm = part.partition(":")
        if not pid.isdigit():
            continue
        waiting.append(int(pid))
        if comm:
            yield from ((one, comm.partition("(")[0]) for one in waiting)
            waiting = []


def _paths(text: str) -> list[str]:
    return [path for path in text.split(";") if path.startswith(("/", "…"))]


def _matches(path: str | None, expected: str) -> bool:
    """An ellipsis in the index stands for what its author left out."""
    if path is None:
        return False
    head, _, tail = expected.partition("…")
    if "…" in tail:
        tail = tail.partition("…")[0]
        return path.startswith(head) and tail in path
    return path == expected if "…" not in expected else path.startswith(head) and path.endswith(tail)


@cache
def _verdicts(file: str) -> tuple[tuple[Kill, Diagnosis], ...]:
    with (CORPUS / file).open("rb") as stream:
        return tuple((kill, diagnose(kill)) for kill in parse_records(read_records(stream)))


ROWS = _rows()
needs_corpus = pytest.mark.skipif(not ROWS, reason=f"no corpus at {CORPUS} (set OOMKEEPER_CORPUS)")
each_log = pytest.mark.parametrize("row", ROWS or [None], ids=[row.file[:3] for row in ROWS] or ["none"])


@needs_corpus
@each_log
def test_every_log_has_verdict_of_index(row: Expected) -> None:
    found = _verdicts(row.file)
    causes = [verdict.cause for _, verdict in found]
    assert CAUSES[row.cause] in causes
    # Events that the index does not list: a second one that panicked, and those with only one line left.
    whole = [verdict.cause for kill, verdict in found if kill.complete and not kill.no_killable]
    assert set(whole) <= {CAUSES[row.cause]}


@needs_corpus
@each_log
def test_every_victim_of_index_is_found(row: Expected) -> None:
    found = {(victim.pid, victim.comm) for kill, _ in _verdicts(row.file) for victim in kill.victims}
    assert set(row.victims) <= found


@needs_corpus
@each_log
def test_cgroups_match_index(row: Expected) -> None:
    kills = [kill for kill, _ in _verdicts(row.file)]
    for expected in row.oom_memcg:
        assert any(_matches(kill.oom_memcg, expected) for kill in kills)
    for expected in row.task_memcg:
        assert any(_matches(kill.task_memcg, expected) for kill in kills)
    if row.cause.startswith("cgroup") and not row.task_memcg and row.oom_memcg:
        assert all(kill.task_memcg == kill.oom_memcg for kill in kills if kill.oom_memcg)


@needs_corpus
@each_log
def test_memory_limits_match_index(row: Expected) -> None:
    printed = {
        kill.memory.memory.limit_bytes if kill.memory.memory else verdict.limit_bytes
        for kill, verdict in _verdicts(row.file)
    }
    assert {limit * 1024 for limit in row.limits_kib} <= printed


@needs_corpus
@each_log
def test_kernel_release_is_read(row: Expected) -> None:
    for kill, _ in _verdicts(row.file):
        if kill.kernel_release is not None:
            assert kill.kernel_release.split("-")[0].rstrip("+") in row.kernel


@needs_corpus
def test_slab_cache_that_filled_node_is_named() -> None:
    for row in ROWS:
        if row.cause == "global_kernel_slab":
            top = _verdicts(row.file)[0][1].contributors[0]
            assert top.name is ContributorName.KERNEL_SLAB
            assert top.detail in {"kmemleak_object", "btrfs_extent_map"}


@needs_corpus
def test_panic_event_is_separate_from_preceding_kill() -> None:
    (row,) = [row for row in ROWS if row.file.startswith("015")]
    outcomes = [(verdict.cause, verdict.outcome) for _, verdict in _verdicts(row.file)]
    assert outcomes == [
        (Cause.NODE_MEMORY, Outcome.KILLED),
        (Cause.NO_KILLABLE_PROCESS, Outcome.PANICKED),
    ]
