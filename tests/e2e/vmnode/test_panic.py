"""A policy that makes a node panic on OOM: it does, comes back, and says why; and kubelet's part in it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.testbed.errors import KubectlError

from .harness import MIB, Harness, Json, container, eventually

PANIC_ON_OOM, PANIC = "vm.panic_on_oom", "kernel.panic"
ACCEPTED = ["ContainerLimitPanicsNode", "KubeletConflict"]
# Once in the life of the node's disk: the pod comes back after the reboot, and must not panic the node again.
EAT_ONCE = (
    "[ -e /once/$HOSTNAME ] && exec sleep 1000; touch /once/$HOSTNAME; sync; sleep 3; exec tail /dev/zero"
)


def in_force(harness: Harness) -> bool:
    return (harness.in_guest(PANIC_ON_OOM), harness.in_guest(PANIC)) == (2, 2)


def panicked(harness: Harness) -> Json:
    return harness.incident(outcome="Panicked")


def test_panic_at_a_limit_is_reported_with_its_cause_after_the_reboot(harness: Harness) -> None:
    # What kubelet left at its start, whatever the kernel was booted with.
    assert (harness.in_guest(PANIC_ON_OOM), harness.in_guest(PANIC)) == (0, 10)
    with pytest.raises(KubectlError, match="ContainerLimitPanicsNode, KubeletConflict"):
        harness.policy("panic", sysctls={PANIC_ON_OOM: 2, PANIC: 2})
    harness.policy("panic", sysctls={PANIC_ON_OOM: 2, PANIC: 2}, acknowledge=ACCEPTED)
    eventually(lambda: in_force(harness))
    panics = harness.oomnode()["status"]["counters"]["panics"]
    boot = harness.node.boot_id()
    assert boot is not None
    harness.pod("idle", container("app", "exec sleep 100000"))
    eventually(lambda: harness.get("pod", "idle")["status"]["phase"] == "Running")
    once = {"name": "once", "hostPath": {"path": "/var/lib/testbed-once", "type": "DirectoryOrCreate"}}
    eater = container("eater", EAT_ONCE, limit="48Mi", volumeMounts=[{"name": "once", "mountPath": "/once"}])
    harness.pod("eater", eater, volumes=[once])
    harness.node.wait_ready(other_than=boot)

    lost = harness.container_kill("idle")
    assert (lost["spec"]["killer"], lost["status"]["certainty"]) == ("NodeLost", "Proved")
    assert "ended when the node was rebooted" in lost["status"]["summary"]

    incident = panicked(harness)
    status = incident["status"]
    assert (status["cause"], status["level"], status["count"]) == ("ContainerLimit", "Pod", 1)
    assert (status["kills"][0]["pod"], incident["spec"]["container"]) == ("eater", "eater")
    assert status["evidence"]["limitBytes"] == 48 * MIB
    assert status["evidence"]["invoker"]["comm"] == "tail"
    assert "victims" not in status["evidence"]
    assert "compulsory panic_on_oom" in status["summary"]
    assert status["conditions"][0]["reason"] == "ReportComplete"

    def counted() -> Json | None:  # written at intervals
        status: Json = harness.oomnode()["status"]
        return status if status["counters"]["panics"] == panics + 1 else None

    node = eventually(counted)
    assert (node["lastPanic"]["bootID"], node["lastPanic"]["cause"]) == (boot, "ContainerLimit")
    assert node["lastPanic"]["time"] == status["lastSeen"]
    eventually(lambda: harness.get("oompolicy", "panic")["status"]["oom"]["kills"] >= 1)

    # kubelet wrote 0 and 10 at its start; the policy is in force again all the same.
    eventually(lambda: in_force(harness))
    harness.node.sh("busybox killall kubelet")

    def drifted_by_kubelet() -> bool:
        said = harness.sysctl(PANIC_ON_OOM)
        return said["driftCount"] > 0 and "kubelet" in said["suspectedWriter"]

    eventually(drifted_by_kubelet)
    eventually(lambda: in_force(harness))

    # Released values are the original ones, and a new agent does not count the record again.
    harness.node.kubectl("delete", "oompolicy", "panic")
    eventually(lambda: (harness.in_guest(PANIC_ON_OOM), harness.in_guest(PANIC)) == (0, 10))
    harness.replace_agent()
    eventually(lambda: harness.oomnode()["status"]["counters"]["panics"] == panics + 1)
    assert panicked(harness)["status"]["count"] == 1


def test_explain_reads_pstore(harness: Harness) -> None:
    """After the test above: the records stay where they are."""
    text = harness.node.sh("cat /sys/fs/pstore/dmesg-erst-*", seconds=60)
    command = [sys.executable, "-m", "oomkeeper", "explain", "-", "--output", "json"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    # Kills that came before it in its boot are there too.
    kills = [kill for kill in json.loads(done.stdout)["kills"] if kill["outcome"] == "Panicked"]
    assert kills
    assert {(kill["cause"], kill["limitBytes"], kill["complete"]) for kill in kills} == {
        ("PodLimit", 48 * MIB, True)
    }
