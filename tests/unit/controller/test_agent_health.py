"""Health of the agents, by their pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from oomkeeper.controller.agent_health import AgentHealths
from oomkeeper.controller.agent_pods import AgentPod, AgentPods
from oomkeeper.controller.apiclient import APIError

from .virtual_time import VirtualLoop, run_virtual


def pod(*, ready: bool, problem: str = "") -> AgentPod:
    return AgentPod("agent-x", "n", ready, problem)


@pytest.mark.parametrize(
    ("pods", "state", "message"),
    [
        ([], "Unmanaged", "no agent pod on this node"),
        (
            [pod(ready=False, problem="CrashLoopBackOff")],
            "AgentSilent",
            "agent-x is not ready: CrashLoopBackOff",
        ),
        ([pod(ready=False)], "AgentSilent", "agent pod agent-x is not ready"),
        ([pod(ready=False), pod(ready=True)], "Running", ""),
    ],
)
def test_absent_agent_is_reported_after_a_minute(pods: list[AgentPod], state: str, message: str) -> None:
    healths = AgentHealths()
    first = healths.judge("n", pods, now=0.0)
    assert first.state == ("Running" if state == "Running" else "Unknown")
    assert healths.judge("n", pods, now=59.0) == first
    found = healths.judge("n", pods, now=60.0)
    assert found.state == state
    assert message in found.message


def test_restarted_agent_gets_the_grace_time_again() -> None:
    healths = AgentHealths()
    healths.judge("n", [pod(ready=False)], now=0.0)
    assert healths.judge("n", [pod(ready=True)], now=50.0).state == "Running"
    assert healths.judge("n", [pod(ready=False)], now=70.0).state == "Unknown"
    assert healths.judge("n", [pod(ready=False)], now=131.0).state == "AgentSilent"


def pod_object(
    name: str,
    *,
    node: str = "n",
    version: int = 1,
    ready: bool = True,
    waiting: str | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    state: dict[str, Any] = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), **metadata},
        "spec": {"nodeName": node},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": None}],
            "containerStatuses": [{"name": "agent", "state": state}],
        },
    }


class Pods:
    """Pages of a list, and watches that end after their events, or fail."""

    def __init__(self, listed: list[dict[str, Any]], watches: list[list[dict[str, Any]] | APIError]) -> None:
        self.listed, self._watches = listed, watches
        self.queries: list[Mapping[str, str]] = []
        self.lists = 0

    async def pages(self, _path: str, *, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        assert query["labelSelector"] == "a=b"
        self.lists += 1
        yield {"items": self.listed, "metadata": {"resourceVersion": "100"}}

    async def watch(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        assert path == "/api/v1/namespaces/ops/pods"
        self.queries.append(query)
        if not self._watches:
            await asyncio.sleep(1e6)
        events = self._watches.pop(0)
        if isinstance(events, APIError):
            raise events
        for event in events:
            yield event


def followed(server: Pods) -> tuple[AgentPods, list[str]]:
    async def main(_loop: VirtualLoop) -> tuple[AgentPods, list[str]]:
        changes: list[str] = []
        pods = AgentPods(
            api=server,  # type: ignore[arg-type]
            namespace="ops",
            selector="a=b",
            changed=changes.append,
        )
        assert not pods.listed
        task = asyncio.create_task(pods.follow())
        await asyncio.sleep(1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return pods, changes

    return run_virtual(main)


def event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def test_pods_are_followed_by_list_and_watch() -> None:
    server = Pods(
        [pod_object("one", node="n1"), pod_object("two", node="n2")],
        [
            [
                event(
                    "MODIFIED",
                    pod_object("one", node="n1", version=101, ready=False, waiting="CrashLoopBackOff"),
                ),
                event("DELETED", pod_object("two", node="n2", version=102)),
                event("ADDED", pod_object("three", node="n2", version=103)),
            ],
            [event("BOOKMARK", {"metadata": {"resourceVersion": "200"}})],
        ],
    )
    pods, changes = followed(server)
    assert pods.listed
    assert list(pods.on_node("n1")) == [AgentPod("one", "n1", False, "CrashLoopBackOff")]
    assert list(pods.on_node("n2")) == [AgentPod("three", "n2", True, "")]
    assert [query["resourceVersion"] for query in server.queries] == ["100", "103", "200"]
    assert server.lists == 1
    assert changes == ["n1", "n2", "n1", "n1", "n2", "n2"]


def test_expired_watch_lists_again_and_other_failures_do_not() -> None:
    server = Pods(
        [pod_object("one", node="n1")],
        [
            APIError(status=0, what="watch", message="connection refused"),
            APIError(status=429, what="watch", message="too many requests", retry_after_seconds=7.0),
            [{"type": "ERROR", "object": {"code": 410, "message": "too old"}}],
        ],
    )
    pods, _ = followed(server)
    assert server.lists == 2
    assert [pod.name for pod in pods.on_node("n1")] == ["one"]


def test_pod_that_is_being_deleted_is_no_agent() -> None:
    pods, _ = followed(Pods([pod_object("one", deletionTimestamp="2026-01-01T00:00:00Z")], []))
    assert list(pods.on_node("n")) == []


def test_unreadable_list_judges_nothing() -> None:
    class Forbidden(Pods):
        async def pages(self, _path: str, *, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
            raise APIError(status=403, what=str(query), message="forbidden")
            yield {}  # makes it a generator

    pods, _ = followed(Forbidden([], []))
    assert not pods.listed
