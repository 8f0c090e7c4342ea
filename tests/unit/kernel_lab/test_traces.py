"""The reader of tracefs on what the lab's kernels wrote, whose records differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oomkeeper.agent.traced_kills import KillPairs
from tests.kernel_lab.logs import SETS
from tests.kernel_lab.traces import AT_THE_END, complete_since, load, mistakes, read_trace


@pytest.mark.parametrize("name", SETS)
def test_reader_finds_what_the_guest_did(name: str) -> None:
    truth, archive = load(name)
    assert mistakes(truth, read_trace(archive), cgroups=name[-2:]) == []


@pytest.mark.parametrize("name", SETS)
def test_other_victim_cgroup_or_killer_is_a_mistake(name: str) -> None:
    truth, archive = load(name)
    events = read_trace(archive)
    others = [
        replace(truth, victims=((1, "init"),)),
        replace(truth, facts={**truth.facts, "cgroup": "/other"}),
        replace(truth, facts={**truth.facts, "killer": "1"}),
        replace(truth, facts={**truth.facts, "removed": "no"}),
    ]
    assert [bool(mistakes(other, events, cgroups=name[-2:])) for other in others] == [True] * 4


@pytest.mark.parametrize(("name", "memory"), [("5.10-v2", False), ("6.1-v2", True), ("6.12-v2", True)])
def test_memory_of_the_victim_is_there_where_the_kernel_traces_it(name: str, memory: bool) -> None:
    """Since 6.8, and in the later releases of 6.1."""
    _, archive = load(name)
    (kill,) = KillPairs().take(read_trace(archive))
    assert (kill.anon_rss_kib is not None) is memory


@pytest.mark.parametrize("name", SETS)
def test_events_after_the_beginning_of_a_reading_come_with_the_next(name: str) -> None:
    """The CPUs are read in turn: a later event of one may be there before an earlier one of another."""
    _, archive = load(name)
    events = read_trace(archive)
    assert len(events) > 20
    assert read_trace(archive, until_ns=[*(event.time_ns for event in events), AT_THE_END]) == events


@pytest.mark.parametrize("name", SETS)
def test_events_before_the_first_of_each_cpu_may_have_been_read_by_a_killed_reader(name: str) -> None:
    """It may have taken the move of a process to a cgroup, and not yet its birth on another CPU."""
    _, archive = load(name)
    since = complete_since(archive)
    assert since is not None
    assert since >= min(event.time_ns for event in read_trace(archive))
