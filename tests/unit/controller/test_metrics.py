"""The controller's metrics, against an API server in memory."""

from __future__ import annotations

import asyncio

import pytest

from oomkeeper.controller import metrics
from oomkeeper.controller.agent_health import AgentHealth
from oomkeeper.controller.cache import ClusterCache
from oomkeeper.controller.counts import ControllerCounts
from oomkeeper.controller.kinds import INCIDENT, NODE, OOM_NODE, POLICY
from oomkeeper.controller.metrics import ControllerMetrics, node_states, policy_state
from oomkeeper.controller.reconciler import Reconciler
from oomkeeper.metrics.counts import Histogram

from .fake_api import FakeApi
from .virtual_time import VirtualLoop, run_virtual

START = 1_800_000_000.0
Samples = dict[tuple[str, tuple[str, ...]], float]


async def read(loop: VirtualLoop, api: FakeApi, *, seconds: float) -> Samples:
    """Run a controller for a while; return its metrics: (name, label values) -> value."""
    cache, counts = ClusterCache(), ControllerCounts()
    reconciler = Reconciler(
        api=api,  # type: ignore[arg-type]
        cache=cache,
        clock=lambda: START + loop.time(),
        monotonic=loop.time,
        stopwatch=loop.time,
        counts=counts,
    )
    api.send = reconciler.handle_event
    await reconciler.listed()
    running = asyncio.create_task(reconciler.run())
    await asyncio.sleep(seconds)
    collector = ControllerMetrics(reconciler=reconciler, cache=cache, counts=counts)
    families = await collector._read()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def incident(api: FakeApi, name: str, *, namespace: str, last_seen: str) -> None:
    api.put(
        INCIDENT,
        name,
        namespace=namespace,
        spec={"nodeName": "n0", "workload": {"kind": "Pod", "name": name}, "cause": "PodLimit"},
        status={"cause": "PodLimit", "count": 1, "lastSeen": last_seen, "firstSeen": last_seen},
    )


def test_breakers_are_shown_for_policies_that_can_panic_nodes() -> None:
    async def main(loop: VirtualLoop) -> Samples:
        api = FakeApi(clock=loop.time)
        panics = {
            "sysctls": {"vm.panic_on_oom": 1},
            "panicSafety": {"acknowledge": ["NodePanic", "KubeletConflict"]},
        }
        tripped = {"generation": 1, "tripped": True, "panics": 2, "countedFrom": "2026-11-28T00:00:00Z"}
        api.put(POLICY, "calm", spec=panics)
        api.put(POLICY, "tripped", spec=panics, status={"panicBreaker": tripped})
        api.put(POLICY, "other", spec={"sysctls": {"vm.oom_dump_tasks": 1}})
        return await read(loop, api, seconds=30)

    found = run_virtual(main)
    assert found[("oomkeeper_panic_breaker_tripped", ("tripped",))] == 1
    assert found[("oomkeeper_panic_breaker_tripped", ("calm",))] == 0
    assert ("oomkeeper_panic_breaker_tripped", ("other",)) not in found


def test_policies_nodes_incidents_and_work_are_counted() -> None:
    async def main(loop: VirtualLoop) -> Samples:
        api = FakeApi(clock=loop.time)
        for name in ("n0", "n1"):
            api.put(NODE, name, status={"conditions": [{"type": "Ready", "status": "True"}]})
        api.put(POLICY, "off", spec={"suspend": True, "sysctls": {"vm.oom_dump_tasks": 1}})
        api.put(POLICY, "on", spec={"sysctls": {"vm.oom_dump_tasks": 1}})
        incident(api, "new", namespace="shop", last_seen="2027-01-15T07:59:00Z")
        incident(api, "old", namespace="shop", last_seen="2026-12-01T00:00:00Z")
        return await read(loop, api, seconds=30)

    found = run_virtual(main)
    assert found[("oomkeeper_policies", ("Suspended",))] == 1
    assert found[("oomkeeper_policies", ("Progressing",))] == 1
    assert found[("oomkeeper_nodes", ("Pending",))] == 2
    assert found[("oomkeeper_incidents", ("shop",))] == 1
    assert found[("oomkeeper_deleted_incidents_total", ("Expired",))] == 1
    assert found[("oomkeeper_deleted_incidents_total", ("Bound",))] == 0
    assert found[("oomkeeper_reconcile_duration_seconds_count", ())] >= 1
    assert found[("oomkeeper_write_queue_length", ())] == 0
    assert found[("oomkeeper_notifications_total", ("sent",))] == 0
    assert found[("oomkeeper_notifications_pending", ())] == 0


def test_namespaces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_NAMESPACES", 2)

    async def main(loop: VirtualLoop) -> Samples:
        api = FakeApi(clock=loop.time)
        for number, namespace in enumerate(("a", "a", "b", "b", "c", "d")):
            incident(api, f"i{number}", namespace=namespace, last_seen="2027-01-15T07:59:00Z")
        return await read(loop, api, seconds=1)

    found = {
        labels: value for (name, labels), value in run_virtual(main).items() if name == "oomkeeper_incidents"
    }
    assert found == {("a",): 2, ("b",): 2, ("_other",): 2}


def test_node_is_in_the_worst_state_that_holds() -> None:
    cache = ClusterCache()
    for name in ("fine", "drifted", "new", "silent"):
        cache.store(NODE, {"metadata": {"name": name, "uid": name, "resourceVersion": "1"}})
    for name, state in (("fine", "InSync"), ("drifted", "Drifted"), ("silent", "InSync")):
        sysctl = {"name": "vm.swappiness", "state": state}
        cache.store(
            OOM_NODE,
            {
                "metadata": {"name": name, "uid": name, "resourceVersion": "1", "generation": 1},
                "status": {"observedGeneration": 1, "sysctls": [sysctl]},
            },
        )
    found = list(node_states(cache, {"silent": AgentHealth("AgentSilent")}))
    assert found == ["InSync", "NotInSync", "Pending", "AgentSilent"]


def test_policy_with_a_bad_spec_is_invalid() -> None:
    cache = ClusterCache()
    cache.store(
        POLICY,
        {
            "metadata": {"name": "p", "uid": "p", "resourceVersion": "1", "generation": 1},
            "spec": {"sysctls": {"vm.oom_dump_tasks": "no"}},
        },
    )
    assert policy_state(cache.policies["p"]) == "Invalid"


def test_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.1, 0.5, 3.0, -1.0):
        histogram.observe(value)
    observed = histogram.read()
    assert observed.buckets == (("0.1", 2), ("1.0", 3), ("+Inf", 4))
    assert observed.total == pytest.approx(3.6)
