"""What killed a container, on a real node: each killer for real, told apart with its evidence."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import NativeNode
from tests.waiting import eventually

from .agent_harness import Agent, container, incidents, pod
from .controller_harness import OOM, Harness, Json
from .test_adjustments import Pod, ready
from .test_main_job import agent, create, harness, pytestmark, space

__all__ = ["agent", "harness", "pytestmark", "space"]

STUBBORN = "trap '' TERM; while true; do sleep 1; done"
"""Ignores SIGTERM."""
IDLE = "exec tail -f /dev/null"
CHILD = "sleep 100000 & echo $! > /tmp/pid; wait $!; exit $?"
"""Ends with the exit code of its child."""


def kills(harness: Harness, space: str) -> list[Json]:
    found = harness.list(f"{OOM}/namespaces/{space}/containerkills")
    return [one for one in found if one.get("status", {}).get("count")]


def only_kill(harness: Harness, space: str) -> Json:
    """The one ContainerKill there, as soon as it is published."""

    def look() -> Json:
        [one] = kills(harness, space)
        return one

    return eventually(look, seconds=90)


def verdict(one: Json) -> tuple[str, str]:
    return one["spec"]["killer"], one["status"]["certainty"]


def sender(one: Json) -> Json:
    found: Json = one["status"]["evidence"]["sender"]
    return found


def with_spec(obj: Json, **fields: Any) -> Json:
    obj["spec"] |= fields
    return obj


def first_pid(running: Pod, name: str = "app") -> int:
    [pid] = running.pids(name)
    return pid


@pytest.mark.parametrize("restart", ["Always", "Never"])
def test_failed_liveness_probe(native_node: NativeNode, harness: Harness, space: str, restart: str) -> None:
    probed = container("app", STUBBORN, limit=None)
    probed["livenessProbe"] = {
        "exec": {"command": ["false"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
        "terminationGracePeriodSeconds": 1,
    }
    create(
        native_node, space, with_spec(pod("web", probed, restart=restart), terminationGracePeriodSeconds=30)
    )
    one = only_kill(harness, space)
    assert verdict(one) == ("Probe", "Proved"), json.dumps(one["status"])
    assert sender(one)["place"] == "Runtime"
    message = one["status"]["evidence"]["event"]["message"]
    assert ("failed liveness probe" if restart == "Always" else "Liveness probe failed") in message
    assert one["status"]["evidence"]["target"]["first"] is True
    assert "its liveness probe failed" in one["status"]["summary"]


def test_expired_grace_period(native_node: NativeNode, harness: Harness, space: str) -> None:
    ready(native_node, harness, space, pod("web", container("app", STUBBORN, limit=None)))
    native_node.kubectl("-n", space, "delete", "pod", "web", "--grace-period=2", "--wait=false")
    one = only_kill(harness, space)
    assert verdict(one) == ("GracePeriod", "Proved"), json.dumps(one["status"])
    assert one["status"]["evidence"]["gracePeriodSeconds"] == 2
    assert "grace period of 2 s after the pod was deleted" in one["status"]["summary"]


def test_process_of_the_container_itself(native_node: NativeNode, harness: Harness, space: str) -> None:
    ready(native_node, harness, space, pod("web", container("app", CHILD, limit=None)))
    native_node.kubectl("-n", space, "exec", "web", "--", "sh", "-c", "kill -9 $(cat /tmp/pid)", check=False)
    one = only_kill(harness, space)
    assert verdict(one) == ("Container", "Inferred"), json.dumps(one["status"])
    assert sender(one)["place"] == "Container"
    assert one["status"]["evidence"]["target"] == one["status"]["evidence"]["target"] | {
        "comm": "sleep",
        "first": False,
    }


def test_container_of_the_same_pod(native_node: NativeNode, harness: Harness, space: str) -> None:
    both = pod("web", container("app", IDLE, limit=None), container("side", "exec sleep 100000", limit=None))
    ready(native_node, harness, space, with_spec(both, shareProcessNamespace=True))
    native_node.kubectl(
        "-n", space, "exec", "web", "-c", "side", "--", "sh", "-c", "kill -9 $(pidof tail)", check=False
    )
    one = only_kill(harness, space)
    assert verdict(one) == ("OtherContainer", "Proved"), json.dumps(one["status"])
    assert (sender(one)["place"], sender(one)["container"]) == ("SamePod", "side")
    assert one["spec"]["container"] == "app"


def test_privileged_pod_with_the_hosts_processes(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    hit = ready(native_node, harness, space, pod("web", container("app", IDLE, limit=None)))
    shell = container("shell", IDLE, limit=None) | {"securityContext": {"privileged": True}}
    ready(native_node, harness, space, with_spec(pod("debug", shell), hostPID=True))
    native_node.kubectl("-n", space, "exec", "debug", "--", "kill", "-9", str(first_pid(hit)))
    one = only_kill(harness, space)
    assert verdict(one) == ("OtherContainer", "Proved"), json.dumps(one["status"])
    assert (sender(one)["pod"], sender(one)["container"]) == (f"{space}/debug", "shell")


def test_process_of_the_host(native_node: NativeNode, harness: Harness, space: str) -> None:
    hit = ready(native_node, harness, space, pod("web", container("app", IDLE, limit=None)))
    os.kill(first_pid(hit), signal.SIGKILL)
    one = only_kill(harness, space)
    assert verdict(one) == ("HostProcess", "Proved"), json.dumps(one["status"])
    assert sender(one)["pid"] == os.getpid()
    assert sender(one)["exe"] == str(Path(sys.executable).resolve())


def test_oom_kill_of_a_child_is_linked_to_its_incident(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    create(native_node, space, pod("web", container("app", "tail /dev/zero; exit $?")))
    one = only_kill(harness, space)
    assert one["spec"]["killer"] == "KernelOOM", json.dumps(one["status"])
    [incident] = incidents(harness, space)
    assert one["status"]["evidence"]["incident"] == incident["metadata"]["name"]
    assert incident["status"]["count"] == 1


def test_eviction_for_ephemeral_storage(native_node: NativeNode, harness: Harness, space: str) -> None:
    full = container("app", f"head -c 4m /dev/zero > /data/x; {STUBBORN}", limit=None)
    full["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    volume = {"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}
    create(native_node, space, with_spec(pod("web", full), volumes=[volume]))
    one = only_kill(harness, space)
    assert one["spec"]["killer"] == "Eviction", json.dumps(one["status"])
    assert one["status"]["evidence"]["podReason"] == "Evicted"
    assert "exceeds the limit" in one["status"]["summary"]


def test_agent_that_was_killed_finds_the_sender_and_counts_once(
    native_node: NativeNode, harness: Harness, agent: Agent, space: str
) -> None:
    hit = ready(native_node, harness, space, pod("web", container("app", IDLE, limit=None)))
    agent.kill()
    os.kill(first_pid(hit), signal.SIGKILL)
    eventually(lambda: not hit.pids("app"))
    agent.start()
    one = only_kill(harness, space)
    assert one["spec"]["killer"] == "HostProcess", json.dumps(one["status"])
    agent.kill()
    agent.start()
    native_node.kubectl("-n", space, "delete", "pod", "web", "--grace-period=0", "--force")
    ready(native_node, harness, space, pod("web", container("app", IDLE, limit=None)))
    assert [each["status"]["count"] for each in kills(harness, space)] == [1]
