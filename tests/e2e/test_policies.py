"""Every policy under examples/, applied as a reader would, on nodes that share one kernel.

None of them may take the machine down: what sets vm.panic_on_oom above 0 or vm.overcommit_memory to 2 is
applied in Audit mode, whatever its file says.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .harness import Cluster, Json, eventually

EXAMPLES = {
    document["metadata"]["name"]: document
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document and document["kind"] == "OOMPolicy"
}
DROP_IN = "/etc/sysctl.d/99-zzz-oomkeeper.conf"


def harmless(document: Json) -> Json:
    """The policy, in Audit mode where it could take the machine down."""
    sysctls = document["spec"].get("sysctls", {})
    if sysctls.get("vm.panic_on_oom", 0) > 0 or sysctls.get("vm.overcommit_memory") == 2:
        return {**document, "spec": {**document["spec"], "mode": "Audit"}}
    return document


def selected_by(cluster: Cluster, document: Json) -> list[str]:
    """Nodes that its selector names."""
    selector = document["spec"].get("nodeSelector") or {}
    words = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        assert one["operator"] == "Exists", "teach this test the other operators"
        words.append(one["key"])
    return sorted(node.metadata.name for node in cluster.core.list_node(label_selector=",".join(words)).items)


def label(cluster: Cluster, node: str, labels: dict[str, str | None]) -> None:
    cluster.core.patch_node(node, {"metadata": {"labels": labels}})


@contextlib.contextmanager
def applied(cluster: Cluster, document: Json) -> Iterator[str]:
    """With kubectl; gone afterwards, and nothing of it left in any node."""
    before = {key: cluster.value(cluster.nodes[0], key) for key in document["spec"].get("sysctls", {})}
    name = document["metadata"]["name"]
    cluster.kubectl("apply", "-f", "-", input=json.dumps(document))
    try:
        yield name
    finally:
        cluster.kubectl("delete", "oompolicy", name, "--ignore-not-found")
    for node in cluster.nodes:
        eventually(lambda node=node: name not in json.dumps(cluster.oomnode(node)["status"]))
    # Of nodes that share a kernel, one restores the value.
    for key, value in before.items():
        eventually(lambda key=key, value=value: cluster.value(cluster.nodes[0], key) == value)


def columns(cluster: Cluster, plural: str, name: str) -> dict[str, str]:
    """What `kubectl get -o wide` prints of one object."""
    head, row = cluster.kubectl("get", plural, name, "-o", "wide").splitlines()
    starts = [head.index(word) for word in head.split()]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if "sysctls" in EXAMPLES[name]["spec"]])
def test_example_takes_effect_only_on_selected_nodes(cluster: Cluster, name: str) -> None:
    document = harmless(EXAMPLES[name])
    wanted: dict[str, int] = document["spec"]["sysctls"]
    audits = document["spec"].get("mode") == "Audit"
    labels = dict((document["spec"].get("nodeSelector") or {}).get("matchLabels") or {})
    node = cluster.nodes[-1]
    found = {key: cluster.value(node, key) for key in wanted}
    with applied(cluster, document):
        if labels:
            eventually(lambda: cluster.get("oompolicies", name)["status"]["nodes"]["matched"] == 0)
            assert {key: cluster.value(node, key) for key in wanted} == found
            label(cluster, node, labels)
        try:
            chosen = selected_by(cluster, document)
            assert chosen
            in_force = found if audits else wanted
            for one in chosen:
                # Of nodes that share a kernel one writes the value; the others read it seconds later.
                rows = {
                    key: (value, in_force[key], "InSync" if value == in_force[key] else "Audited")
                    for key, value in wanted.items()
                }
                eventually(lambda one=one, rows=rows: _rows_of(cluster, one, policy=name) == rows)
                assert {key: cluster.value(one, key) for key in wanted} == in_force
            for other in set(cluster.nodes) - set(chosen):
                assert name not in json.dumps(cluster.oomnode(other)["spec"])
            # The status is written at most once in five seconds.
            state = "inSync" if in_force == wanted else "drifted"
            expected = {"matched": len(chosen), "pending": 0, state: len(chosen)}
            eventually(
                lambda: cluster.get("oompolicies", name)["status"]["nodes"].items() >= expected.items()
            )
            printed = columns(cluster, "oomp", name)
            assert printed["MODE"] == document["spec"].get("mode", "Enforce")
            assert printed["MATCHED"] == str(len(chosen))
        finally:
            if labels:
                label(cluster, node, dict.fromkeys(labels))
        if labels:
            eventually(lambda: _sysctls_of(cluster, node, policy=name) == {} or None is not None)
            eventually(lambda: {key: cluster.value(node, key) for key in wanted} == found)


def _sysctls_of(cluster: Cluster, node: str, *, policy: str) -> dict[str, Json]:
    """OOMNode.status.sysctls that a policy holds, once the agent has answered the present spec."""
    obj = cluster.oomnode(node)
    assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
    return {one["name"]: one for one in obj["status"].get("sysctls", []) if one.get("policy") == policy}


def _rows_of(cluster: Cluster, node: str, *, policy: str) -> dict[str, tuple[int, int, str]]:
    """Desired and actual value and state of a policy's sysctls on a node."""
    found = _sysctls_of(cluster, node, policy=policy)
    return {key: (one["desired"], one["actual"], one["state"]) for key, one in found.items()}


def test_persistent_policy_has_a_drop_in_on_its_nodes_until_deleted(cluster: Cluster) -> None:
    kind = cluster.need_nodes()
    with applied(cluster, EXAMPLES["persistent-dumps"]):
        text = eventually(lambda: kind.exec_in_node(kind.control_plane, ["cat", DROP_IN], check=False))
        assert "vm.oom_dump_tasks = 1" in text
        assert "persistent-dumps" in text
        eventually(lambda: cluster.conditions("oomnodes", kind.control_plane)["Persistent"][0] == "True")
        assert not kind.exec_in_node(kind.workers[0], ["cat", DROP_IN], check=False)
    eventually(lambda: not kind.exec_in_node(kind.control_plane, ["cat", DROP_IN], check=False))


def policy(name: str, *, node: str, sysctls: dict[str, int], **spec: Any) -> Json:
    selector = {"matchLabels": {"kubernetes.io/hostname": node}}
    return {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name},
        "spec": {"nodeSelector": selector, "sysctls": sysctls, **spec},
    }


def test_conflicting_policies_on_one_kernel_set_condition_conflicted(cluster: Cluster) -> None:
    cluster.need_nodes()
    key = "vm.swappiness"
    first, second = cluster.nodes[-2:]
    before = cluster.value(first, key)
    one, other = (before + 7) % 100, (before + 13) % 100
    strong = policy("e2e-strong", node=first, sysctls={key: one}, priority=200)
    weak = policy("e2e-weak", node=second, sysctls={key: other})
    with applied(cluster, strong), applied_after(cluster, weak, value=one):
        for node in (first, second):
            eventually(lambda node=node: cluster.sysctls(node)[key]["state"] == "InSync")
            assert cluster.value(node, key) == one
        conditions = eventually(
            lambda: (c := cluster.conditions("oompolicies", "e2e-weak"))["Conflicted"][0] == "True" and c
        )
        assert conditions["Ready"][0] != "True" or conditions["Conflicted"][0] == "True"
        found = cluster.get("oompolicies", "e2e-weak")["status"]["conditions"]
        [said] = [each["message"] for each in found if each["type"] == "Conflicted"]
        assert "e2e-strong" in said
        assert key in said
        # No agent overwrites it.
        assert cluster.sysctls(first)[key].get("driftCount", 0) == 0


@contextlib.contextmanager
def applied_after(cluster: Cluster, document: Json, *, value: int) -> Iterator[None]:
    """A second policy for keys that another one holds already at `value`."""
    [key] = document["spec"]["sysctls"]
    eventually(lambda: cluster.value(cluster.nodes[0], key) == value)
    cluster.kubectl("apply", "-f", "-", input=json.dumps(document))
    try:
        yield
    finally:
        cluster.kubectl("delete", "oompolicy", document["metadata"]["name"])
