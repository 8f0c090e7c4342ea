"""`kubectl oom nodes` and `policy`."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.unit.api.objects import NODE, POLICY

from .cluster_server import GROUP, Cluster, Json, Run, cluster, run

__all__ = ["cluster", "run"]


def node(name: str, *, ready: bool = True, os: str = "linux") -> Json:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/os": os}},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def agent_pod(node: str, *, ready: bool, **state: Any) -> Json:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-11-23T09:00:00Z"}
    return {
        "metadata": {"name": f"agent-{node}", "namespace": "ops"},
        "spec": {"nodeName": node},
        "status": {"conditions": [condition], "containerStatuses": [{"state": state}]},
    }


def oomnode(name: str, **status: Any) -> Json:
    made = copy.deepcopy(NODE)
    made["metadata"]["name"] = name
    made["status"] |= status
    return made


def fill(cluster: Cluster) -> None:
    good = [{"type": "Applied", "status": "True", "lastTransitionTime": "", "reason": "", "message": ""}]
    cluster.stored |= {
        "/api/v1/nodes": [node("n1"), node("n2", ready=False), node("n3"), node("w", os="windows")],
        "/api/v1/pods": [
            agent_pod("n1", ready=True),
            agent_pod("n2", ready=False, waiting={"reason": "CrashLoopBackOff"}),
        ],
        f"{GROUP}/oomnodes": [oomnode("n1", conditions=good), oomnode("n2")],
        f"{GROUP}/oompolicies": [POLICY],
    }


def test_agents_are_ready_silent_or_missing(cluster: Cluster, run: Run) -> None:
    fill(cluster)
    status, out, err = run("nodes")
    assert (status, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["n1", "Ready"],
        ["n2", "Silent"],
        ["n3", "Missing"],
    ]
    items = json.loads(run("nodes", "-o", "json")[1])["items"]
    assert items[1]["agent"] == {
        "state": "Silent",
        "since": "2026-11-23T09:00:00Z",
        "pod": "ops/agent-n2",
        "problem": "CrashLoopBackOff",
        "version": "0.1.0",
    }
    assert items[0]["kills"]["recorded"] == 11
    assert "NodeReady=False,Applied=False,Degraded=True" in out
    assert "NoOOMNode" in out


def test_pods_that_may_not_be_listed_make_the_agent_unknown(cluster: Cluster, run: Run) -> None:
    fill(cluster)
    cluster.stored |= {"/api/v1/nodes": 403, "/api/v1/pods": 403}
    _, out, _ = run("nodes", "n1")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["n1", "Unknown"]]


def test_equal_settings_are_counted_and_wide_has_one_line_per_node(cluster: Cluster, run: Run) -> None:
    fill(cluster)
    _, out, _ = run("policy")
    (dumps,) = [line for line in out.splitlines() if "vm.oom_dump_tasks" in line]
    assert dumps.split()[:6] == ["keep-dumps", "vm.oom_dump_tasks", "1", "Enforce", "Drifted", "2"]
    assert "on n1, n2: another program wrote 0" in dumps
    (overridden,) = [line for line in out.splitlines() if "Overridden" in line]
    assert "by policy other" in overridden
    _, wide, _ = run("policy", "--node", "n2")
    assert {line.split()[0] for line in wide.splitlines()[1:]} == {"n2"}


def test_status_of_an_older_spec_is_pending(cluster: Cluster, run: Run) -> None:
    fill(cluster)
    stale = oomnode("n1", observedGeneration=1)
    stale["metadata"]["generation"] = 2
    cluster.stored[f"{GROUP}/oomnodes"] = [stale]
    items = json.loads(run("policy", "-o", "json", "--node", "n1")[1])["items"]
    assert {one["state"] for one in items} == {"Pending"}


def test_suspended_policy_and_unknown_names(cluster: Cluster, run: Run) -> None:
    fill(cluster)
    lonely = copy.deepcopy(POLICY)
    lonely["metadata"]["name"] = "lonely"
    lonely["status"]["overridden"] = []
    cluster.stored[f"{GROUP}/oompolicies"] = [lonely]
    assert "Suspended" in run("policy", "lonely")[1]
    assert run("policy", "none") == (1, "", "kubectl oom policy: oompolicy none not found\n")
    assert run("policy", "--node", "none")[0] == 1
    assert run("policy", "-o", "name")[0] == 2
