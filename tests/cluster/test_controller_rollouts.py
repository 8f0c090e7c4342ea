"""Rollouts against the real API server; the tests play the agents."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.unit.controller.kstatus import kstatus
from tests.waiting import eventually

from .controller_harness import NODES, OOM_NODES, POLICIES, Controller, Harness, controller, harness

__all__ = ["controller", "harness"]

pytestmark = pytest.mark.cluster

SWAP = "vm.swappiness"
NAMES = ("n1", "n2", "n3", "n4")
ONE = {"maxConcurrent": 1, "soakSeconds": 2}
PATH = f"{POLICIES}/p"


class Agents:
    """Agents that answer, and what they observed."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.refusing: set[str] = set()
        self.most_unanswered = 0
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)

    @contextmanager
    def running(self) -> Iterator["Agents"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        answered: dict[str, tuple[int, bool]] = {}
        while not self._stop.wait(0.3):
            waiting = []
            for obj in self._harness.list(OOM_NODES):
                name, generation = obj["metadata"]["name"], obj["metadata"]["generation"]
                observed = (obj.get("status") or {}).get("observedGeneration", 0)
                waiting += [name] if observed < generation else []
                state = (generation, name in self.refusing)
                if answered.get(name) != state or observed < generation:
                    try:
                        self._harness.answer(name, swappiness="Refused" if state[1] else "InSync")
                    except HTTPError:  # the node is deleted by now
                        continue
                    answered[name] = state
            self.most_unanswered = max(self.most_unanswered, len(waiting))


@pytest.fixture
def agents(harness: Harness, controller: Controller) -> Iterator[Agents]:  # noqa: ARG001
    """Of four nodes in two zones, with a policy in force."""
    for index, name in enumerate(NAMES):
        harness.node(name, ready=True, **{"topology.kubernetes.io/zone": f"z{index // 2}"})
    with Agents(harness).running() as running:
        policy(harness, 10, rollout={})
        eventually(lambda: values(harness) == [10] * 4)
        eventually(lambda: judged(harness) == "Current")
        running.most_unanswered = 0
        yield running


def policy(harness: Harness, value: int, *, rollout: dict[str, Any] = ONE, **spec: Any) -> None:
    harness.policy("p", sysctls={SWAP: value}, rollout=rollout, **spec)


def values(harness: Harness) -> list[int | None]:
    """The value of each node in the order of the rollout: n1 and n3 are the first of their zones."""
    found = [harness.sysctls(name).get(SWAP) for name in ("n1", "n3", "n2", "n4")]
    return [entry[0] if entry else None for entry in found]


def judged(harness: Harness) -> str:
    return kstatus(harness.get(PATH))


def rollout(harness: Harness) -> dict[str, Any]:
    return harness.status(PATH)["rollout"]  # type: ignore[no-any-return]


def annotate(harness: Harness, value: str | None) -> None:
    harness.merge(PATH, {"metadata": {"annotations": {"oomkeeper.dev/rollout": value}}})


def follow(harness: Harness, *, until: list[int], seconds: float = 60) -> list[list[int | None]]:
    """The states that the nodes go through until they all have their value."""
    seen: list[list[int | None]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = values(harness)
        if not seen or seen[-1] != now:
            seen.append(now)
        if now == until:
            return seen
        time.sleep(0.1)
    raise AssertionError(seen)


def test_one_node_at_a_time_spread_over_zones(harness: Harness, agents: Agents) -> None:
    policy(harness, 20)
    seen = follow(harness, until=[20] * 4)
    assert [one for one in seen if one != [10] * 4] == [
        [20] * count + [10] * (4 - count) for count in range(1, 5)
    ]
    assert agents.most_unanswered == 1
    eventually(lambda: judged(harness) == "Current")
    found = rollout(harness)
    assert (found["phase"], found["progress"], found["generation"]) == ("Complete", "4/4", 2)


def test_waiting_tools_wait_during_the_rollout(harness: Harness, agents: Agents) -> None:
    assert agents
    policy(harness, 20)
    verdicts = set()
    while values(harness) != [20] * 4:
        verdicts.add(judged(harness))
        time.sleep(0.1)
    assert verdicts == {"InProgress"}
    eventually(lambda: judged(harness) == "Current")


def test_refusing_node_halts_and_the_rollout_continues_after_the_fix(
    harness: Harness, agents: Agents
) -> None:
    agents.refusing.add("n3")
    policy(harness, 20)
    eventually(lambda: judged(harness) == "Failed")
    assert values(harness) == [20, 20, 10, 10]
    found = rollout(harness)
    assert (found["phase"], found["reason"], found["haltedNode"]) == ("Halted", "NodeRefused", "n3")
    assert harness.conditions(PATH)["Ready"] == ("False", "RolloutHalted")
    assert harness.conditions(PATH)["Stalled"] == ("True", "RolloutHalted")
    events = harness.list("/api/v1/namespaces/default/events")
    assert any(event["reason"] == "RolloutHalted" and "n3" in event["message"] for event in events)

    agents.refusing.clear()
    eventually(lambda: harness.status(PATH)["nodes"]["refused"] == 0)
    time.sleep(3)
    assert values(harness) == [20, 20, 10, 10]
    assert judged(harness) == "Failed"
    annotate(harness, "resume")
    follow(harness, until=[20] * 4)
    eventually(lambda: judged(harness) == "Current")


def test_killed_controller_continues_where_it_was(
    harness: Harness, controller: Controller, agents: Agents
) -> None:
    policy(harness, 20, rollout={"maxConcurrent": 1, "soakSeconds": 6})
    eventually(lambda: values(harness)[0] == 20)
    controller.kill()
    assert values(harness) == [20, 10, 10, 10]
    controller.start()
    eventually(lambda: values(harness) == [20, 20, 10, 10])
    eventually(lambda: rollout(harness)["phase"] == "Soaking")
    controller.kill()
    time.sleep(2)
    assert values(harness) == [20, 20, 10, 10], "nothing changes without a controller"
    controller.start()
    seen = follow(harness, until=[20] * 4)
    assert seen[0] == [20, 20, 10, 10]
    assert [20, 20, 20, 10] in seen
    assert agents.most_unanswered == 1
    eventually(lambda: judged(harness) == "Current")


def test_killed_controller_still_knows_of_a_halt(
    harness: Harness, controller: Controller, agents: Agents
) -> None:
    agents.refusing.add("n1")
    policy(harness, 20)
    eventually(lambda: judged(harness) == "Failed")
    controller.kill()
    agents.refusing.clear()
    eventually(lambda: harness.get(f"{OOM_NODES}/n1")["status"]["sysctls"][0]["state"] == "InSync")
    controller.start()
    time.sleep(6)
    assert values(harness) == [20, 10, 10, 10]
    assert judged(harness) == "Failed"


def kill_workloads(harness: Harness, *nodes: str) -> None:
    """Kill a process of six workloads on each of these nodes."""
    for node in nodes:
        for index in range(6):
            harness.kill(f"w{index}-{node}", node=node, workload=f"w{index}")


def test_more_kills_than_before_halt_also_after_the_controller_was_killed(
    harness: Harness, controller: Controller, agents: Agents
) -> None:
    assert agents
    policy(harness, 20, rollout={"maxConcurrent": 1, "soakSeconds": 40})
    eventually(lambda: rollout(harness)["phase"] == "Soaking")
    controller.kill()
    kill_workloads(harness, "n1")
    controller.start()
    eventually(lambda: judged(harness) == "Failed")
    found = rollout(harness)
    assert (found["phase"], found["reason"], found["haltedNode"]) == ("Halted", "KillsIncreased", "n1")
    assert "6 workloads were killed on the changed nodes within 1 minute (n1: 6)" in found["message"]
    assert harness.conditions(PATH)["Ready"] == ("False", "RolloutHalted")
    assert harness.conditions(PATH)["Stalled"] == ("True", "RolloutHalted")
    events = harness.list("/api/v1/namespaces/default/events")
    assert any(event["reason"] == "RolloutHalted" and "6 workloads" in event["message"] for event in events)
    assert values(harness) == [20, 10, 10, 10]
    annotate(harness, "resume")
    eventually(lambda: rollout(harness)["phase"] == "Soaking")
    time.sleep(3)
    assert rollout(harness)["phase"] == "Soaking", "kills before the halt do not count again"
    policy(harness, 10)
    follow(harness, until=[10] * 4)


def test_newer_generation_supersedes(harness: Harness, agents: Agents) -> None:
    agents.refusing.add("n3")
    policy(harness, 20)
    eventually(lambda: judged(harness) == "Failed")
    agents.refusing.clear()
    policy(harness, 30)
    seen = follow(harness, until=[30] * 4)
    assert [30, 20, 10, 10] in seen, "a node that is not reached keeps what it has"
    eventually(lambda: judged(harness) == "Current")
    assert rollout(harness)["generation"] == 3


def test_pause_and_resume(harness: Harness, agents: Agents) -> None:
    assert agents
    annotate(harness, "paused")
    policy(harness, 20)
    eventually(lambda: rollout(harness)["phase"] == "Paused")
    assert harness.conditions(PATH)["Ready"] == ("False", "RolloutPaused")
    assert values(harness) == [10] * 4
    annotate(harness, "resume")
    follow(harness, until=[20] * 4)


def test_default_changes_all_nodes_immediately(harness: Harness, agents: Agents) -> None:
    assert agents
    generations = [harness.get(f"{OOM_NODES}/{name}")["metadata"]["generation"] for name in NAMES]
    policy(harness, 20, rollout={})
    began = time.monotonic()
    follow(harness, until=[20] * 4)
    assert time.monotonic() - began < 5
    eventually(lambda: judged(harness) == "Current")
    after = [harness.get(f"{OOM_NODES}/{name}")["metadata"]["generation"] for name in NAMES]
    assert after == [generation + 1 for generation in generations]
    assert not {"Reconciling", "Stalled"} & set(harness.conditions(PATH))


def test_suspension_and_deletion_never_wait(harness: Harness, agents: Agents) -> None:
    agents.refusing.add("n1")
    policy(harness, 20)
    eventually(lambda: judged(harness) == "Failed")
    policy(harness, 20, suspend=True)
    eventually(lambda: values(harness) == [None] * 4, seconds=10)
    eventually(lambda: "rollout" not in harness.status(PATH))
    agents.refusing.clear()
    policy(harness, 20)
    eventually(lambda: values(harness)[0] == 20)
    harness.delete(PATH)
    eventually(lambda: values(harness) == [None] * 4, seconds=10)


def test_node_that_joins_is_changed_within_the_limit(harness: Harness, agents: Agents) -> None:
    policy(harness, 10)
    eventually(lambda: judged(harness) == "Current")
    agents.most_unanswered = 0
    for name in ("x1", "x2"):
        harness.node(name, ready=True)
    eventually(lambda: harness.sysctls("x2") == {SWAP: (10, "p")})
    assert harness.sysctls("x1") == {SWAP: (10, "p")}
    eventually(lambda: judged(harness) == "Current")
    harness.delete(f"{NODES}/x1")
    eventually(lambda: rollout(harness)["progress"] == "5/5")
