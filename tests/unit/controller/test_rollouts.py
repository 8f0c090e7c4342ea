"""Rollouts of the reconciler against an API server in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from oomkeeper.controller.kinds import NODE, OOM_NODE, POLICY
from oomkeeper.controller.reconciler import AgentSelector

from .builders import DUMPS
from .kstatus import kstatus
from .test_reconciler import Cluster, play

SWAP, PANIC_ON_OOM = "vm.swappiness", "vm.panic_on_oom"
ACKNOWLEDGED = {"acknowledge": ["NodePanic", "KubeletConflict"]}
ONE = {"maxConcurrent": 1}


class Agents:
    """Agents that report on a new spec within `seconds`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.seconds = 1.0
        self.states: dict[str, str] = {}
        """Node -> state that its agent reports, InSync by default; `silent` reports nothing."""
        self._reported: dict[str, str] = {}
        self.most_unanswered = 0

    async def answer(self) -> None:
        while True:
            await asyncio.sleep(self.seconds)
            self.once()

    def once(self) -> None:
        unanswered = 0
        for path, obj in list(self.cluster.api.objects.items()):
            if not path.startswith(f"{OOM_NODE.root}/"):
                continue
            name = obj["metadata"]["name"]
            state = self.states.get(name, "InSync")
            observed = (obj.get("status") or {}).get("observedGeneration", 0)
            answered = observed == obj["metadata"]["generation"]
            unanswered += not answered
            if state != "silent" and not (answered and self._reported.get(name) == state):
                self._reported[name] = state
                self.cluster.agent_reports(name, state=state)
        self.most_unanswered = max(self.most_unanswered, unanswered)


def roll(
    scenario: Callable[[Cluster, Agents], Awaitable[None]], *, selector: AgentSelector | None = None
) -> None:
    async def main(cluster: Cluster) -> None:
        agents = Agents(cluster)
        task = asyncio.create_task(agents.answer())
        try:
            await scenario(cluster, agents)
        finally:
            task.cancel()

    play(main, agents=selector)


def values(cluster: Cluster, *, key: str = SWAP) -> list[int | None]:
    """The value of every node, by name."""
    names = sorted(path.rpartition("/")[2] for path in cluster.api.objects if path.startswith(OOM_NODE.root))
    return [cluster.sysctls(name).get(key) for name in names]


def annotate(cluster: Cluster, policy: str, value: str | None) -> None:
    obj = cluster.api.objects[f"{POLICY.root}/{policy}"]
    obj["metadata"]["annotations"] = {"oomkeeper.dev/rollout": value} if value else {}
    cluster.api.put(POLICY, policy)


def judged(cluster: Cluster, policy: str = "p") -> str:
    """What kstatus says."""
    return kstatus(cluster.api.objects[f"{POLICY.root}/{policy}"])


async def established(cluster: Cluster, number: int, **spec: Any) -> None:
    """A policy in force on a number of nodes."""
    cluster.nodes(number)
    cluster.policy("p", sysctls={SWAP: 10}, **spec)
    soak_seconds = spec.get("rollout", {}).get("soakSeconds", 0)
    await asyncio.sleep(100 + (20 + soak_seconds) * number)
    assert cluster.condition("p", "Ready") == ("True", "InSync")


def test_change_reaches_one_node_after_another() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 4, rollout=ONE)
        agents.most_unanswered = 0
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        seen = []
        for _ in range(600):
            await asyncio.sleep(0.1)
            if not seen or seen[-1] != values(cluster):
                seen.append(values(cluster))
        expected = [[20] * count + [10] * (4 - count) for count in range(5)]
        assert [one for one in seen if one != [10] * 4] == expected[1:]
        assert agents.most_unanswered == 1
        status = cluster.status("p")
        assert status["rollout"] | {"since": ""} == {
            "generation": 2,
            "phase": "Complete",
            "updated": 4,
            "total": 4,
            "failed": 0,
            "joining": False,
            "progress": "4/4",
            "reason": "AllNodesUpdated",
            "message": "every node has the values of this generation",
            "since": "",
        }
        assert judged(cluster) == "Current"

    roll(scenario)


def test_new_policy_is_rolled_out_too() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        cluster.nodes(3)
        await asyncio.sleep(10)
        agents.most_unanswered = 0
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(0.5)
        assert values(cluster) == [20, None, None]
        await asyncio.sleep(60)
        assert values(cluster) == [20, 20, 20]
        assert agents.most_unanswered == 1

    roll(scenario)


def test_batch_soaks_and_the_conditions_follow_kstatus() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        rollout = {"maxConcurrent": "50%", "soakSeconds": 60}
        await established(cluster, 4, rollout=rollout)
        assert judged(cluster) == "Current"
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        assert judged(cluster) == "InProgress", "observedGeneration is older"
        await asyncio.sleep(30)
        assert values(cluster) == [20, 20, 10, 10]
        assert cluster.status("p")["rollout"]["phase"] == "Soaking"
        assert cluster.status("p")["observedGeneration"] == 2
        assert cluster.status("p")["nodes"]["inSync"] == 2
        assert cluster.status("p")["nodes"]["pending"] == 2
        assert cluster.condition("p", "Reconciling") == ("True", "RolloutInProgress")
        assert cluster.condition("p", "Ready") == ("False", "RolloutInProgress")
        assert cluster.condition("p", "Progressing") == ("True", "RolloutInProgress")
        assert judged(cluster) == "InProgress"
        await asyncio.sleep(45)
        assert values(cluster) == [20, 20, 20, 20]
        await asyncio.sleep(30)
        assert judged(cluster) == "InProgress", "the last batch soaks"
        await asyncio.sleep(60)
        assert judged(cluster) == "Current"
        types = {one["type"] for one in cluster.status("p")["conditions"]}
        assert not types & {"Reconciling", "Stalled"}

    roll(scenario)


def test_refusing_node_halts_until_a_person_resumes() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 4, rollout=ONE)
        agents.states["n1"] = "Refused"
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(200)
        assert values(cluster) == [20, 20, 10, 10]
        rollout = cluster.status("p")["rollout"]
        assert (rollout["phase"], rollout["haltedNode"], rollout["progress"]) == ("Halted", "n1", "2/4")
        assert cluster.condition("p", "Stalled") == ("True", "RolloutHalted")
        assert cluster.condition("p", "Ready") == ("False", "RolloutHalted")
        assert judged(cluster) == "Failed"
        (event,) = [one for one in cluster.events() if one["reason"] == "RolloutHalted"]
        assert event["type"] == "Warning"
        assert "n1" in event["message"]
        agents.states.clear()
        await asyncio.sleep(200)
        assert values(cluster) == [20, 20, 10, 10]
        assert judged(cluster) == "Failed", "fixing the node alone does not resume"
        await cluster.restart()
        await asyncio.sleep(200)
        assert values(cluster) == [20, 20, 10, 10]
        assert judged(cluster) == "Failed", "a new controller knows of the halt"
        annotate(cluster, "p", "resume")
        await asyncio.sleep(60)
        assert values(cluster) == [20, 20, 20, 20]
        assert judged(cluster) == "Current"

    roll(scenario)


SOAKS = {"maxConcurrent": 1, "soakSeconds": 600}


def kill_workloads(cluster: Cluster, *nodes: str, number: int = 6) -> None:
    """Kill a process of so many workloads on each of these nodes."""
    for node in nodes:
        for index in range(number):
            cluster.kill(f"w{index}-{node}", node=node, workload=f"w{index}")


async def soaking(cluster: Cluster) -> None:
    """A change that has reached n0 of four nodes and soaks."""
    await established(cluster, 4, rollout=SOAKS)
    cluster.policy("p", sysctls={SWAP: 20}, rollout=SOAKS)
    await asyncio.sleep(100)
    assert cluster.status("p")["rollout"]["phase"] == "Soaking"


def test_more_kills_than_before_halt_until_a_person_resumes() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await soaking(cluster)
        kill_workloads(cluster, "n0", number=4)
        await asyncio.sleep(60)
        assert cluster.status("p")["rollout"]["phase"] == "Soaking", "four are too few"
        await cluster.restart()
        kill_workloads(cluster, "n0")
        await asyncio.sleep(40)
        rollout = cluster.status("p")["rollout"]
        assert (rollout["phase"], rollout["reason"]) == ("Halted", "KillsIncreased")
        assert rollout["haltedNode"] == "n0"
        assert "6 workloads were killed on the changed nodes within 4 minutes (n0: 6)" in rollout["message"]
        assert "rollout=resume --overwrite" in rollout["message"]
        assert cluster.condition("p", "Stalled") == ("True", "RolloutHalted")
        assert judged(cluster) == "Failed"
        (event,) = [one for one in cluster.events() if one["reason"] == "RolloutHalted"]
        assert "OOM kills increased" in event["message"]
        await cluster.restart()
        await asyncio.sleep(2000)
        assert values(cluster) == [20, 10, 10, 10], "it stays halted, also in a new controller"
        annotate(cluster, "p", "resume")
        await asyncio.sleep(400)
        assert values(cluster) == [20, 10, 10, 10], "the soak begins again"
        await asyncio.sleep(4000)
        assert values(cluster) == [20, 20, 20, 20], "earlier kills do not halt it again"

    roll(scenario)


def test_more_kills_on_every_node_do_not_halt() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await soaking(cluster)
        kill_workloads(cluster, "n0", "n1", "n2", "n3")
        await asyncio.sleep(4000)
        assert values(cluster) == [20, 20, 20, 20]

    roll(scenario)


def test_more_kills_do_not_halt_where_failures_do_not() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await soaking(cluster)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=SOAKS | {"haltOnFailure": False})
        kill_workloads(cluster, "n0")
        await asyncio.sleep(4000)
        assert values(cluster) == [20, 20, 20, 20]

    roll(scenario)


def test_kills_on_a_node_that_joins_later_do_not_halt() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 4, rollout=SOAKS)
        cluster.node("n5")
        cluster.node("n6")
        await asyncio.sleep(100)
        kill_workloads(cluster, "n0", "n1", "n5", number=20)
        await asyncio.sleep(2000)
        assert cluster.status("p")["rollout"]["phase"] == "Complete"

    roll(scenario)


def test_undo_after_a_halt_changes_back_only_the_changed_nodes() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await soaking(cluster)
        kill_workloads(cluster, "n0")
        await asyncio.sleep(40)
        assert cluster.status("p")["rollout"]["phase"] == "Halted"
        before = len(cluster.api.writes("/oomnodes/"))
        cluster.policy("p", sysctls={SWAP: 10}, rollout=SOAKS)
        await asyncio.sleep(3)
        assert values(cluster) == [10] * 4, "the other nodes had these values before and need no soak"
        await asyncio.sleep(1000)
        assert values(cluster) == [10] * 4
        applied = [one for one in cluster.api.writes("/oomnodes/")[before:] if "/status" not in one.path]
        assert len(applied) == 1
        assert judged(cluster) == "Current"

    roll(scenario)


def test_newer_generation_continues_after_a_halt() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 4, rollout=ONE)
        agents.states["n1"] = "Refused"
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(100)
        agents.states.clear()
        cluster.policy("p", sysctls={SWAP: 30}, rollout=ONE)
        await asyncio.sleep(0.5)
        assert values(cluster) == [30, 20, 10, 10], "each node keeps what it had"
        await asyncio.sleep(100)
        assert values(cluster) == [30, 30, 30, 30]
        assert judged(cluster) == "Current"

    roll(scenario)


def test_undoing_a_half_done_change_touches_only_the_changed_nodes() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        rollout = {"maxConcurrent": 1, "soakSeconds": 60}
        await established(cluster, 4, rollout=rollout)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        await asyncio.sleep(100)
        assert values(cluster) == [20, 20, 10, 10]
        before = len(cluster.api.writes("/oomnodes/"))
        cluster.policy("p", sysctls={SWAP: 10}, rollout=rollout)
        await asyncio.sleep(400)
        assert values(cluster) == [10, 10, 10, 10]
        applied = [one for one in cluster.api.writes("/oomnodes/")[before:] if "/status" not in one.path]
        assert len(applied) == 2

    roll(scenario)


def test_edit_of_the_limits_does_not_shorten_the_soak() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await soaking(cluster)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=SOAKS | {"maxConcurrent": 2})
        await asyncio.sleep(550)
        assert values(cluster) == [20, 10, 10, 10]
        await asyncio.sleep(100)
        assert values(cluster) == [20, 20, 20, 10]

    roll(scenario)


def test_undo_while_the_controller_is_away_soaks_first() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await soaking(cluster)
        await cluster.stop()
        cluster.policy("p", sysctls={SWAP: 10}, rollout=SOAKS)
        cluster.start()
        await asyncio.sleep(590)
        assert values(cluster) == [20, 10, 10, 10], "a node may have been changed a moment ago"
        await asyncio.sleep(100)
        assert values(cluster) == [10] * 4

    roll(scenario)


@pytest.mark.parametrize("after_seconds", [0.3, 2.0, 7.0, 30.0, 61.0, 65.0])
def test_killed_controller_continues_where_it_was(after_seconds: float) -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        rollout = {"maxConcurrent": 2, "soakSeconds": 60}
        await established(cluster, 6, rollout=rollout)
        agents.most_unanswered = 0
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        changed: list[float] = []
        kills = [round(after_seconds * 10) * time for time in range(1, 6)]
        for tick in range(6000):
            await asyncio.sleep(0.1)
            changed += [cluster.now()] * (values(cluster).count(20) - len(changed))
            if tick in kills:
                await cluster.restart()
        assert values(cluster) == [20] * 6
        assert agents.most_unanswered <= 2
        assert all(later - earlier >= 60 for earlier, later in zip(changed[:-2], changed[2:], strict=True))
        assert judged(cluster) == "Current"

    roll(scenario)


def test_default_rollout_changes_all_nodes_immediately_with_one_write_each() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 20)
        before = len(cluster.api.writes())
        agents.seconds = 2.0
        cluster.policy("p", sysctls={SWAP: 20})
        await asyncio.sleep(0.5)
        assert values(cluster) == [20] * 20
        assert cluster.condition("p", "Ready") == ("False", "NodesPending")
        await asyncio.sleep(100)
        writes = [one.path for one in cluster.api.writes()[before:]]
        assert sum("/oomnodes/" in path for path in writes) == 20
        assert sum(path.endswith("/p/status") for path in writes) == 2, "pending, then in sync"
        assert len(writes) == 22, "and no Event"
        assert cluster.status("p")["rollout"]["progress"] == "20/20"
        assert not {one["type"] for one in cluster.status("p")["conditions"]} & {"Reconciling", "Stalled"}

    roll(scenario)


def test_steps_of_five_percent_of_1000_nodes_cost_the_changes_and_two_status_writes_each() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        canary = {"nodeSelector": {"matchLabels": {"canary": "yes"}}}
        rollout = {"maxConcurrent": "5%", "soakSeconds": 30, "canary": canary}
        cluster.nodes(1000)
        for index in range(10):
            cluster.node(f"n{index}", canary="yes")
        cluster.policy("p", sysctls={SWAP: 10})
        await asyncio.sleep(100)
        cluster.policy("p", sysctls={SWAP: 10}, rollout=rollout)
        await asyncio.sleep(100)
        agents.most_unanswered = 0
        before = len(cluster.api.writes())
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        await asyncio.sleep(21 * 45)
        assert values(cluster) == [20] * 1000
        assert judged(cluster) == "Current"
        writes = cluster.api.writes()[before:]
        nodes = [one for one in writes if "/oomnodes/" in one.path]
        statuses = [one for one in writes if one.path.endswith("/p/status")]
        events = [one for one in writes if "/events/" in one.path]
        assert len(nodes) == 1000
        assert len(statuses) <= 2 * 21 + 2
        assert len(events) <= 21 * 45 // 60 + 2
        assert len(writes) == len(nodes) + len(statuses) + len(events)
        assert agents.most_unanswered <= 50

    roll(scenario)


def test_batches_are_spread_over_zones() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        for zone in "ab":
            for index in range(2):
                cluster.node(f"{zone}{index}", **{"topology.kubernetes.io/zone": zone})
        rollout = {"maxConcurrent": 2, "soakSeconds": 60}
        cluster.policy("p", sysctls={SWAP: 10}, rollout=rollout)
        await asyncio.sleep(20)
        assert values(cluster) == [10, None, 10, None]

    roll(scenario)


def test_joining_nodes_respect_the_limit() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 2, rollout=ONE)
        agents.seconds = 3.0
        agents.most_unanswered = 0
        cluster.node("x0")
        cluster.node("x1")
        await asyncio.sleep(0.5)
        assert values(cluster) == [10, 10, 10, None]
        assert judged(cluster) == "InProgress"
        await asyncio.sleep(60)
        assert values(cluster) == [10, 10, 10, 10]
        assert judged(cluster) == "Current"

    roll(scenario)


@pytest.mark.parametrize("spec", [{"suspend": True}, {"mode": "Audit"}, None])
def test_taking_a_policy_back_never_waits(spec: dict[str, Any] | None) -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 6, rollout=ONE)
        agents.states["n1"] = "Refused"
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(100)
        assert judged(cluster) == "Failed"
        if spec is None:
            cluster.api.remove(POLICY, "p")
        else:
            cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE, **spec)
        await asyncio.sleep(5)
        specs = [cluster.api.objects[f"{OOM_NODE.root}/n{index}"]["spec"] for index in range(6)]
        entries = [entry for spec in specs for entry in spec.get("sysctls", ())]
        assert [entry for entry in entries if entry.get("mode") != "Audit"] == []

    roll(scenario)


@pytest.mark.parametrize("sysctls", [{PANIC_ON_OOM: 0, SWAP: 20}, {SWAP: 20}])
def test_panic_on_oom_is_taken_back_on_all_nodes_immediately(sysctls: dict[str, int]) -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        cluster.nodes(3)
        cluster.policy(
            "p",
            sysctls={PANIC_ON_OOM: 1, SWAP: 10},
            rollout=ONE | {"soakSeconds": 60},
            panicSafety=ACKNOWLEDGED,
        )
        await asyncio.sleep(400)
        assert values(cluster, key=PANIC_ON_OOM) == [1, 1, 1]
        cluster.policy("p", sysctls=sysctls, rollout=ONE | {"soakSeconds": 60}, panicSafety=ACKNOWLEDGED)
        await asyncio.sleep(1)
        assert values(cluster, key=PANIC_ON_OOM) == [sysctls.get(PANIC_ON_OOM)] * 3
        assert values(cluster) == [20, 10, 10]
        await asyncio.sleep(400)
        assert values(cluster) == [20, 20, 20]

    roll(scenario)


def test_removed_sysctl_is_released_step_by_step() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3, rollout=ONE | {"soakSeconds": 60})
        cluster.policy("p", sysctls={DUMPS: 1}, rollout=ONE | {"soakSeconds": 60})
        await asyncio.sleep(20)
        assert values(cluster) == [None, 10, 10]
        assert values(cluster, key=DUMPS) == [1, None, None]

    roll(scenario)


def test_higher_priority_takes_over_by_its_own_rollout() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3)
        cluster.policy("top", priority=200, sysctls={SWAP: 30}, rollout=ONE | {"soakSeconds": 60})
        await asyncio.sleep(20)
        assert values(cluster) == [30, 10, 10]
        cluster.policy("p", sysctls={SWAP: 11})
        await asyncio.sleep(10)
        assert values(cluster) == [30, 11, 11], "the lower one still decides where it was not taken over"
        cluster.api.remove(POLICY, "top")
        await asyncio.sleep(5)
        assert values(cluster) == [11, 11, 11], "deletion does not wait"

    roll(scenario)


def test_lowered_priority_is_the_change_of_the_policy_that_takes_over() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3)
        cluster.policy("q", priority=50, sysctls={SWAP: 30}, rollout=ONE | {"soakSeconds": 60})
        await asyncio.sleep(100)
        assert values(cluster) == [10, 10, 10]
        cluster.policy("p", sysctls={SWAP: 10}, priority=10)
        await asyncio.sleep(20)
        assert values(cluster) == [30, 10, 10]
        await asyncio.sleep(200)
        assert values(cluster) == [30, 30, 30]

    roll(scenario)


def test_deleted_policy_leaves_its_sysctl_to_the_next_immediately() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3)
        cluster.policy("q", priority=50, sysctls={SWAP: 30}, rollout=ONE | {"soakSeconds": 60})
        await asyncio.sleep(100)
        cluster.api.remove(POLICY, "p")
        await asyncio.sleep(5)
        assert values(cluster) == [30, 30, 30]

    roll(scenario)


def test_two_policies_roll_out_independently() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 3, rollout=ONE)
        agents.states["n0"] = "Refused"
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(60)
        assert judged(cluster) == "Failed"
        agents.states.clear()
        cluster.policy("q", sysctls={DUMPS: 1}, rollout=ONE)
        await asyncio.sleep(60)
        assert values(cluster) == [20, 10, 10]
        assert values(cluster, key=DUMPS) == [1, 1, 1]
        assert judged(cluster, "q") == "Current"

    roll(scenario)


def test_oom_score_adjustments_are_rolled_out_too() -> None:
    def adjusts(value: int) -> list[dict[str, Any]]:
        return [{"name": "ssh", "systemdUnit": "ssh.service", "value": value}]

    async def scenario(cluster: Cluster, _: Agents) -> None:
        cluster.nodes(2)
        rollout = ONE | {"soakSeconds": 60}
        cluster.policy("p", oomScoreAdjustments=adjusts(-500), sysctls={SWAP: 10})
        await asyncio.sleep(30)
        cluster.policy("p", oomScoreAdjustments=adjusts(-900), sysctls={SWAP: 10}, rollout=rollout)
        await asyncio.sleep(3)
        found = [
            cluster.api.objects[f"{OOM_NODE.root}/n{index}"]["spec"]["oomScoreAdjustments"][0]["value"]
            for index in range(2)
        ]
        assert found == [-900, -500]

    roll(scenario)


def test_nodes_that_share_a_kernel_change_together() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        ready = [{"type": "Ready", "status": "True"}]
        for name, boot in (("k0", "one"), ("k1", "one"), ("z", "other")):
            cluster.api.put(NODE, name, labels={}, status={"conditions": ready, "nodeInfo": {"bootID": boot}})
        rollout = ONE | {"soakSeconds": 60}
        cluster.policy("p", sysctls={SWAP: 10}, rollout=rollout)
        await asyncio.sleep(200)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        await asyncio.sleep(3)
        assert values(cluster) == [20, 20, 10]
        cluster.policy("p", sysctls={SWAP: 30}, rollout=rollout)
        await asyncio.sleep(500)
        assert values(cluster) == [30, 30, 30]
        assert judged(cluster) == "Current"

    roll(scenario)


def test_foreign_value_on_a_node_that_waits_is_removed() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3, rollout=ONE | {"soakSeconds": 600})
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE | {"soakSeconds": 600})
        await asyncio.sleep(20)
        spec = cluster.api.objects[f"{OOM_NODE.root}/n2"]["spec"]
        cluster.api.put(OOM_NODE, "n2", spec=spec | {"sysctls": [{**spec["sysctls"][0], "value": 99}]})
        await asyncio.sleep(10)
        assert values(cluster) == [20, 10, 10]

    roll(scenario)


def test_pause_holds_even_a_policy_without_limits() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3)
        annotate(cluster, "p", "paused")
        await asyncio.sleep(10)
        assert judged(cluster) == "Current"
        cluster.policy("p", sysctls={SWAP: 20})
        await asyncio.sleep(60)
        assert values(cluster) == [10, 10, 10]
        assert cluster.condition("p", "Ready") == ("False", "RolloutPaused")
        assert judged(cluster) == "InProgress"
        annotate(cluster, "p", None)
        await asyncio.sleep(10)
        assert values(cluster) == [20, 20, 20]

    roll(scenario)


def test_paused_rollout_resumes() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        await established(cluster, 4, rollout=ONE)
        agents.seconds = 10.0
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(1)
        annotate(cluster, "p", "paused")
        await asyncio.sleep(100)
        assert values(cluster) == [20, 10, 10, 10]
        assert cluster.status("p")["rollout"]["phase"] == "Paused"
        annotate(cluster, "p", "resume")
        await asyncio.sleep(100)
        assert values(cluster) == [20, 20, 20, 20]

    roll(scenario)


def test_invalid_content_does_not_change_what_is_rolled_out() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        rollout = ONE | {"soakSeconds": 60}
        await established(cluster, 3, rollout=rollout)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        await asyncio.sleep(20)
        cluster.policy("p", sysctls={SWAP: 30}, rollout=rollout, mode="Warn")
        await asyncio.sleep(20)
        assert values(cluster) == [20, 10, 10]
        await cluster.restart()
        await asyncio.sleep(200)
        assert values(cluster) == [20, 10, 10], "the last valid version is no longer known"
        assert cluster.status("p")["rollout"]["generation"] == 2
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        await asyncio.sleep(400)
        assert values(cluster) == [20, 20, 20]

    roll(scenario)


def test_node_that_is_not_ready_is_changed_when_it_returns() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3, rollout=ONE)
        cluster.node("n0", ready=False)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(60)
        assert values(cluster) == [10, 20, 20]
        assert judged(cluster) == "InProgress"
        cluster.node("n0")
        await asyncio.sleep(60)
        assert values(cluster) == [20, 20, 20]
        assert judged(cluster) == "Current"

    roll(scenario)


def test_node_that_becomes_unready_after_its_change_halts() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        rollout = ONE | {"soakSeconds": 60}
        await established(cluster, 3, rollout=rollout)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=rollout)
        await asyncio.sleep(20)
        cluster.node("n0", ready=False)
        await asyncio.sleep(200)
        assert values(cluster) == [20, 10, 10]
        assert cluster.status("p")["rollout"]["reason"] == "NodeUnreachable"

    roll(scenario)


def test_silent_agent_halts() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        for name in ("n0", "n1", "n2"):
            cluster.agent_pod(name, ready=True)
        await established(cluster, 3, rollout=ONE)
        agents.states["n1"] = "silent"
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(20)
        cluster.agent_pod("n1", ready=False)
        await asyncio.sleep(100)
        assert values(cluster) == [20, 20, 10]
        assert cluster.status("p")["rollout"]["reason"] == "NodeAgentSilent"

    roll(scenario, selector=AgentSelector("ops", "a=b"))


def test_settled_rollout_causes_no_writes() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3, rollout=ONE | {"soakSeconds": 30})
        await asyncio.sleep(100)
        before = len(cluster.api.writes())
        await asyncio.sleep(3600)
        await cluster.restart()
        await asyncio.sleep(100)
        assert cluster.api.writes()[before:] == []

    roll(scenario)


def test_limits_apply_to_the_change_that_introduces_them() -> None:
    async def scenario(cluster: Cluster, _: Agents) -> None:
        await established(cluster, 3)
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE | {"soakSeconds": 60})
        await asyncio.sleep(20)
        assert values(cluster) == [20, 10, 10]

    roll(scenario)


def test_node_that_reads_its_kernel_before_another_one_sets_the_value_does_not_halt() -> None:
    async def scenario(cluster: Cluster, agents: Agents) -> None:
        status = {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"bootID": "same"}}
        for name in ("n0", "n1"):
            cluster.api.put(NODE, name, status=status)
        cluster.policy("p", sysctls={SWAP: 10}, rollout=ONE)
        await asyncio.sleep(60)
        assert cluster.condition("p", "Ready") == ("True", "InSync")
        modes = {
            name: cluster.api.objects[f"{OOM_NODE.root}/{name}"]["spec"]["sysctls"][0]["mode"]
            for name in ("n0", "n1")
        }
        (auditing,) = [name for name, mode in modes.items() if mode == "Audit"]
        agents.states[auditing] = "Audited"
        cluster.policy("p", sysctls={SWAP: 20}, rollout=ONE)
        await asyncio.sleep(20)
        assert cluster.status("p")["rollout"]["phase"] == "Progressing"
        agents.states.clear()
        await asyncio.sleep(20)
        assert cluster.status("p")["rollout"]["phase"] == "Complete"

    roll(scenario)
