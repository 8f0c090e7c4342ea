"""What killed a container, on nodes that share a kernel: one agent has the trace, all have kubelet's part."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from .harness import Cluster, Json, container_status, eventually
from .pods import EAT, REST, container, pod

STUBBORN = "trap '' TERM; while true; do sleep 1; done"
CHILD = "sleep 100000 & echo $! > /tmp/pid; wait $!; exit $?"
"""Ends with the exit code of its child."""
LIVENESS = {
    "exec": {"command": ["false"]},
    "periodSeconds": 1,
    "failureThreshold": 1,
    "terminationGracePeriodSeconds": 1,
}
KILL_OUTSIDE = """
for one in /proc/[0-9]*; do
    if tr '\\0' ' ' < $one/cmdline | grep -q '^sleep 54321'; then kill -9 ${one#/proc/}; fi
done
"""
TRACED, UNTRACED = "traced", "untraced"
KILLERS = {
    "liveness": ("Probe", "Probe", "its liveness probe failed"),
    "grace": ("GracePeriod", "GracePeriod", "grace period of 2 s after the pod was deleted"),
    "inside": ("Container", "Unknown", "in the container itself"),
    "outside": ("OtherContainer", "Unknown", "in container shell of pod"),
    "oom": ("KernelOOM", "KernelOOM", "The kernel's OOM killer killed tail"),
}
"""Pod -> what killed its container, where the agent reads the trace and where it does not; the summary's
words."""


def on_node(node: str, obj: Json) -> Json:
    obj["spec"] |= {"nodeName": node, "terminationGracePeriodSeconds": 30}
    return obj


def make(cluster: Cluster, space: str, *, node: str) -> None:
    shell = container("shell", REST, limit=None, securityContext={"privileged": True})
    for obj in (
        pod("liveness", container("app", STUBBORN, limit=None, livenessProbe=LIVENESS)),
        pod("grace", container("app", STUBBORN, limit=None)),
        pod("inside", container("app", CHILD, limit=None)),
        pod("outside", container("app", "exec sleep 54321", limit=None)),
        pod("debug", shell, hostPID=True),
        pod("oom", container("app", f"({EAT}); exit $?")),
    ):
        cluster.apply(on_node(node, obj), namespace=space)


def kill(cluster: Cluster, space: str) -> None:
    """Do to each pod what its name says, as soon as it runs."""

    def execute(name: str, script: str) -> None:
        with contextlib.suppress(AssertionError):  # what it runs in may end first
            cluster.kubectl("exec", f"--namespace={space}", name, "--", "sh", "-c", script)

    for name in ("grace", "inside", "outside", "debug"):
        container_name = "shell" if name == "debug" else "app"
        eventually(
            lambda name=name, of=container_name: container_status(cluster.pod(space, name), of)["ready"],
            seconds=120,
        )
    cluster.kubectl("delete", "pod", "grace", f"--namespace={space}", "--grace-period=2", "--wait=false")
    execute("inside", "kill -9 $(cat /tmp/pid)")
    execute("debug", KILL_OUTSIDE)


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Mapping[str, str]:
    """The node whose agent reads the trace, and another one."""
    workers = cluster.need_nodes().workers
    traced = [
        node for node in cluster.nodes if cluster.conditions("oomnodes", node)["KillsTraced"][0] == "True"
    ]
    assert len(traced) == 1, traced
    return {TRACED: traced[0], UNTRACED: next(node for node in workers if node != traced[0])}


@pytest.fixture(scope="module")
def spaces(cluster: Cluster, nodes: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """A namespace for each of the two nodes, with all its pods killed."""
    with ExitStack() as stack:
        found = {kind: stack.enter_context(cluster.namespace(f"e2e-killed-{kind}")) for kind in nodes}
        for kind, space in found.items():
            make(cluster, space, node=nodes[kind])
        for space in found.values():
            kill(cluster, space)
        yield found


def only(cluster: Cluster, space: str, pod_name: str) -> Json:
    found = [one for one in cluster.container_kills(space) if one["spec"]["workload"]["name"] == pod_name]
    assert len(found) == 1, [one["spec"] for one in found]
    assert found[0]["status"]["count"] >= 1
    return found[0]


@pytest.mark.parametrize("name", KILLERS)
@pytest.mark.parametrize("kind", [TRACED, UNTRACED])
def test_killers_are_told_apart(
    cluster: Cluster, spaces: Mapping[str, str], nodes: Mapping[str, str], kind: str, name: str
) -> None:
    one = eventually(lambda: only(cluster, spaces[kind], name), seconds=120)
    with_trace, without, words = KILLERS[name]
    status, killer = one["status"], one["spec"]["killer"]
    assert killer == (with_trace if kind == TRACED else without), status
    assert one["spec"]["nodeName"] == nodes[kind]
    if killer == "Unknown":
        assert "The sender of SIGKILL is not known" in status["uncertain"][0]
        return
    assert words in status["summary"]
    assert status["certainty"] in ("Proved", "Inferred", "Claimed")
    if kind == TRACED and name != "oom":
        assert "sender" in status["evidence"]


def test_kubectl_oom_why_answers(cluster: Cluster, spaces: Mapping[str, str]) -> None:
    space = spaces[TRACED]
    one = eventually(lambda: only(cluster, space, "outside"), seconds=120)
    config = cluster.need_nodes()
    main = "from oomkeeper.cli.kubectl_oom import main; raise SystemExit(main())"
    command = [sys.executable, "-c", main, "why", "outside", "-n", space]
    command += ["--kubeconfig", str(config.kubeconfig), "--context", config.context]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"Killed by: OtherContainer ({one['status']['certainty']})" in done.stdout
    assert f"Next: kubectl describe pod debug -n {space}" in done.stdout
