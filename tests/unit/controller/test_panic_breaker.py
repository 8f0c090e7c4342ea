"""The panic breaker of a policy, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oomkeeper.controller.kinds import OOM_NODE, POLICY
from oomkeeper.controller.panic_breaker import breaker_status, can_panic
from oomkeeper.model.times import format_time
from oomkeeper.resources.oompolicy import PanicBreakerStatus

from .builders import policy
from .test_reconciler import Cluster
from .test_rollouts import PANIC_ON_OOM, SWAP, Agents, judged, roll, values

NOW = 1_800_000_000.0
PATH = f"{POLICY.root}/p"
RULE = policy(
    "p",
    generation=2,
    sysctls={PANIC_ON_OOM: 1},
    panicSafety={"acknowledge": ["NodePanic", "KubeletConflict"], "maxPanics": 1, "window": "1h"},
)


def safety(**more: Any) -> dict[str, Any]:
    return {"acknowledge": ["NodePanic", "KubeletConflict"], **more}


def before(**more: Any) -> PanicBreakerStatus:
    return PanicBreakerStatus(
        **{"generation": 2, "counted_from": format_time(NOW - 7200), **more}  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("ages", "tripped"),
    [
        ((), False),
        ((10,), False),
        ((10, 20), True),
        ((10, 3599), True),
        ((10, 3601), False),
        ((4000, 5000), False),
        ((-5, 10), True),
    ],
)
def test_more_panics_than_the_limit_within_the_window_trip(ages: tuple[int, ...], tripped: bool) -> None:
    found = breaker_status(RULE, before=before(), panics=(NOW - age for age in ages), now=NOW)
    assert found.tripped == tripped
    assert found.tripped_at == (format_time(NOW) if tripped else None)


def test_panics_before_the_policy_do_not_count() -> None:
    found = breaker_status(RULE, before=None, panics=(NOW - 10, NOW - 20), now=NOW)
    assert (found.tripped, found.panics, found.counted_from) == (False, 0, format_time(NOW))


def test_no_panic_is_allowed_with_zero() -> None:
    rule = policy("p", generation=2, sysctls={PANIC_ON_OOM: 1}, panicSafety=safety(maxPanics=0))
    assert breaker_status(rule, before=before(), panics=(NOW - 10,), now=NOW).tripped


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, True),
        ({"suspend": True}, False),
        ({"mode": "Audit"}, False),
        ({"sysctls": {PANIC_ON_OOM: 0}}, False),
        ({"sysctls": {SWAP: 1}}, False),
    ],
)
def test_breaker_is_in_effect_where_a_policy_panics_nodes(spec: dict[str, Any], found: bool) -> None:
    assert can_panic(policy("p", panicSafety=safety(), **({"sysctls": {PANIC_ON_OOM: 1}} | spec))) == found


def panicked(cluster: Cluster, node: str, *, times: int = 1) -> None:
    """The agent reports panics that happened just now."""
    obj = cluster.api.objects[f"{OOM_NODE.root}/{node}"]
    status = dict(obj["status"])
    status["recentPanics"] = [*status.get("recentPanics", ()), *[format_time(cluster.now() + 1)] * times]
    cluster.api.put(OOM_NODE, node, status=status)


def annotate(cluster: Cluster, value: str) -> None:
    cluster.api.objects[PATH]["metadata"]["annotations"] = {"oomkeeper.dev/panic-breaker": value}
    cluster.api.put(POLICY, "p")


async def panicking(cluster: Cluster, **spec: Any) -> None:
    cluster.nodes(3)
    given = {"sysctls": {PANIC_ON_OOM: 1, SWAP: 10}, "panicSafety": safety()} | spec
    cluster.policy("p", **given)
    await asyncio.sleep(600)
    assert values(cluster, key=PANIC_ON_OOM) == [1, 1, 1]
    assert judged(cluster) == "Current"


@pytest.mark.parametrize("rollout", [{}, {"maxConcurrent": 1, "soakSeconds": 60}])
def test_second_panic_sets_all_nodes_to_zero_until_a_person_resets(rollout: dict[str, Any]) -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await panicking(cluster, rollout=rollout)
        panicked(cluster, "n0")
        await asyncio.sleep(10)
        assert values(cluster, key=PANIC_ON_OOM) == [1, 1, 1]
        assert cluster.status("p")["panicBreaker"]["panics"] == 1
        panicked(cluster, "n2")
        await asyncio.sleep(1)
        assert values(cluster, key=PANIC_ON_OOM) == [0, 0, 0]
        assert values(cluster) == [10, 10, 10]
        await asyncio.sleep(20)
        for type in ("PanicBreaker", "Stalled"):
            assert cluster.condition("p", type) == ("True", "PanicBreakerTripped")
        assert cluster.condition("p", "Ready") == ("False", "PanicBreakerTripped")
        assert judged(cluster) == "Failed"
        assert "oomkeeper.dev/panic-breaker=reset" in cluster.message("p", "PanicBreaker")
        assert [one["type"] for one in cluster.events() if one["reason"] == "PanicBreakerTripped"] == [
            "Warning"
        ]
        await asyncio.sleep(2 * 3600)
        await cluster.restart()
        await asyncio.sleep(60)
        assert values(cluster, key=PANIC_ON_OOM) == [0, 0, 0], "it stays after the window and a restart"
        annotate(cluster, "reset")
        await asyncio.sleep(600)
        assert values(cluster, key=PANIC_ON_OOM) == [1, 1, 1]
        assert judged(cluster) == "Current"
        panicked(cluster, "n1", times=2)
        await asyncio.sleep(10)
        assert values(cluster, key=PANIC_ON_OOM) == [0, 0, 0], (
            "the annotation of the last reset does not count"
        )
        assert "oomkeeper.dev/panic-breaker=reset-2" in cluster.message("p", "PanicBreaker")

    roll(scenario)


def test_new_generation_resets_the_breaker_and_forgets_its_panics() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await panicking(cluster)
        panicked(cluster, "n0", times=2)
        await asyncio.sleep(10)
        assert values(cluster, key=PANIC_ON_OOM) == [0, 0, 0]
        cluster.policy("p", sysctls={PANIC_ON_OOM: 1}, panicSafety=safety(maxPanics=2))
        await asyncio.sleep(60)
        assert values(cluster, key=PANIC_ON_OOM) == [1, 1, 1]
        assert cluster.status("p")["panicBreaker"]["panics"] == 0

    roll(scenario)


def test_edit_of_a_breaker_that_has_not_tripped_forgets_no_panic() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await panicking(cluster)
        panicked(cluster, "n0")
        await asyncio.sleep(10)
        cluster.policy("p", sysctls={PANIC_ON_OOM: 1, SWAP: 10}, panicSafety=safety(), priority=7)
        await asyncio.sleep(10)
        panicked(cluster, "n1")
        await asyncio.sleep(10)
        assert values(cluster, key=PANIC_ON_OOM) == [0, 0, 0]

    roll(scenario)


def test_panics_elsewhere_do_not_count() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await panicking(cluster)
        cluster.node("other", pool="x")
        cluster.policy(
            "p",
            nodeSelector={"matchExpressions": [{"key": "pool", "operator": "DoesNotExist"}]},
            sysctls={PANIC_ON_OOM: 1},
            panicSafety=safety(),
        )
        await asyncio.sleep(60)
        panicked(cluster, "other", times=5)
        await asyncio.sleep(60)
        assert judged(cluster) == "Current"

    roll(scenario)


def test_node_gets_the_limit_for_its_own_panics() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await panicking(cluster, panicSafety=safety(maxPanics=3, window="10m"))
        entries = cluster.api.objects[f"{OOM_NODE.root}/n0"]["spec"]["sysctls"]
        (limit,) = [entry["panicLimit"] for entry in entries if entry["name"] == PANIC_ON_OOM]
        counted_from = cluster.status("p")["panicBreaker"]["countedFrom"]
        assert limit == {"maxPanics": 3, "windowSeconds": 600, "countedFrom": counted_from}
        before = len(cluster.api.writes())
        await asyncio.sleep(3600)
        assert cluster.api.writes()[before:] == []

    roll(scenario)
