"""The limits of last kills, for the alerts."""

from dataclasses import replace

import pytest

from oomkeeper.controller import last_kills
from oomkeeper.controller.last_kills import LABELS, last_kill_limits
from oomkeeper.reporting.incident import Incident, Workload

from .builders import NOW, incident


def limited(name: str, *, age: float = 60.0, limit_bytes: int = 1024, workload: str = "web") -> Incident:
    return replace(
        incident(name=name, age=age),
        limit_bytes=limit_bytes,
        advice=(("FitLimit", "raise it"), ("FindLeak", "look")),
        workload=Workload("shop", "Deployment", workload),
    )


def test_newest_incident_of_a_workload_gives_limit_and_remedy() -> None:
    found = last_kill_limits([limited("old", age=600), limited("new", limit_bytes=2048)], now=NOW)
    [(labels, limit)] = found.items()
    assert dict(zip(LABELS, labels, strict=True)) == {
        "namespace": "shop",
        "workload_kind": "Deployment",
        "workload": "web",
        "container": "app",
        "cause": "PodLimit",
        "remedy": "FitLimit",
        "incident": "new",
    }
    assert limit == 2048


def test_old_kills_hosts_and_kills_without_a_limit_are_left_out() -> None:
    others = [
        limited("old", age=4000),
        replace(limited("none"), limit_bytes=None),
        replace(limited("host"), workload=Workload("", "Cgroup", "/x")),
    ]
    assert last_kill_limits(others, now=NOW) == {}


def test_series_are_bounded_to_the_last_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_kills, "MAX_SERIES", 2)
    many = [limited(f"i{age}", age=age, workload=f"w{age}") for age in (30, 10, 20)]
    assert [labels[-1] for labels in last_kill_limits(many, now=NOW)] == ["i10", "i20"]
