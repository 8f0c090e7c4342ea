"""A node's kills by the hour, whatever becomes of the incidents."""

from __future__ import annotations

from pathlib import Path

import pytest

from oomkeeper.agent.adoption import adopt_incidents
from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.incident_counts import count_kill
from oomkeeper.agent.kill_history import HOURS, add_hours, kill_history
from oomkeeper.agent.store import Store
from oomkeeper.resources.oomincident import HourCount

from .kill_samples import recorded

NOW = 1_768_200_000.0
"""2026-01-12."""
HOST = Subject(node="node-a", cgroup="/system.slice/db.service")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


def count(store: Store, kill_id: str, when: str, *, counted_in: str | None = None) -> str:
    with store.transaction():
        return count_kill(
            store,
            record=recorded(kill_id),
            when=when,
            subject=HOST,
            counted_in=counted_in,
            operator_namespace="ops",
            wall=1_800_000_000.0,
        )


def test_no_kill_is_no_history(store: Store) -> None:
    assert kill_history(store, now=NOW) is None


def test_kills_are_counted_in_their_hour_and_a_renewed_record_once(store: Store) -> None:
    key = count(store, "k-1", "2026-01-01T10:59:59.9Z")
    count(store, "k-1", "2026-01-01T10:59:59.9Z", counted_in=key)
    count(store, "k-2", "2026-01-01T13:00:00Z")
    history = kill_history(store, now=NOW)
    assert history is not None
    assert (history.first_hour, history.kills) == ("2026-01-01T10:00:00Z", (1, 0, 0, 1))


def test_history_spans_a_week(store: Store) -> None:
    for day in range(1, 12):
        count(store, f"k-{day}", f"2026-01-{day:02}T10:00:00Z")
    history = kill_history(store, now=NOW)
    assert history is not None
    assert len(history.kills) <= HOURS
    assert sum(history.kills) == 7


def test_clock_that_is_years_ahead_for_a_while_loses_no_hour(store: Store) -> None:
    count(store, "k-1", "2026-01-01T10:00:00Z")
    with store.transaction():
        add_hours(store, [HourCount(hour="2035-05-05T05:00:00Z", kills=1)])
    history = kill_history(store, now=NOW)
    assert history is not None
    assert (history.first_hour, history.kills) == ("2026-01-01T10:00:00Z", (1,))
    history = kill_history(store, now=2_061_957_000.0)  # by that clock, in May 2035
    assert history is not None
    assert (history.first_hour, history.kills) == ("2035-05-05T05:00:00Z", (1,))
    with store.transaction():
        add_hours(store, [HourCount(hour="2035-05-05T05:00:00Z", kills=-1)])
        add_hours(store, [HourCount(hour="2026-01-01T11:00:00Z", kills=1)])
    history = kill_history(store, now=NOW)
    assert history is not None
    assert (history.first_hour, history.kills) == ("2026-01-01T10:00:00Z", (1, 1))


def test_new_database_starts_from_the_hours_of_adopted_incidents(store: Store, tmp_path: Path) -> None:
    count(store, "k-1", "2026-01-01T10:00:00Z")
    count(store, "k-2", "2026-01-01T11:00:00Z")
    (tmp_path / "new").mkdir()
    later = Store.open(tmp_path / "new")
    adopt_incidents(later, [incident for _, incident in store.incidents()])
    assert kill_history(later, now=NOW) == kill_history(store, now=NOW)
