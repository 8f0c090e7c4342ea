"""Which incidents are deleted."""

from __future__ import annotations

import pytest

from oomkeeper.controller.incident_bounds import IncidentBounds, surplus

from .builders import NOW, incident

WEEK = 7 * 24 * 3600.0


def names(*incidents, **bounds: int) -> list[str]:
    return [one.name for one in surplus(incidents, bounds=IncidentBounds(**bounds), now=NOW)]


@pytest.mark.parametrize(("age", "dropped"), [(WEEK - 1, []), (WEEK + 1, ["a"])])
def test_incident_is_dropped_a_week_after_its_last_kill(age: float, dropped: list[str]) -> None:
    assert names(incident(name="a", age=age)) == dropped


def test_oldest_incidents_of_a_full_namespace_are_dropped() -> None:
    shop = [incident(name=f"shop-{age}", age=float(age)) for age in (3, 1, 4, 2)]
    bank = [incident(name=f"bank-{age}", namespace="bank", age=float(age)) for age in (9, 8)]
    assert names(*shop, *bank, per_namespace=2) == ["shop-4", "shop-3"]


def test_oldest_incidents_of_a_full_cluster_are_dropped() -> None:
    every = [incident(name=f"i-{age}", namespace=f"ns-{age}", age=float(age)) for age in range(6)]
    assert names(*every, in_cluster=4) == ["i-5", "i-4"]


def test_bounds_that_are_not_reached_drop_nothing() -> None:
    assert names(*(incident(name=f"i-{age}", age=float(age)) for age in range(200))) == []
