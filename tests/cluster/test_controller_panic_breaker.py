"""The panic breaker against the real API server; the tests play the agents."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.controller.kstatus import kstatus
from tests.waiting import eventually

from .controller_harness import OOM_NODES, POLICIES, Controller, Harness, controller, harness, stamp

__all__ = ["controller", "harness"]

pytestmark = pytest.mark.cluster

KEY = "vm.panic_on_oom"
PATH = f"{POLICIES}/p"
NAMES = ("n1", "n2", "n3")


def values(harness: Harness) -> list[int]:
    return [harness.sysctls(name)[KEY][0] for name in NAMES]


def panicked(harness: Harness, node: str) -> None:
    """The agent reports a panic after the reboot."""
    now = datetime.now(UTC) + timedelta(seconds=1)
    harness.merge(f"{OOM_NODES}/{node}/status", {"status": {"recentPanics": [stamp(now)]}})


def test_two_panics_set_all_nodes_to_zero_until_the_breaker_is_reset(
    harness: Harness, controller: Controller
) -> None:
    for name in NAMES:
        harness.node(name, ready=True)
    harness.policy(
        "p",
        sysctls={KEY: 1},
        rollout={"maxConcurrent": "100%"},
        panicSafety={"acknowledge": ["NodePanic", "KubeletConflict"], "maxPanics": 1, "window": "1h"},
    )
    eventually(lambda: values(harness) == [1, 1, 1])
    for name in NAMES:
        harness.answer(name)
    eventually(lambda: kstatus(harness.get(PATH)) == "Current")
    limit = harness.get(f"{OOM_NODES}/n1")["spec"]["sysctls"][0]["panicLimit"]
    assert (limit["maxPanics"], limit["windowSeconds"]) == (1, 3600)

    panicked(harness, "n1")
    eventually(lambda: harness.status(PATH)["panicBreaker"]["panics"] == 1)
    assert values(harness) == [1, 1, 1]
    panicked(harness, "n3")
    eventually(lambda: values(harness) == [0, 0, 0])
    eventually(lambda: harness.conditions(PATH).get("PanicBreaker") == ("True", "PanicBreakerTripped"))
    assert harness.conditions(PATH)["Ready"] == ("False", "PanicBreakerTripped")
    assert kstatus(harness.get(PATH)) == "Failed"
    events = harness.list("/api/v1/namespaces/default/events")
    assert any(event["reason"] == "PanicBreakerTripped" for event in events)

    controller.kill()
    for name in NAMES:
        harness.answer(name)  # and no longer any panic
    controller.start()
    eventually(lambda: controller.log.count("cluster listed") == 2)
    eventually(lambda: harness.status(PATH)["nodes"]["pending"] == 0)
    assert values(harness) == [0, 0, 0]

    harness.merge(PATH, {"metadata": {"annotations": {"oomkeeper.dev/panic-breaker": "reset"}}})
    eventually(lambda: values(harness) == [1, 1, 1])
    for name in NAMES:
        harness.answer(name)
    eventually(lambda: kstatus(harness.get(PATH)) == "Current")
