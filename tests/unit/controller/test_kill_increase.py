"""The rule that halts a rollout on more OOM kills: at small numbers, and on simulated clusters."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from oomkeeper.controller.kill_increase import (
    BEFORE_HOURS,
    MORE_WORKLOADS,
    Increase,
    NodeKills,
    find_increase,
    judge,
    tail,
)
from oomkeeper.model.times import HOUR_SECONDS, format_time
from oomkeeper.reporting.incident import Incident, decode_incident
from oomkeeper.resources.oomnode import Counters

from .builders import NOW, node, oomnode
from .simulated_kills import SimulatedCluster

WEEK = BEFORE_HOURS
HOUR = int(NOW // HOUR_SECONDS * HOUR_SECONDS)


def kills(now: int = 0, *before: int, hours: int = WEEK) -> NodeKills:
    """`before`: workloads killed in each of the last hours."""
    past = {HOUR - (index + 1) * HOUR_SECONDS: count for index, count in enumerate(before) if count}
    return NodeKills(now, past, hours)


def group(number: int, one: NodeKills, *, name: str = "c") -> dict[str, NodeKills]:
    return {f"{name}{index}": one for index in range(number)}


def judged(changed: list[NodeKills], others: list[NodeKills]) -> Increase | None:
    return judge(
        changed={f"c{index}": one for index, one in enumerate(changed)},
        others={f"o{index}": one for index, one in enumerate(others)},
        minutes=10,
    )


@pytest.mark.parametrize("number", [1, 2, 5, 20, 60])
@pytest.mark.parametrize("share", [Fraction(1, 200), Fraction(1, 20), Fraction(1, 3), Fraction(9, 10)])
def test_tail_of_the_binomial_distribution_is_exact(number: int, share: Fraction) -> None:
    for count in range(number + 1):
        exact = sum(
            math.comb(number, index) * share**index * (1 - share) ** (number - index)
            for index in range(count, number + 1)
        )
        if count > number * share:
            assert tail(count, number, float(share)) == pytest.approx(float(exact), rel=1e-9)
        else:
            assert tail(count, number, float(share)) == 1.0


@pytest.mark.parametrize("number", range(MORE_WORKLOADS))
def test_few_kills_never_halt(number: int) -> None:
    assert judged([kills(number)], [kills()] * 1000) is None


def test_five_workloads_on_a_quiet_node_halt_beside_three_quiet_ones() -> None:
    found = judged([kills(5)], [kills()] * 3)
    assert found == (
        "c0",
        "OOM kills increased: 5 workloads were killed on the changed nodes within 10 minutes (c0: 5), none "
        "in any of the 168 hours before; 0 on 3 nodes not changed yet",
    )


@pytest.mark.parametrize(("others", "needed"), [(1, 10), (2, 7), (3, 5), (9, 5)])
def test_fewer_nodes_to_compare_with_need_more_kills(others: int, needed: int) -> None:
    halting = [number for number in range(20) if judged([kills(number)], [kills()] * others)]
    assert halting[0] == needed


def test_without_a_node_to_compare_with_nothing_halts() -> None:
    assert judged([kills(50)] * 4, []) is None


def test_node_that_kills_as_before_does_not_halt() -> None:
    assert judged([kills(6, *[6] * WEEK)], [kills()] * 99) is None
    assert judged([kills(6, *[0, 3] * (WEEK // 2))], [kills()] * 99) is None


def test_burst_like_one_of_the_week_before_does_not_halt() -> None:
    quiet = [kills()] * 50
    assert judged([kills(8, *[0] * 100, 8)], quiet) is None
    assert judged([kills(9, *[0] * 100, 8)], quiet) is not None
    assert judged([kills(8)], [*quiet, kills(0, 8)]) is None, "or of any node that is not changed"


def test_kills_everywhere_do_not_halt() -> None:
    assert judged([kills(6)] * 5, [kills(6)] * 95) is None
    assert judged([kills(2)] * 5, [kills(1)] * 95) is None
    assert judged([kills(2)] * 5, [kills()] * 95) is not None


def test_nodes_that_always_have_most_of_the_kills_do_not_halt_in_a_bad_hour_of_the_cluster() -> None:
    busy, idle = [0, 1] * (WEEK // 2), [0] * (WEEK - 1) + [1]
    assert judged([kills(3, *busy)] * 5, [kills(0, *idle)] * 15 + [kills(5, *idle)]) is None


def test_node_whose_agent_is_new_needs_more_kills() -> None:
    assert judged([kills(9, hours=1)], [kills(hours=1)] * 99) is None
    assert judged([kills(12, hours=1)], [kills(hours=1)] * 99) is not None
    assert judged([kills(99, hours=0)], [kills()] * 99) is None


def test_message_names_the_nodes_with_most() -> None:
    found = judge(
        changed={"a": kills(2), "b": kills(4), "c": kills(1), "d": kills(1), "e": kills(0)},
        others=group(40, kills()),
        minutes=1,
    )
    assert found is not None
    assert found.node == "b"
    assert "8 workloads were killed on the changed nodes within 1 minute (b: 4, a: 2, c: 1 and 1 more)" in (
        found.message
    )


# From objects.


def incident(
    node: str,
    workload: str,
    *,
    age: float = 60.0,
    kind: str = "Deployment",
    cause: str = "PodLimit",
    hours: Mapping[int, int] | None = None,
    ages: tuple[float, ...] = (),
) -> Incident:
    obj: dict[str, Any] = {
        "metadata": {"namespace": "shop", "name": f"{workload}-{node}-{cause}", "uid": "u"},
        "spec": {
            "nodeName": node,
            "cause": cause,
            "container": "app",
            "workload": {"kind": kind, "name": workload},
        },
        "status": {
            "count": 1,
            "lastSeen": format_time(NOW - age),
            "firstSeen": format_time(NOW - max(age, *ages, 0.0)),
            "kills": [{"id": str(one), "time": format_time(NOW - one)} for one in (age, *ages)],
            "history": [
                {"hour": format_time(HOUR - back * HOUR_SECONDS), "kills": count}
                for back, count in (hours or {}).items()
            ],
        },
    }
    return decode_incident(obj)


def found(
    *incidents: Incident,
    history: Mapping[int, int] | None = None,
    since: float = NOW - 600,
    began: float | None = NOW - 8 * 86400,
    skew: int = 0,
) -> Increase | None:
    names = ["n0", *(f"o{index}" for index in range(40))]
    hours = {HOUR - back * HOUR_SECONDS: count for back, count in (history or {}).items()}
    counters = Counters(since=format_time(began) if began is not None else None)
    states = {
        name: replace(oomnode(name, history=hours if name == "n0" else {}), counters=counters)
        for name in names
    }
    nodes = {name: replace(node(name), clock_skew_seconds=skew) for name in names}
    return find_increase(
        changed=["n0"],
        others=names[1:],
        incidents=incidents,
        nodes=nodes,
        oomnodes=states,
        since=since,
        now=NOW,
    )


def workloads(number: int, **more: Any) -> list[Incident]:
    return [incident("n0", f"w{index}", **more) for index in range(number)]


def test_kills_of_five_workloads_during_the_soak_are_an_increase() -> None:
    assert found(*workloads(5)) is not None
    assert found(*workloads(4)) is None


def test_workload_that_is_killed_again_and_again_counts_once() -> None:
    often = [incident("n0", "w", cause=cause) for cause in ("PodLimit", "ContainerLimit", "NodeMemory")]
    assert found(*often, *workloads(3)) is None
    assert found(*[incident("n0", f"job-{index}", kind="Pod") for index in range(30)]) is None


def test_kills_before_the_soak_do_not_count() -> None:
    assert found(*workloads(5, age=601)) is None


def test_kills_count_when_those_of_other_nodes_are_known_too() -> None:
    assert found(*workloads(5, age=10)) is None
    assert found(*workloads(5, age=10, ages=(30.0,))) is not None
    assert found(*workloads(5, age=10, ages=(9000.0,))) is None
    late = [incident(f"o{node}", f"w{index}", age=1) for node in range(40) for index in range(5)]
    assert found(*workloads(5), *late) is None


def test_kills_count_for_an_hour_of_a_longer_soak() -> None:
    assert found(*workloads(5, age=3000), since=NOW - 86400) is not None
    assert found(*workloads(5, age=3700), since=NOW - 86400) is None


def test_times_are_corrected_for_the_nodes_clock() -> None:
    assert found(*workloads(5, age=700), skew=-300) is not None
    assert found(*workloads(5, age=200), skew=300) is not None
    assert found(*workloads(5, age=400), skew=300) is None


def test_kills_of_other_nodes_do_not_count() -> None:
    assert found(*[incident("elsewhere", f"w{index}") for index in range(9)]) is None


def test_hours_before_come_from_the_incidents_and_what_they_lost_from_the_node() -> None:
    assert found(*workloads(5, hours={9: 40}), history={9: 200}) is None, "they were killed together before"
    listed = workloads(1, hours={9: 40}) + workloads(5)[1:]
    assert found(*listed, history={9: 40}) is not None, "40 kills of one workload are one"
    assert found(*workloads(5), history={9: 40}) is None, "40 kills of unknown workloads are 40"


def test_node_that_never_counted_before_is_not_judged() -> None:
    assert found(*workloads(30), began=None) is None
    assert found(*workloads(30), began=NOW - 100) is None


# Clusters with kills that no policy causes. False halts must be rare, and a bad change must be found.


def test_rollouts_that_do_no_harm_are_hardly_ever_halted() -> None:
    dice = random.Random(15)
    halts = [SimulatedCluster(dice, nodes=60).rollout(harm=0.0) for _ in range(60)]
    assert sum(changed is not None for changed in halts) <= 1, halts


def test_rollouts_that_do_harm_are_halted_early() -> None:
    dice = random.Random(16)
    halts = [SimulatedCluster(dice, nodes=60).rollout(harm=3.0) for _ in range(20)]
    assert sum(changed is not None and changed <= 12 for changed in halts) >= 18, halts
