"""Which nodes a rollout may change, in virtual time."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field

import pytest

from oomkeeper.controller.rollout import (
    ANSWER_SECONDS,
    Limits,
    Member,
    Step,
    in_order,
    max_nodes,
    next_step,
)
from oomkeeper.resources.oompolicy import RolloutStatus

START = 1_800_000_000.0


@dataclass
class SimulatedNode:
    """A node whose agent reports `answer_seconds` after its change."""

    name: str
    zone: str = ""
    unit: str = ""
    reached_generation: int = 0
    reached_at: float = -math.inf
    answer_seconds: float = 1.0
    failure: str | None = None
    away: bool = False
    canary: bool = False


@dataclass
class Simulation:
    """A policy's nodes, and the controller that rolls its changes out."""

    nodes: list[SimulatedNode]
    limits: Limits
    generation: int = 2
    now: float = START
    status: RolloutStatus | None = None
    request: str | None = None
    joined: set[str] = field(default_factory=set)
    grants: list[tuple[float, frozenset[str]]] = field(default_factory=list)

    def member(self, node: SimulatedNode) -> Member:
        reached = node.reached_generation == self.generation
        if not reached:
            state = "Waiting"
        elif node.failure:
            state = node.failure
        else:
            state = "InSync" if self.now >= node.reached_at + node.answer_seconds else "Pending"
        return Member(
            node=node.name,
            zone=node.zone,
            unit=node.unit or node.name,
            reached=reached,
            away=node.away,
            state=state,
            message="it is so",
            pending_seconds=self.now - node.reached_at if state == "Pending" else 0.0,
            canary=node.canary,
        )

    def step(self) -> Step:
        step = next_step(
            [self.member(node) for node in self.nodes],
            limits=self.limits,
            generation=self.generation,
            previous=self.status,
            request=self.request,
            joined=frozenset(self.joined),
            policy="p",
            now=self.now,
        )
        for node in self.nodes:
            if node.name in step.grant:
                assert not node.away
                node.reached_generation, node.reached_at = self.generation, self.now
        if step.grant:
            self.grants.append((self.now, step.grant))
        if step.status.joining:
            self.joined |= step.grant
        self.status = step.status
        return step

    def run(self, seconds: float, *, every: float = 1.0) -> RolloutStatus:
        end = self.now + seconds
        while self.now < end:
            self.step()
            self.now += every
        assert self.status is not None
        return self.status

    def names(self) -> list[list[str]]:
        """The batches."""
        return [sorted(grant) for _, grant in self.grants]

    def node(self, name: str) -> SimulatedNode:
        return next(node for node in self.nodes if node.name == name)


def simulation(
    number: int, *, nodes: int = 1, soak: int = 0, halt: bool = True, zones: int = 0
) -> Simulation:
    return Simulation(
        [SimulatedNode(f"n{index}", zone=f"z{index % zones}" if zones else "") for index in range(number)],
        Limits(nodes, soak, halt),
    )


@pytest.mark.parametrize(
    ("value", "total", "nodes"),
    [
        (3, 10, 3),
        (3, 1, 3),
        ("100%", 7, 7),
        ("10%", 10, 1),
        ("10%", 11, 2),
        ("1%", 5, 1),
        ("7%", 100, 7),
        ("29%", 100, 29),
        ("50%", 3, 2),
        ("1%", 0, 1),
    ],
)
def test_share_of_nodes_is_rounded_up_and_at_least_one(value: int | str, total: int, nodes: int) -> None:
    assert max_nodes(value, total=total) == nodes


def test_one_node_at_a_time_in_order() -> None:
    sim = simulation(4)
    status = sim.run(60)
    assert sim.names() == [["n0"], ["n1"], ["n2"], ["n3"]]
    assert (status.phase, status.progress, status.reason) == ("Complete", "4/4", "AllNodesUpdated")


def test_next_batch_waits_until_the_last_is_in_sync_for_the_soak() -> None:
    sim = simulation(6, nodes=2, soak=30)
    for node in sim.nodes:
        node.answer_seconds = 7
    sim.run(8)
    assert sim.status
    assert sim.status.phase == "Soaking"
    sim.run(200)
    times = [time for time, _ in sim.grants]
    assert sim.names() == [["n0", "n1"], ["n2", "n3"], ["n4", "n5"]]
    assert all(later - earlier >= 37 for earlier, later in itertools.pairwise(times))
    assert all(later - earlier <= 40 for earlier, later in itertools.pairwise(times))
    assert sim.status.phase == "Complete"


def test_last_batch_soaks_before_the_rollout_is_complete() -> None:
    sim = simulation(1, soak=30)
    assert sim.run(20).phase == "Soaking"
    assert sim.run(20).phase == "Complete"


def test_soak_is_due_by_the_time_alone() -> None:
    sim = simulation(2, soak=30)
    sim.step()
    sim.now += 1.5
    step = sim.step()
    assert step.status.phase == "Soaking"
    assert sim.now + 30 <= step.due_at <= sim.now + 31
    sim.now = step.due_at
    assert sim.step().grant == {"n1"}


def test_batches_are_spread_over_zones() -> None:
    sim = Simulation(
        [SimulatedNode(f"{zone}{index}", zone=zone) for zone in "abc" for index in range(3)],
        Limits(3, 0, True),
    )
    sim.run(60)
    assert sim.names() == [["a0", "b0", "c0"], ["a1", "b1", "c1"], ["a2", "b2", "c2"]]


def test_order_does_not_depend_on_the_order_of_the_objects() -> None:
    members = [simulation(9, zones=2).member(node) for node in simulation(9, zones=2).nodes]
    expected = [[member.node for member in unit] for unit in in_order(members)]
    for seed in range(20):
        shuffled = members.copy()
        random.Random(seed).shuffle(shuffled)
        assert [[member.node for member in unit] for unit in in_order(shuffled)] == expected


def test_nodes_of_one_kernel_change_together_even_beyond_the_limit() -> None:
    nodes = [SimulatedNode(f"kind{index}", unit="kernel") for index in range(3)]
    sim = Simulation([SimulatedNode("alone"), *nodes, SimulatedNode("other")], Limits(1, 0, True))
    sim.run(60)
    assert sim.names() == [["alone"], ["kind0", "kind1", "kind2"], ["other"]]


@pytest.mark.parametrize(
    "state", ["Refused", "Unsupported", "Drifted", "AgentSilent", "Unreachable", "Unmanaged"]
)
def test_failed_node_halts_the_rollout(state: str) -> None:
    sim = simulation(4)
    sim.node("n1").failure = state
    status = sim.run(100)
    assert (status.phase, status.halted_node, status.reason) == ("Halted", "n1", f"Node{state}")
    assert status.progress == "2/4"
    assert "kubectl annotate oompolicy p oomkeeper.dev/rollout=resume --overwrite" in status.message
    sim.node("n1").failure = None
    assert sim.run(1000).phase == "Halted", "it does not go on by itself"
    assert sim.names() == [["n0"], ["n1"]]


def test_node_of_an_earlier_batch_halts_the_rollout_too() -> None:
    sim = simulation(4, soak=20)
    sim.run(30)
    assert sim.names() == [["n0"], ["n1"]]
    sim.node("n0").failure = "Unreachable"
    assert sim.run(100).halted_node == "n0"
    assert sim.names() == [["n0"], ["n1"]]


def test_overridden_node_does_not_halt() -> None:
    sim = simulation(3)
    sim.node("n1").failure = "Overridden"
    assert sim.run(60).phase == "Complete"


def test_resume_after_the_fix_continues() -> None:
    sim = simulation(3)
    sim.node("n1").failure = "Refused"
    sim.run(60)
    sim.node("n1").failure = None
    sim.request = "resume"
    status = sim.run(60)
    assert (status.phase, status.halted_node) == ("Complete", None)


def test_resume_without_a_fix_halts_again_and_the_message_says_how_to_resume() -> None:
    sim = simulation(3)
    sim.node("n1").failure = "Refused"
    sim.run(60)
    sim.request = "resume"
    status = sim.run(60)
    assert status.phase == "Halted"
    assert "oomkeeper.dev/rollout=resume-" in status.message, "another value than the one that is there"
    sim.node("n1").failure = None
    assert sim.run(60).phase == "Halted"
    sim.request = "resume-2"
    assert sim.run(60).phase == "Complete"


def test_annotation_of_an_earlier_resume_does_not_resume_a_later_halt() -> None:
    sim = simulation(3)
    sim.request = "resume"
    sim.node("n1").failure = "Refused"
    assert sim.run(60).phase == "Halted"
    sim.request = None
    assert sim.run(60).phase == "Halted"
    sim.node("n1").failure = None
    sim.request = "resume"
    assert sim.run(60).phase == "Complete"


def test_newer_generation_supersedes_a_halted_one() -> None:
    sim = simulation(3)
    sim.node("n1").failure = "Refused"
    sim.run(60)
    sim.generation = 3
    sim.node("n1").failure = None
    sim.grants.clear()
    status = sim.run(60)
    assert (status.phase, status.generation, status.progress) == ("Complete", 3, "3/3")
    assert sim.names() == [["n0"], ["n1"], ["n2"]]


def test_failed_nodes_are_skipped_and_counted_without_halt() -> None:
    sim = simulation(5, halt=False)
    sim.node("n1").failure = "Refused"
    sim.node("n3").failure = "Unreachable"
    status = sim.run(60)
    assert (status.phase, status.failed, status.progress) == ("Complete", 2, "5/5")
    assert "2 nodes failed" in status.message


def test_agent_that_does_not_answer_halts_after_five_minutes() -> None:
    sim = simulation(3)
    sim.node("n0").answer_seconds = math.inf
    assert sim.run(ANSWER_SECONDS - 5).phase == "Progressing"
    status = sim.run(10)
    assert (status.phase, status.reason, status.halted_node) == ("Halted", "NodeAgentSilent", "n0")
    assert "5 minutes" in status.message


def test_agent_that_does_not_answer_is_skipped_without_halt() -> None:
    sim = simulation(3, halt=False)
    sim.node("n0").answer_seconds = math.inf
    status = sim.run(ANSWER_SECONDS + 30)
    assert sim.names() == [["n0"], ["n1"], ["n2"]]
    assert status.phase != "Halted"


def test_node_that_is_away_is_left_for_its_return() -> None:
    sim = simulation(3)
    sim.node("n0").away = True
    status = sim.run(1000)
    assert sim.names() == [["n1"], ["n2"]]
    assert (status.phase, status.reason, status.progress) == ("Progressing", "WaitingForNodes", "2/3")
    assert "n0" in status.message
    sim.node("n0").away = False
    assert sim.run(10).phase == "Complete"


def test_paused_rollout_changes_nothing_and_goes_on_when_the_annotation_is_removed() -> None:
    sim = simulation(4)
    sim.run(1)
    sim.request = "paused"
    status = sim.run(60)
    assert (status.phase, status.progress) == ("Paused", "1/4")
    sim.request = None
    assert sim.run(60).phase == "Complete"


def test_failure_during_a_pause_halts() -> None:
    sim = simulation(4)
    sim.run(1)
    sim.request = "paused"
    sim.run(10)
    sim.node("n0").failure = "Unreachable"
    assert sim.run(10).phase == "Halted"


def test_node_that_joins_later_respects_the_limit_and_soaks() -> None:
    sim = simulation(2, nodes=1, soak=20)
    sim.run(100)
    sim.grants.clear()
    sim.nodes += [SimulatedNode("x0"), SimulatedNode("x1")]
    status = sim.run(5)
    assert (status.phase, status.joining, status.progress) == ("Soaking", True, "3/4")
    assert sim.names() == [["x0"]]
    status = sim.run(100)
    assert sim.names() == [["x0"], ["x1"]]
    assert (status.phase, status.joining) == ("Complete", False)


def test_node_that_failed_after_the_rollout_does_not_keep_others_from_joining() -> None:
    sim = simulation(2)
    sim.run(30)
    sim.node("n0").failure = "Unreachable"
    assert sim.run(30).phase == "Complete"
    sim.nodes.append(SimulatedNode("x"))
    assert sim.run(30).progress == "3/3"
    sim.nodes += [SimulatedNode("y", failure="Refused"), SimulatedNode("z")]
    status = sim.run(30)
    assert (status.phase, status.halted_node) == ("Halted", "y"), "one that joins does"


def test_generation_without_a_new_value_is_complete_immediately() -> None:
    sim = simulation(3, soak=600)
    sim.run(3000)
    assert sim.status
    assert sim.status.phase == "Complete"
    since = sim.status.since
    for node in sim.nodes:
        node.reached_generation = 3
    sim.generation = 3
    status = sim.run(1)
    assert (status.phase, status.generation, status.since) == ("Complete", 3, since)


def test_policy_of_an_earlier_release_that_is_in_force_does_not_soak() -> None:
    sim = simulation(3, soak=600)
    for node in sim.nodes:
        node.reached_generation = 2
    assert sim.run(1).phase == "Complete"


def with_canaries(*canaries: str, nodes: int = 2, soak: int = 0, canary_soak: int = 100) -> Simulation:
    sim = simulation(6, nodes=nodes, soak=soak)
    sim.limits = sim.limits._replace(canary_soak_seconds=canary_soak)
    for name in canaries:
        sim.node(name).canary = True
    return sim


def test_canaries_change_first_and_soak_before_the_others() -> None:
    sim = with_canaries("n3", "n4", "n5")
    sim.run(90)
    assert sim.names() == [["n3", "n4"], ["n5"]]
    assert sim.status is not None
    assert (sim.status.phase, sim.status.message.endswith("soakSeconds is 100")) == ("Soaking", True)
    assert sim.run(60).phase == "Complete"
    assert sim.names() == [["n3", "n4"], ["n5"], ["n0", "n1"], ["n2"]]
    began = [time for time, _ in sim.grants]
    assert began[2] - began[1] >= 100
    assert began[3] - began[2] < 10


def test_failed_canary_halts_before_any_other_node_changes() -> None:
    sim = with_canaries("n4")
    sim.node("n4").failure = "Refused"
    assert sim.run(500).phase == "Halted"
    assert sim.names() == [["n4"]]


def test_others_wait_for_a_canary_that_is_away_but_not_for_every_one() -> None:
    sim = with_canaries("n4", "n5", canary_soak=5)
    sim.node("n4").away = sim.node("n5").away = True
    status = sim.run(100)
    assert (sim.names(), status.reason) == ([], "WaitingForNodes")
    assert status.message.startswith("waiting for n4")
    sim.node("n5").away = False
    sim.run(60)
    assert sim.names() == [["n5"], ["n0", "n1"], ["n2", "n3"]]
    sim.node("n4").away = False
    assert sim.run(60).phase == "Complete"
    assert sim.names()[-1] == ["n4"]


def test_selector_without_a_node_lets_all_wait() -> None:
    sim = with_canaries()
    status = sim.run(100)
    assert (sim.names(), status.phase) == ([], "Progressing")
    assert "selects no node of the policy" in status.message
    sim.node("n2").canary = True
    assert sim.run(300).phase == "Complete"
    assert sim.names()[0] == ["n2"]


def test_killed_controller_still_soaks_the_canaries() -> None:
    sim = with_canaries("n1")
    sim.run(50)
    sim.status = None
    sim.run(90)
    assert sim.names() == [["n1"]], "the soak begins again"
    assert sim.run(60).phase == "Complete"


def test_node_that_joins_later_waits_for_no_canary() -> None:
    sim = with_canaries("n1", canary_soak=3)
    assert sim.run(60).phase == "Complete"
    sim.nodes.append(SimulatedNode("late"))
    assert sim.run(30).phase == "Complete"
    assert sim.names()[-1] == ["late"]


def test_policy_without_nodes_is_complete() -> None:
    status = simulation(0, soak=60).run(1)
    assert (status.phase, status.progress) == ("Complete", "0/0")


@pytest.mark.parametrize("seed", range(150))
def test_limit_holds_whatever_happens(seed: int) -> None:
    """Random clusters; the controller is killed at random and continues from a status that is some steps old,
    generations supersede each other, and nodes join. No more nodes than the limit are ever under way."""
    dice = random.Random(seed)
    limit, soak = dice.choice([1, 2, 3, 5]), dice.choice([0, 0, 7, 30])
    sim = simulation(dice.randint(1, 25), nodes=limit, soak=soak, zones=dice.choice([0, 2, 3]))
    for node in sim.nodes:
        node.answer_seconds = dice.choice([0.5, 1, 4, 12])
    written: RolloutStatus | None = None
    for tick in range(4000):
        step = sim.step()
        if dice.random() < 0.3:
            written = step.status
        if dice.random() < 0.02:
            # Killed. Both writes, of the nodes and of the status, are under way for a while.
            sim.status, sim.joined = written, set()
        if tick < 1000 and dice.random() < 0.003:
            sim.generation += 1
        if tick < 1000 and dice.random() < 0.01:
            sim.nodes.append(SimulatedNode(f"x{tick}", answer_seconds=dice.choice([1, 9])))
        under_way = [
            node
            for node in sim.nodes
            if node.reached_generation == sim.generation
            and sim.now < node.reached_at + node.answer_seconds + soak
        ]
        assert len(under_way) <= limit
        sim.now += dice.choice([0.2, 1, 3])
        if tick > 1000 and step.status.phase == "Complete" and step.status.generation == sim.generation:
            break
    assert sim.status
    assert sim.status.phase == "Complete"
    assert all(node.reached_generation == sim.generation for node in sim.nodes)
