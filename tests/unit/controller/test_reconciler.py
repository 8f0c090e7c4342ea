"""The reconciler against an API server in memory, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from oomkeeper.controller.apiclient import APIError
from oomkeeper.controller.cache import ClusterCache
from oomkeeper.controller.kinds import CONTAINER_KILL, INCIDENT, NODE, OOM_NODE, POLICY, REPORT
from oomkeeper.controller.reconciler import AgentSelector, Reconciler
from oomkeeper.model.times import format_time

from .builders import ALLOCATING, DUMPS
from .fake_api import FakeApi
from .virtual_time import VirtualLoop, run_virtual

START = 1_800_000_000.0


class Cluster:
    """An API server and a controller that is running."""

    def __init__(self, loop: VirtualLoop, *, agents: AgentSelector | None) -> None:
        self._loop = loop
        self._agents = agents
        self.api = FakeApi(clock=loop.time)

    def start(self) -> None:
        self.reconciler = Reconciler(
            api=self.api,  # type: ignore[arg-type]
            cache=ClusterCache(),
            clock=self.now,
            monotonic=self._loop.time,
            stopwatch=self._loop.time,
            agents=self._agents,
        )
        self.api.send = self.reconciler.handle_event
        self._task = asyncio.create_task(self._run())

    def now(self) -> float:
        return START + self._loop.time()

    async def _run(self) -> None:
        await self.reconciler.listed()
        await self.reconciler.run()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def restart(self) -> None:
        await self.stop()
        self.start()

    def nodes(self, number: int) -> None:
        for index in range(number):
            self.node(f"n{index}")

    def node(self, name: str, *, ready: bool = True, **labels: str) -> None:
        status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
        self.api.put(NODE, name, labels=labels, status=status)

    def clock_behind(self, name: str, *, seconds: int) -> None:
        """kubelet writes a heartbeat by a clock that is behind."""
        obj = self.api.objects[f"{NODE.root}/{name}"]
        heartbeat = format_time(self.now() - seconds)
        condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}
        written = {"manager": "kubelet", "subresource": "status", "time": format_time(self.now())}
        obj["metadata"]["managedFields"] = [written]
        self.api.put(NODE, name, status={"conditions": [condition]})

    def policy(self, name: str, **spec: Any) -> None:
        self.api.put(POLICY, name, spec=spec)

    def agent_reports(self, node: str, *, state: str = "InSync", **more: Any) -> None:
        obj = self.api.objects[f"{OOM_NODE.root}/{node}"]
        sysctls = [
            {
                "name": entry["name"],
                "desired": entry["value"],
                "actual": entry["value"],
                "state": state,
                "policy": entry["policy"],
                **more,
            }
            for entry in obj["spec"].get("sysctls", ())
        ]
        status = {
            "observedGeneration": obj["metadata"]["generation"],
            "sysctls": sysctls,
            "counters": {"since": format_time(START - 30 * 86400)},
        }
        self.api.put(OOM_NODE, node, status=status)

    def agent_pod(self, node: str, *, ready: bool) -> None:
        self.api.set_pod(
            {
                "metadata": {"name": f"agent-{node}", "uid": f"uid-agent-{node}"},
                "spec": {"nodeName": node},
                "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
            }
        )

    def container_killed(self, name: str, *, age_seconds: float) -> None:
        seen = format_time(self.now() - age_seconds)
        self.api.put(
            CONTAINER_KILL, name, namespace="shop", spec={"nodeName": "n0"}, status={"lastSeen": seen}
        )

    def kill(
        self,
        name: str,
        *,
        node: str = "n0",
        count: int = 1,
        age_seconds: float = 0.0,
        workload: str = "web",
    ) -> None:
        time = self.now() - age_seconds
        now = format_time(time)
        self.api.put(
            INCIDENT,
            name,
            namespace="shop",
            spec={
                "nodeName": node,
                "cause": "PodLimit",
                "container": "app",
                "workload": {"kind": "Deployment", "name": workload},
            },
            status={
                "cause": "PodLimit",
                "count": count,
                "firstSeen": now,
                "lastSeen": now,
                "kills": [{"id": str(count), "time": now, "pod": "web-1", "podUID": "u"}],
                "history": [{"hour": format_time(time // 3600 * 3600), "kills": count}],
            },
        )

    def sysctls(self, node: str) -> dict[str, int]:
        spec = self.api.objects[f"{OOM_NODE.root}/{node}"]["spec"]
        return {entry["name"]: entry["value"] for entry in spec.get("sysctls", ())}

    def status(self, policy: str) -> dict[str, Any]:
        return self.api.objects[f"{POLICY.root}/{policy}"].get("status", {})  # type: ignore[no-any-return]

    def condition(self, policy: str, type: str) -> tuple[str, str]:
        """Return status and reason."""
        found = self._condition(policy, type)
        return found["status"], found["reason"]

    def message(self, policy: str, type: str) -> str:
        return str(self._condition(policy, type)["message"])

    def _condition(self, policy: str, type: str) -> dict[str, Any]:
        (found,) = [one for one in self.status(policy)["conditions"] if one["type"] == type]
        return found  # type: ignore[no-any-return]

    def events(self) -> list[dict[str, Any]]:
        return [obj for obj in self.api.objects.values() if obj["kind"] == "Event"]

    def event_counts(self) -> list[int]:
        return [event["count"] for event in self.events()]


def play(scenario: Callable[[Cluster], Awaitable[None]], *, agents: AgentSelector | None = None) -> None:
    async def main(loop: VirtualLoop) -> None:
        cluster = Cluster(loop, agents=agents)
        cluster.start()
        try:
            await scenario(cluster)
        finally:
            await cluster.stop()

    run_virtual(main)


def test_policy_reaches_its_nodes_and_becomes_ready() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.node("a", pool="x")
        cluster.node("b", pool="y")
        cluster.policy("p", nodeSelector={"matchLabels": {"pool": "x"}}, sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        assert cluster.sysctls("a") == {DUMPS: 1}
        assert cluster.sysctls("b") == {}
        assert cluster.condition("p", "Ready") == ("False", "NodesPending")
        cluster.agent_reports("a")
        await asyncio.sleep(10)
        assert cluster.condition("p", "Ready") == ("True", "InSync")
        cluster.api.remove(POLICY, "p")
        await asyncio.sleep(10)
        assert cluster.sysctls("a") == {}

    play(scenario)


def test_settled_cluster_causes_no_writes_for_an_hour() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(3)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        for node in ("n0", "n1", "n2"):
            cluster.agent_reports(node)
        cluster.kill("web", node="n0")
        await asyncio.sleep(100)
        before = len(cluster.api.writes())
        for _ in range(360):
            cluster.node("n0")  # a heartbeat
            await asyncio.sleep(10)
        assert cluster.api.writes()[before:] == []

    play(scenario)


def test_kill_in_a_storm_is_published_immediately_and_then_coalesced() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.policy("p", sysctls={DUMPS: 1})
        cluster.api.put(REPORT, "r", spec={"refreshInterval": "1h"})
        await asyncio.sleep(100)
        before, started = len(cluster.api.requests), cluster.api.requests[-1].at
        for count in range(1, 301):
            cluster.kill("web", count=count)
            if count == 1:
                await asyncio.sleep(0.5)
                assert cluster.event_counts() == [1]
                assert cluster.status("p")["oom"]["kills"] == 1
            await asyncio.sleep(0.1)
        writes = [one for one in cluster.api.requests[before:] if one.method != "GET"]
        events = [one for one in writes if "/events/" in one.path]
        statuses = [one for one in writes if one.path.endswith("/p/status")]
        assert len(events) == 1
        assert len(statuses) <= 8  # 30 s of kills, one write per 5 s
        await asyncio.sleep(90)
        assert cluster.event_counts() == [300]
        assert cluster.status("p")["oom"]["kills"] == 300
        assert cluster.api.objects[f"{REPORT.root}/r"]["status"]["totals"]["kills"] == 300
        assert started < cluster.api.requests[-1].at

    play(scenario)


def test_event_does_not_wait_for_the_pause_between_two_runs() -> None:
    """In a cluster of thousands of nodes a run takes a second, and the pause after it four."""

    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        await asyncio.sleep(60)
        readings = itertools.count(step=2)
        cluster.reconciler._stopwatch = lambda: next(readings)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(1)
        cluster.kill("web")
        await asyncio.sleep(0.5)
        assert cluster.event_counts() == [1]
        await asyncio.sleep(60)
        assert len(cluster.api.writes("/events/")) == 1

    play(scenario)


def test_event_does_not_wait_for_a_policy_edit_of_many_nodes() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1000)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(300)
        cluster.api.latency_seconds = 0.1  # 16 at a time: 1,000 nodes take over 6 s
        cluster.policy("p", sysctls={DUMPS: 0})
        await asyncio.sleep(0.5)
        cluster.kill("web")
        await asyncio.sleep(0.5)
        assert cluster.event_counts() == [1]
        assert sum(cluster.sysctls(f"n{index}") == {DUMPS: 0} for index in range(1000)) < 500
        await asyncio.sleep(20)
        assert all(cluster.sysctls(f"n{index}") == {DUMPS: 0} for index in range(1000))

    play(scenario)


def test_failing_namespace_does_not_block_other_objects() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.refuse = lambda _method, path: (
            APIError(status=403, what=path, message="exceeded quota") if "/events/" in path else None
        )
        cluster.nodes(1)
        cluster.kill("web")
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        assert cluster.sysctls("n0") == {DUMPS: 1}
        assert cluster.status("p")["oom"]["kills"] == 1
        attempts = len(cluster.api.writes("/events/"))
        assert attempts >= 2
        await asyncio.sleep(600)
        assert len(cluster.api.writes("/events/")) < 60, "retried with back-off"
        cluster.api.refuse = lambda _method, _path: None
        await asyncio.sleep(70)
        assert cluster.event_counts() == [1]

    play(scenario)


def test_changes_during_an_outage_arrive_after_it() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(2)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        cluster.api.refuse = lambda _method, path: APIError(status=0, what=path, message="connection refused")
        cluster.api.send = lambda _kind, _event: None  # the watches are broken too
        cluster.policy("p", sysctls={ALLOCATING: 1})
        cluster.api.remove(NODE, "n1")
        await asyncio.sleep(120)
        assert cluster.sysctls("n0") == {DUMPS: 1}
        cluster.api.refuse = lambda _method, _path: None
        await asyncio.sleep(400)  # nodes are listed every five minutes
        assert cluster.sysctls("n0") == {ALLOCATING: 1}
        assert f"{OOM_NODE.root}/n1" not in cluster.api.objects

    play(scenario)


def test_restart_writes_nothing_but_refreshes() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(3)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        for node in ("n0", "n1", "n2"):
            cluster.agent_reports(node)
        await asyncio.sleep(20)
        before = len(cluster.api.writes())
        await cluster.restart()
        await asyncio.sleep(100)
        assert cluster.api.writes()[before:] == []

    play(scenario)


INVALID: dict[str, Any] = {"sysctls": {DUMPS: 0}, "mode": "Warn"}
"""A value of `mode` that a newer version may have."""


def test_invalid_policy_keeps_its_last_valid_version_in_force() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        cluster.policy("p", **INVALID)
        await asyncio.sleep(10)
        assert cluster.sysctls("n0") == {DUMPS: 1}
        assert cluster.condition("p", "Ready") == ("False", "InvalidSpec")
        assert cluster.condition("p", "Degraded") == ("True", "InvalidSpec")
        message = cluster.message("p", "Ready")
        assert "spec.mode" in message
        assert "generation 1 stays in force" in message
        cluster.node("late")
        await asyncio.sleep(10)
        assert cluster.sysctls("late") == {DUMPS: 1}
        cluster.policy("p", sysctls={DUMPS: 0})
        await asyncio.sleep(10)
        assert cluster.sysctls("n0") == {DUMPS: 0}

    play(scenario)


def test_invalid_policy_keeps_its_values_across_a_restart() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.node("a", pool="x")
        cluster.node("b", pool="y")
        cluster.policy("p", nodeSelector={"matchLabels": {"pool": "x"}}, sysctls={DUMPS: 1})
        cluster.policy("low", priority=1, sysctls={DUMPS: 0, ALLOCATING: 1})
        await asyncio.sleep(10)
        cluster.policy("p", **INVALID)
        await cluster.restart()
        await asyncio.sleep(100)
        assert cluster.sysctls("a") == {DUMPS: 1, ALLOCATING: 1}
        assert cluster.sysctls("b") == {DUMPS: 0, ALLOCATING: 1}
        assert "nodes keep the values that they have" in cluster.message("p", "Ready")
        assert cluster.status("p")["nodes"]["matched"] == 1
        cluster.api.remove(POLICY, "p")
        await asyncio.sleep(100)
        assert cluster.sysctls("a") == {DUMPS: 0, ALLOCATING: 1}

    play(scenario)


def test_unknown_field_is_ignored_with_a_warning() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.policy("p", sysctls={DUMPS: 1}, schedule={"after": "22:00"})
        await asyncio.sleep(10)
        assert cluster.sysctls("n0") == {DUMPS: 1}
        cluster.agent_reports("n0")
        await asyncio.sleep(10)
        assert cluster.condition("p", "Ready") == ("True", "InSync")
        assert cluster.condition("p", "UnknownFields") == ("True", "Ignored")
        assert "spec.schedule" in cluster.message("p", "UnknownFields")
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        assert "UnknownFields" not in {one["type"] for one in cluster.status("p")["conditions"]}

    play(scenario)


def test_silent_agent_is_reported_within_two_minutes_and_costs_no_write_while_it_runs() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.agent_pod("n0", ready=True)
        cluster.nodes(2)
        cluster.policy("p", sysctls={DUMPS: 1})
        cluster.api.put(REPORT, "r", spec={"refreshInterval": "10s"})
        await asyncio.sleep(10)
        for node in ("n0", "n1"):
            cluster.agent_reports(node)
        await asyncio.sleep(100)
        assert cluster.status("p")["nodes"]["inSync"] == 1
        assert cluster.status("p")["nodes"]["unmanaged"] == 1
        assert cluster.condition("p", "Ready") == ("False", "NodesUnmanaged")
        cluster.agent_pod("n1", ready=True)
        await asyncio.sleep(30)
        assert cluster.condition("p", "Ready") == ("True", "InSync")
        before = len(cluster.api.writes("/oompolicies/"))
        await asyncio.sleep(600)
        assert len(cluster.api.writes("/oompolicies/")) == before
        cluster.agent_pod("n1", ready=False)
        await asyncio.sleep(90)
        assert cluster.condition("p", "Ready") == ("False", "NodesAgentSilent")
        assert cluster.status("p")["exampleNodes"][0]["name"] == "n1"
        conditions = cluster.api.objects[f"{REPORT.root}/r"]["status"]["conditions"]
        assert [one["reason"] for one in conditions if one["type"] == "Complete"] == ["NodesSilent"]

    play(scenario, agents=AgentSelector("ops", "a=b"))


@pytest.mark.parametrize("behind_seconds", [3000, 8 * 86400])
def test_kill_of_a_node_whose_clock_is_behind_is_published_and_kept(behind_seconds: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.policy("p", sysctls={DUMPS: 1})
        cluster.api.put(REPORT, "r", spec={"refreshInterval": "10s"})
        cluster.clock_behind("n0", seconds=behind_seconds)
        await asyncio.sleep(10)
        cluster.kill("web", age_seconds=behind_seconds)
        await asyncio.sleep(1000)
        assert INCIDENT.path(name="web", namespace="shop") in cluster.api.objects
        assert cluster.event_counts() == [1]
        assert cluster.status("p")["oom"]["kills"] == 1
        status = cluster.api.objects[f"{REPORT.root}/r"]["status"]
        assert status["totals"]["kills"] == 1
        (clocks,) = [one for one in status["conditions"] if one["type"] == "ClocksAgree"]
        assert (clocks["status"], clocks["reason"]) == ("False", "NodesSkewed")

    play(scenario)


def test_drift_is_published_with_its_writer_at_most_once_a_minute() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        cluster.agent_reports("n0")
        await asyncio.sleep(10)
        for count in range(1, 41):
            cluster.agent_reports("n0", driftCount=count, suspectedWriter="tuned")
            await asyncio.sleep(3)
        assert len(cluster.api.writes("/events/")) <= 3
        await asyncio.sleep(60)
        (event,) = cluster.events()
        assert (event["reason"], event["count"]) == ("SysctlDrifted", 40)
        assert "probably by tuned" in event["message"]
        assert event["involvedObject"]["name"] == "n0"
        assert cluster.status("p")["drifts"] == 40

    play(scenario)


def test_storm_of_kills_with_five_policies_costs_few_writes() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(4)
        for number in range(5):
            cluster.policy(f"p{number}", priority=number, sysctls={DUMPS: 1})
        cluster.api.put(REPORT, "r", spec={"refreshInterval": "1m"})
        await asyncio.sleep(100)
        before = len(cluster.api.requests)
        for count in range(1, 601):  # 20 kills a second for 30 s
            cluster.kill("web", node=f"n{count % 4}", count=count)
            await asyncio.sleep(0.05)
        await asyncio.sleep(100)
        writes = [one for one in cluster.api.requests[before:] if one.method != "GET"]
        statuses = [one for one in writes if one.path.endswith("/status")]
        events = [one for one in writes if "/events/" in one.path]
        # 30 s of kills and 5 s to the final state: 8 writes per object, where each kill cost seven before.
        assert len(statuses) <= 6 * 8
        assert len(events) <= 3
        assert cluster.event_counts() == [600]

    play(scenario)


def test_sysctl_of_another_manager_is_removed() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.policy("p", sysctls={DUMPS: 1})
        await asyncio.sleep(10)
        spec = cluster.api.objects[f"{OOM_NODE.root}/n0"]["spec"]
        foreign = {"name": ALLOCATING, "value": 1, "policy": "mallory"}
        cluster.api.put(OOM_NODE, "n0", spec=spec | {"sysctls": [*spec["sysctls"], foreign]})
        await asyncio.sleep(10)
        assert cluster.sysctls("n0") == {DUMPS: 1}

    play(scenario)


def test_incident_expires_a_week_after_its_last_kill() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.kill("web", age_seconds=7 * 86400 - 1800)
        path = INCIDENT.path(name="web", namespace="shop")
        await asyncio.sleep(1700)
        assert path in cluster.api.objects
        await asyncio.sleep(800)
        assert path not in cluster.api.objects

    play(scenario)


def test_container_kills_expire_and_are_bounded_for_themselves() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.nodes(1)
        cluster.policy("p", sysctls={DUMPS: 1})
        cluster.api.put(REPORT, "r", spec={"refreshInterval": "10s"})
        cluster.kill("web")
        for name, age in (("old", 7 * 86400 + 60), ("new", 60)):
            cluster.container_killed(name, age_seconds=age)
        await asyncio.sleep(1300)
        objects = cluster.api.objects
        assert CONTAINER_KILL.path(name="old", namespace="shop") not in objects
        assert CONTAINER_KILL.path(name="new", namespace="shop") in objects
        assert INCIDENT.path(name="web", namespace="shop") in objects
        # They are no OOM kills.
        assert cluster.status("p")["oom"]["kills"] == 1
        assert objects[f"{REPORT.root}/r"]["status"]["totals"]["kills"] == 1
        assert cluster.event_counts() == [1]

    play(scenario)
