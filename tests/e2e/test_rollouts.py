"""A rollout over every node: planned, halted by a node that refuses, continued after the fix although the
controller is killed, and undone. With oom_score_adj: kind's nodes share one kernel, so their sysctls
change together. `make kind KIND_ARGS="--workers 4"` before it rolls out over five nodes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .harness import Cluster, eventually
from .pods import REST, container, pod_spec

RUN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"
POLICY = "staged"
LABELS = {"example.org/rollout": "subject"}
BEFORE, AFTER = 500, 700
_READ_ONLY = 1
_REMOUNT_BIND = 0x20 | 0x1000 | 0x2 | 0x4 | 0x8
"""MS_REMOUNT, MS_BIND, and MS_NOSUID, MS_NODEV, MS_NOEXEC, which /proc has (include/uapi/linux/mount.h)."""


def oom(cluster: Cluster, *words: str, input: str | None = None) -> tuple[int, str]:
    """Run `kubectl oom` with the cluster's kubeconfig; return the exit status, and what it printed."""
    options = cluster.kubectl_command[1:]
    command = [sys.executable, "-c", RUN, *words, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, input=input, timeout=400, check=False)
    return done.returncode, done.stdout + done.stderr


def policy(space: str, value: int, **rollout: Any) -> dict[str, Any]:
    here = {"matchLabels": {"kubernetes.io/metadata.name": space}}
    entry = {
        "name": "subjects",
        "podSelector": {"matchLabels": LABELS},
        "namespaceSelector": here,
        "value": value,
    }
    return {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": POLICY},
        "spec": {"oomScoreAdjustments": [entry], "rollout": rollout},
    }


def daemon_set() -> dict[str, Any]:
    template = {
        "metadata": {"labels": LABELS},
        "spec": pod_spec(container("app", REST), restart="Always", tolerations=[{"operator": "Exists"}]),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "subjects"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": template},
    }


def values(cluster: Cluster, space: str) -> dict[str, int]:
    """Node -> oom_score_adj of its pod."""
    listed = json.loads(cluster.kubectl("get", "pods", f"--namespace={space}", "--output=json"))["items"]
    found = {}
    for one in listed:
        name, node = one["metadata"]["name"], one["spec"]["nodeName"]
        text = cluster.kubectl("exec", f"--namespace={space}", name, "--", "cat", "/proc/1/oom_score_adj")
        found[node] = int(text)
    return found


@contextmanager
def refusing(cluster: Cluster, node: str) -> Iterator[None]:
    """The node's agent cannot write below /proc: its own mount is read-only, and no other one."""
    _remount(cluster, node, _READ_ONLY)
    try:
        yield
    finally:
        _remount(cluster, node, 0)


def _remount(cluster: Cluster, node: str, flags: int) -> None:
    """As `mount -o remount,bind`, which an image may lack. Without MS_BIND it would be every mount of it."""
    call = f"ctypes.CDLL(None, use_errno=True).mount(None, b'/proc', None, {_REMOUNT_BIND | flags}, None)"
    program = f"import ctypes, os; assert {call} == 0, os.strerror(ctypes.get_errno())"
    cluster.in_agent(node, "python3", "-c", program)


def replace_controller(cluster: Cluster) -> None:
    """Kill it without a chance to tidy up; the Deployment starts another."""
    cluster.kubectl(
        "delete", "pods", "--namespace=oomkeeper-system", "--selector=app.kubernetes.io/component=controller",
        "--grace-period=0", "--force",
    )  # fmt: skip


def test_rollout_is_planned_halted_continued_and_undone(cluster: Cluster) -> None:
    nodes = sorted(cluster.nodes)
    with cluster.namespace("rollout") as space:
        cluster.apply(daemon_set(), namespace=space)
        eventually(lambda: values(cluster, space).keys() == set(nodes))
        found = values(cluster, space)
        try:
            cluster.apply(policy(space, BEFORE))
            eventually(lambda: set(values(cluster, space).values()) == {BEFORE})
            eventually(lambda: oom(cluster, "rollout", "status", POLICY, "--timeout", "60s")[0] == 0)
            _roll_out(cluster, space, nodes)
        finally:
            cluster.kubectl("delete", "oompolicy", POLICY, "--ignore-not-found")
        eventually(lambda: values(cluster, space) == found)


def _roll_out(cluster: Cluster, space: str, nodes: list[str]) -> None:
    change = policy(space, AFTER, maxConcurrent=1, soakSeconds=2)
    words = ("plan", "-f", "-", "-o", "json", "--detailed-exitcode", "--timeout", "90")
    status, text = oom(cluster, *words, input=json.dumps(change))
    assert status == 3, text
    plan = {node["node"]: node for node in json.loads(text)["nodes"]}
    assert plan.keys() == set(nodes)
    for node in plan.values():
        [entry] = node["oomScoreAdjustments"]
        assert (entry["selected"], entry["changing"], entry["state"]) == (1, 1, "InSync")
    assert json.loads(text)["rollout"]["firstBatch"] == nodes[:1]
    assert set(values(cluster, space).values()) == {BEFORE}, "nothing was applied"

    with refusing(cluster, nodes[1]):
        cluster.apply(change)
        replace_controller(cluster)
        status, text = oom(cluster, "rollout", "status", POLICY, "--timeout", "300s")
        assert (status, f"Halted, 2/{len(nodes)} nodes: {nodes[1]}: " in text) == (1, True), text
        expected = {node: AFTER if node == nodes[0] else BEFORE for node in nodes}
        assert values(cluster, space) == expected

    def refused() -> int:
        count: int = cluster.get("oompolicies", POLICY)["status"]["nodes"].get("refused", 0)
        return count

    eventually(lambda: refused() == 0)
    assert values(cluster, space) == expected | {nodes[1]: AFTER}
    assert oom(cluster, "rollout", "resume", POLICY)[0] == 0
    eventually(lambda: cluster.get("oompolicies", POLICY)["status"]["rollout"]["phase"] != "Halted")
    status, text = oom(cluster, "rollout", "status", POLICY, "--timeout", "300s")
    assert (status, f"Complete, {len(nodes)}/{len(nodes)} nodes" in text) == (0, True), text
    # As planned.
    found = values(cluster, space)
    adjusted = {
        node: {
            process["adjAfter"]
            for process in plan[node]["processes"]
            # Not the pause container, which is in the order of a node with few processes.
            if re.fullmatch(rf"{space}/\S+ app", process.get("where", ""))
        }
        for node in nodes
    }
    assert all(after <= {found[node]} for node, after in adjusted.items())
    assert set(found.values()) == {AFTER}
    assert any(adjusted.values())

    assert oom(cluster, "rollout", "undo", POLICY)[0] == 0
    status, text = oom(cluster, "rollout", "status", POLICY, "--timeout", "300s")
    assert status == 0, text
    assert set(values(cluster, space).values()) == {BEFORE}
