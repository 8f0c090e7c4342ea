"""The node's own panic breaker: its panics, a limit, and what is enforced."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.desired import Desired, parse_sysctl
from oomkeeper.agent.panic_breaker import PanicBreaker
from oomkeeper.agent.panics import PANICS_NOTE
from oomkeeper.agent.records import PanicNote
from oomkeeper.agent.store import Store
from oomkeeper.agent.sysctl_enforcer import SysctlPass
from oomkeeper.resources.oomnode import DesiredSysctl, ObservedSysctl, PanicLimit

NOW = 1_800_000_000.0
LIMIT = PanicLimit(max_panics=1, window_seconds=3600, counted_from=rfc3339(NOW - 86400))
PANICS = DesiredSysctl(name="vm.panic_on_oom", value=1, policy="p", panic_limit=LIMIT)
OTHER = DesiredSysctl(name="vm.swappiness", value=10, policy="p")


class Node:
    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "state")
        self.now = NOW
        self.breaker = self.start()

    def start(self) -> PanicBreaker:
        self.breaker = PanicBreaker(store=self.store, wall=lambda: self.now)
        return self.breaker

    def panicked(self, *ages: float) -> None:
        found = {f"panic-{age}": rfc3339(self.now - age) for age in ages}
        self.store.put_note(PANICS_NOTE, PanicNote(found=found))

    def enforced(self, entry: DesiredSysctl = PANICS) -> int:
        """The value of vm.panic_on_oom that is enforced."""
        applied = self.breaker.apply(Desired(generation=3, sysctls=(OTHER, entry)))
        assert (applied.generation, applied.sysctls[0]) == (3, OTHER)
        return applied.sysctls[1].value

    def reported(self, *, state: str = "InSync") -> ObservedSysctl:
        status = ObservedSysctl(name="vm.panic_on_oom", desired=0, actual=0, state=state, reason=None)
        return self.breaker.report(SysctlPass(statuses=(status,))).statuses[0]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize(
    ("ages", "value"),
    [((), 1), ((60,), 1), ((60, 120), 0), ((60, 3601), 1), ((7200, 7300), 1), ((90_000, 60), 1)],
)
def test_more_panics_than_the_limit_set_the_value_to_zero(
    node: Node, ages: tuple[float, ...], value: int
) -> None:
    node.panicked(*ages)
    assert node.enforced() == value


def test_trip_is_reported_as_refused_with_the_reason(node: Node) -> None:
    node.panicked(60, 120)
    node.enforced()
    found = node.reported()
    assert (found.desired, found.actual, found.state, found.reason) == (1, 0, "Refused", "PanicBreaker")
    assert found.message is not None
    assert "2 OOM panics" in found.message


def test_reason_for_a_zero_that_cannot_be_written_stays(node: Node) -> None:
    node.panicked(60, 120)
    node.enforced()
    assert node.reported(state="Drifted").state == "Drifted"


def test_trip_outlives_the_window_and_a_restart(node: Node) -> None:
    node.panicked(60, 120)
    assert node.enforced() == 0
    node.now += 7 * 86400
    node.start()
    assert node.enforced() == 0


def test_reset_by_a_person_is_another_time_in_the_limit(node: Node) -> None:
    node.panicked(60, 120)
    assert node.enforced() == 0
    again = replace(LIMIT, counted_from=rfc3339(NOW))
    assert node.enforced(replace(PANICS, panic_limit=again)) == 1
    assert node.reported().state == "InSync"


@pytest.mark.parametrize(
    "entry",
    [
        replace(PANICS, panic_limit=None),
        replace(PANICS, mode="Audit"),
        replace(PANICS, value=0),
        replace(PANICS, panic_limit=replace(LIMIT, max_panics=2)),
    ],
)
def test_other_entries_are_left_alone(node: Node, entry: DesiredSysctl) -> None:
    node.panicked(60, 120)
    assert node.enforced(entry) == entry.value


def test_limit_with_a_malformed_time_is_set_aside() -> None:
    raw = {"name": "vm.panic_on_oom", "value": 1, "policy": "p"}
    limit = {"maxPanics": 1, "windowSeconds": 60, "countedFrom": "yesterday"}
    with pytest.raises(ValueError, match="countedFrom"):
        parse_sysctl(raw | {"panicLimit": limit})
