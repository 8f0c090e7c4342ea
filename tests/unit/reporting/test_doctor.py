"""Findings about an installation: each problem is found, with its severity and a command."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomkeeper.api import KINDS
from oomkeeper.api.crd import crd
from oomkeeper.reporting.doctor import Facts, Finding, finding_records, findings, findings_text, has_problem
from oomkeeper.reporting.node_state import NodeState, node_states
from oomkeeper.reporting.required_access import AGENT, CONTROLLER, Access
from oomkeeper.resources.oompolicy import OOMPolicy
from oomkeeper.resources.oomreport import OOMReport
from oomkeeper.resources.record import read
from tests.unit.api.objects import NODE, POLICY, REPORT, condition

CHART = Path(__file__).resolve().parents[2] / "chart" / "golden" / "default.yaml"
"""What the chart creates by default."""
Json = dict[str, Any]
NOW = 1_800_000_000.0


def crds() -> dict[str, Any]:
    made = {}
    for kind in KINDS:
        one = crd(kind)
        one["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
        made[one["metadata"]["name"]] = one
    return made


def pod(*, ready: bool = True, node: str = "n1", name: str = "p") -> Json:
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-11-23T09:00:00Z"}]
    return {
        "metadata": {"name": name, "namespace": "ops"},
        "spec": {"nodeName": node},
        "status": {"conditions": conditions},
    }


def node(*, ready: bool = True, pods: list[Json] | None = None, **status: Any) -> NodeState:
    made = copy.deepcopy(NODE)
    calm = {"unattributed": 0, "lostLogRecords": 0, "lostTraceRecords": 0}
    made["status"] |= {"conditions": [], "counters": calm, "agentVersion": "0.1.0", **status}
    (state,) = node_states([made], nodes=None, pods=[pod(ready=ready)] if pods is None else pods)
    return state


def policy(*conditions: Json, **fields: Any) -> OOMPolicy:
    made = copy.deepcopy(POLICY)
    made["metadata"]["generation"] = fields.pop("generation", 3)
    made["status"] |= {"conditions": [*conditions], "overridden": [], **fields}
    return read(OOMPolicy, made)


def report(refreshed: str) -> OOMReport:
    made = copy.deepcopy(REPORT)
    made["spec"]["refreshInterval"] = "1m"
    made["status"]["refreshTime"] = refreshed
    return read(OOMReport, made)


def facts(**changes: Any) -> Facts:
    good = {"crds": crds(), "nodes": [node()], "policies": [], "reports": [], "controllers": [pod()]}
    return Facts(**{**good, "now": NOW, **changes})


def test_healthy_installation_has_no_finding() -> None:
    found = findings(facts())
    assert found == []
    assert [*findings_text(found, checked="1 node")] == [
        "0 errors, 0 warnings, 0 for information; checked 1 node."
    ]
    assert not has_problem(found)


def changed_crd() -> dict[str, Any]:
    made = crds()
    made["oomnodes.oomkeeper.dev"]["metadata"]["annotations"] = {"oomkeeper.dev/schema": "old"}
    return made


@pytest.mark.parametrize(
    ("changes", "severity", "check", "words"),
    [
        ({"crds": {**crds(), "oomnodes.oomkeeper.dev": None}}, "Error", "CRD", "not installed"),
        ({"crds": changed_crd()}, "Warning", "CRD", "not that of version"),
        ({"denied": {"ops:agent": [AGENT[0]]}}, "Error", "RBAC", "may not list oomnodes.oomkeeper.dev"),
        ({"controllers": []}, "Error", "Controller", "no controller"),
        ({"controllers": [pod(ready=False)]}, "Error", "Controller", "not been ready since 2026-11-23"),
        ({"reports": [report("2026-11-23T09:00:00Z")]}, "Error", "Controller", "instead of every 1m"),
        ({"policies": [policy(generation=4)]}, "Warning", "Controller", "of generation 3, the spec of 4"),
        ({"nodes": [node(ready=False)]}, "Error", "Agent", "not been ready since"),
        ({"nodes": [node(pods=[])]}, "Warning", "Agent", "no agent runs there"),
        (
            {"nodes": [node(conditions=[condition("KernelLogReadable", "False", "Unreadable")])]},
            "Error",
            "KernelLogReadable",
            "Unreadable",
        ),
        (
            {"nodes": [node(conditions=[condition("KillsTraced", "False", "TracingUnavailable")])]},
            "Warning",
            "KillsTraced",
            "TracingUnavailable",
        ),
        ({"nodes": [node(counters={"unattributed": 2})]}, "Warning", "Unattributed", "2 kills"),
        ({"nodes": [node(counters={"lostLogRecords": 2})]}, "Info", "Lost", "2 records"),
        ({"policies": [policy(condition("Stalled", "True", "RolloutHalted"))]}, "Error", "Stalled", "Halted"),
        (
            {"policies": [policy(overridden=[{"sysctl": "vm.swappiness", "by": "b", "nodes": 1}])]},
            "Warning",
            "Conflict",
            "policy b overrides vm.swappiness on 1 node",
        ),
        ({"policies": [policy(condition("Ready", "False", "NoNodesMatch"))]}, "Warning", "Policy", "no node"),
        ({"nodes": [node(agentVersion="0.0.9")]}, "Info", "Version", "0.0.9"),
        ({"unchecked": ["you may not list pods"]}, "Info", "Access", "may not list pods"),
    ],
)
def test_each_problem_is_found(changes: Json, severity: str, check: str, words: str) -> None:
    (one,) = findings(facts(**changes))
    assert (one.severity, one.check) == (severity, check)
    assert words in one.message
    assert one.fix.startswith(("kubectl ", "helm ")) or severity == "Info"
    assert has_problem([one]) is (severity != "Info")


def test_worst_comes_first_and_each_has_its_command() -> None:
    found = findings(facts(nodes=[node(counters={"unattributed": 1})], controllers=[]))
    assert [one.severity for one in found] == ["Error", "Warning"]
    lines = [*findings_text(found, checked="1 node")]
    assert lines[0].split() == ["SEVERITY", "CHECK", "SUBJECT", "PROBLEM"]
    assert any("kubectl oom explain node/n1" in line for line in lines)
    assert finding_records([Finding("Info", "a", "b", "c", "")])[0]["fix"] is None


OPTIONAL = {Access("", "nodes", "patch")}
"""Granted for features that a value of the chart turns off."""


@pytest.mark.parametrize(("component", "rights"), [("agent", AGENT), ("controller", CONTROLLER)])
def test_rights_are_those_of_the_chart(component: str, rights: tuple[Access, ...]) -> None:
    granted = {
        Access(group, resource.partition("/")[0], verb, resource.partition("/")[2])
        for document in yaml.safe_load_all(CHART.read_text())
        if (document or {}).get("kind") == "ClusterRole"
        and document["metadata"]["name"] == f"oomkeeper-{component}"
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted - OPTIONAL == {*rights}
