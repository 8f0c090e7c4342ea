"""Kills are dated anew when the clock is set: each once, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.clock_steps import ClockSteps
from oomkeeper.agent.incident_counts import store_kill
from oomkeeper.agent.incidents import status_of
from oomkeeper.agent.store import PAGE_KILLS, Store

from .kill_samples import recorded

HOUR = 3600.0
START = 1_800_000_000.0  # a full hour


class Clock:
    """A wall clock that can be set, and the agent's look at it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.wall, self.since_boot = START, 1000.0
        store.start_boot(boot_id="boot", since=rfc3339(START), cursor=0, vmstat_base=0, counters={})
        self.steps = ClockSteps(
            store=store, boot_id="boot", wall=lambda: self.wall, since_boot=lambda: self.since_boot
        )
        self.steps.check()

    def pass_seconds(self, seconds: float) -> None:
        self.wall += seconds
        self.since_boot += seconds

    def kill(self, number: int) -> None:
        """Record a kill of this moment."""
        now = self.steps.now()
        with self.store.transaction():
            store_kill(
                self.store,
                record=recorded(f"boot-{number}", time=rfc3339(now)),
                when=rfc3339(now),
                subject=Subject(node="node-a", cgroup="/job"),
                counts=True,
                counted_in=None,
                operator_namespace="ops",
                wall=now,
            )

    @property
    def times(self) -> list[str]:
        return [time for _, _, time in self.store.kill_times("boot")]


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    store = Store.open(tmp_path)
    yield Clock(store)
    store.close()


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_kill_between_a_step_and_the_next_look_is_moved_once(clock: Clock, step: float) -> None:
    clock.wall += step
    clock.pass_seconds(0.5)
    clock.kill(1)  # the clock is set, and the agent has not noticed
    clock.steps.check()
    assert clock.times == [rfc3339(START + step + 0.5)]
    clock.steps.check()
    assert clock.times == [rfc3339(START + step + 0.5)]
    assert clock.steps.now() == clock.wall


def test_slewed_clock_is_followed(clock: Clock) -> None:
    clock.pass_seconds(100)
    clock.wall += 1.5
    clock.steps.check()
    assert clock.steps.now() == START + 101.5
    assert clock.times == []


def test_every_kill_is_moved_and_every_count_kept(clock: Clock) -> None:
    kills = 2 * PAGE_KILLS + 10
    for number in range(kills):
        clock.pass_seconds(4)
        clock.kill(number)
    before = clock.times
    clock.wall += 10 * HOUR
    clock.steps.check()
    assert len(set(before)) == kills
    assert clock.times == [rfc3339(START + 4 * (number + 1) + 10 * HOUR) for number in range(kills)]
    [(_, incident)] = clock.store.incidents()
    status = status_of(incident)
    assert (status.first_seen, status.last_seen) == (clock.times[0], clock.times[-1])
    assert [kill.time for kill in status.kills] == clock.times[-1:-11:-1]
    assert status.count == kills
    assert [(hour.hour[:13], hour.kills) for hour in status.history] == [
        ("2027-01-15T18", 899),
        ("2027-01-15T19", kills - 899),
    ]
