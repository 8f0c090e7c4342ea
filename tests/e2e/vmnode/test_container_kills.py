"""What killed a container, which no shared machine can show: OOM killers in user space, the node's memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .harness import Harness, Json, container, eventually

KIB_OF_HOG = 700 << 10
HOG = f"exec python3 -c 'held = b\"x\" * ({KIB_OF_HOG} << 10); import time; time.sleep(100000)'"
THRASH = "dd if=/dev/zero of=/file bs=1M count=40; while true; do cat /file > /dev/null; done"
"""Reads a file that does not fit into the limit, so each read reclaims what another one needs."""


def verdict(kill: Json) -> tuple[str, str]:
    return kill["spec"]["killer"], kill["status"]["certainty"]


def why(harness: Harness, pod: str) -> str:
    """What `kubectl oom why` prints."""
    main = "from oomkeeper.cli.kubectl_oom import main; raise SystemExit(main())"
    command = [sys.executable, "-c", main, "why", pod, "-n", harness.space]
    done = subprocess.run(
        [*command, "--kubeconfig", str(harness.node.control_plane.kubeconfig)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def threshold_kib(harness: Harness, pod: str) -> int:
    """Halfway between what was available before a hog held its memory and what is then."""
    before = harness.memory_kib("MemAvailable")
    harness.pod(pod, container("app", HOG))
    eventually(lambda: before - harness.memory_kib("MemAvailable") > KIB_OF_HOG * 4 // 5)
    return before - KIB_OF_HOG * 2 // 5


@contextmanager
def served(harness: Harness, program: str, command: str) -> Iterator[None]:
    harness.serve(command)
    try:
        yield
    finally:
        harness.node.sh(f"busybox killall {program} || true")


def test_earlyoom_is_named_with_its_log_line(harness: Harness) -> None:
    limit = threshold_kib(harness, "hog")
    with served(harness, "earlyoom", f"/opt/testbed/earlyoom-run {limit}"):
        kill = harness.container_kill("hog")
    assert verdict(kill) == ("UserSpaceOOM", "Proved")
    evidence = kill["status"]["evidence"]
    sender = evidence["sender"]
    assert (sender["exe"], sender["cgroup"]) == ("/usr/bin/earlyoom", "/system.slice/earlyoom.service")
    assert evidence["claim"]["program"] == "earlyoom"
    assert f"sending SIGKILL to process {evidence['target']['pid']} " in evidence["claim"]["text"]
    assert "Killed by: UserSpaceOOM (Proved)" in why(harness, "hog")


def test_systemd_oomd_is_named_with_its_log_line(harness: Harness) -> None:
    harness.pod("thrash", container("app", THRASH, limit="32Mi"))
    eventually(lambda: harness.get("pod", "thrash")["status"]["phase"] == "Running")
    cgroup = f"/kubepods/burstable/pod{harness.get('pod', 'thrash')['metadata']['uid']}"
    with served(harness, "systemd-oomd", f"/opt/testbed/oomd-run {cgroup}"):
        kill = harness.container_kill("thrash")
    assert verdict(kill) == ("SystemdOOMD", "Proved")
    evidence = kill["status"]["evidence"]
    assert evidence["sender"]["exe"] == "/usr/lib/systemd/systemd-oomd"
    assert evidence["sender"]["cgroup"] == "/system.slice/systemd-oomd.service"
    assert evidence["claim"]["program"] == "systemd-oomd"
    assert f"due to memory pressure for {cgroup} being" in evidence["claim"]["text"]
    assert "journalctl -u systemd-oomd" in why(harness, "thrash")


def test_sender_of_cgroup_kill_outweighs_a_forged_line(harness: Harness) -> None:
    harness.pod("idle", container("app", "exec sleep 100000"))
    eventually(lambda: harness.get("pod", "idle")["status"]["phase"] == "Running")
    cgroup = f"/sys/fs/cgroup/kubepods/besteffort/pod{harness.get('pod', 'idle')['metadata']['uid']}"
    line = f'<12>[talos] Sending SIGKILL to cgroup {{"cgroup": "{cgroup}"}}'
    harness.node.sh(f"echo '{line}' > /dev/kmsg; echo 1 > {cgroup}/cgroup.kill")
    kill = harness.container_kill("idle")
    assert verdict(kill) == ("HostProcess", "Proved")
    assert kill["status"]["evidence"]["sender"]["comm"] == "sh"
    assert "reports a kill by Talos' OOM controller" in kill["status"]["uncertain"][-1]


@pytest.fixture
def eviction_threshold(harness: Harness) -> Iterator[None]:
    """The kubelet's own is restored."""
    harness.node.sh("cp /etc/kubelet.yaml /run/kubelet.yaml")
    yield
    harness.node.sh("cp /run/kubelet.yaml /etc/kubelet.yaml; busybox killall kubelet")
    eventually(lambda: harness.memory_pressure() == "False")


@pytest.mark.usefixtures("eviction_threshold")
def test_eviction_for_memory_has_its_threshold(harness: Harness) -> None:
    # kubelet counts what is not in use by its own rule, from the total. Odd, so it is printed as it is.
    limit = (harness.memory_kib("MemTotal") - KIB_OF_HOG // 2) | 1
    harness.pod("hog", container("app", HOG))
    eventually(lambda: harness.get("pod", "hog")["status"]["phase"] == "Running")
    change = f's/memory.available: "0%"/memory.available: "{limit}Ki"/'
    harness.node.sh(f"sed -i '{change}' /etc/kubelet.yaml; busybox killall kubelet")
    kill = harness.container_kill("hog")
    assert verdict(kill) == ("Eviction", "Proved")
    status = kill["status"]
    assert status["evidence"]["podReason"] == "Evicted"
    assert status["evidence"]["sender"]["place"] == "Runtime"
    assert f"low on resource: memory. Threshold quantity: {limit}Ki, available:" in status["summary"]
    answer = why(harness, "hog")
    assert "Killed by: Eviction (Proved)" in answer
    assert "nothing is recorded" not in answer


def test_preemption_names_the_other_pod(harness: Harness) -> None:
    half = {"resources": {"requests": {"memory": "1Gi"}}}
    harness.pod("low", container("app", "exec sleep 100000", **half))
    eventually(lambda: harness.get("pod", "low")["status"]["phase"] == "Running")
    with harness.priority_class("vm-high"):
        harness.pod("high", container("app", "exec sleep 100000", **half), priorityClassName="vm-high")
        kill = harness.container_kill("low")
    assert verdict(kill) == ("Preemption", "Proved")
    assert kill["status"]["evidence"]["disruption"] == "PreemptionByScheduler"
    assert "preempted for one of a higher priority" in kill["status"]["summary"]
