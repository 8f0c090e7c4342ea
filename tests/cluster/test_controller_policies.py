"""Policies and nodes into OOMNodes, against the real API server; the tests play the agents."""

import pytest

from tests.waiting import eventually

from .controller_harness import NODES, OOM_NODES, POLICIES, Controller, Harness, controller, harness

__all__ = ["controller", "harness"]

pytestmark = pytest.mark.cluster

DUMPS, ALLOCATING, PANIC = "vm.oom_dump_tasks", "vm.oom_kill_allocating_task", "kernel.panic"


def selects(**labels: str) -> dict[str, dict[str, str]]:
    return {"matchLabels": labels}


@pytest.mark.usefixtures("controller")
def test_policy_reaches_its_nodes_and_leaves_with_its_deletion(
    harness: Harness,
) -> None:
    node = harness.node("a1", ready=True, pool="a")
    harness.node("b1", ready=True, pool="b")
    harness.policy("dumps", nodeSelector=selects(pool="a"), sysctls={DUMPS: 1, ALLOCATING: 0})

    eventually(lambda: harness.sysctls("a1") == {DUMPS: (1, "dumps"), ALLOCATING: (0, "dumps")})
    assert eventually(lambda: harness.sysctls("b1") == {})
    (owner,) = harness.get(f"{OOM_NODES}/a1")["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "Node", "name": "a1", "uid": node["metadata"]["uid"]}
    eventually(lambda: harness.status(f"{POLICIES}/dumps")["nodes"]["pending"] == 1)
    assert harness.conditions(f"{POLICIES}/dumps")["Ready"] == ("False", "NodesPending")
    assert harness.conditions(f"{POLICIES}/dumps")["Progressing"] == ("True", "WaitingForAgents")

    harness.answer("a1")
    eventually(lambda: harness.conditions(f"{POLICIES}/dumps")["Ready"] == ("True", "InSync"))
    status = harness.status(f"{POLICIES}/dumps")
    assert status["nodes"]["matched"] == status["nodes"]["inSync"] == 1
    assert status["observedGeneration"] == 1

    harness.delete(f"{POLICIES}/dumps")
    eventually(lambda: harness.sysctls("a1") == {})


@pytest.mark.usefixtures("controller")
def test_node_states_are_counted_and_the_worst_shown(harness: Harness) -> None:
    for name, ready in (("n1", True), ("n2", True), ("n3", True), ("n4", False), ("n5", True)):
        harness.node(name, ready=ready)
    harness.policy("all", sysctls={DUMPS: 1})
    for name in ("n1", "n2", "n3", "n4", "n5"):
        eventually(lambda name=name: harness.sysctls(name) == {DUMPS: (1, "all")})  # type: ignore[misc]
    harness.answer("n1")
    harness.answer("n2", oom_dump_tasks="Drifted")
    harness.answer("n3", oom_dump_tasks="Refused")
    harness.answer("n4")

    eventually(
        lambda: (
            harness.status(f"{POLICIES}/all")["nodes"]
            == {
                "matched": 5,
                "inSync": 1,
                "drifted": 1,
                "refused": 1,
                "unreachable": 1,
                "overridden": 0,
                "agentSilent": 0,
                "unmanaged": 0,
                "pending": 1,
                "unsupported": 0,
            }
        )
    )
    examples = harness.status(f"{POLICIES}/all")["exampleNodes"]
    assert [(node["name"], node["state"]) for node in examples] == [
        ("n3", "Refused"),
        ("n2", "Drifted"),
        ("n4", "Unreachable"),
        ("n5", "Pending"),
    ]
    assert harness.conditions(f"{POLICIES}/all")["Degraded"] == ("True", "NodesRefused")

    harness.node("n4", ready=True)
    eventually(lambda: harness.status(f"{POLICIES}/all")["nodes"]["inSync"] == 2)


@pytest.mark.usefixtures("controller")
def test_changed_label_moves_a_node_in_and_out(harness: Harness) -> None:
    harness.node("mover", pool="a")
    harness.policy(
        "of-b",
        nodeSelector={"matchExpressions": [{"key": "pool", "operator": "In", "values": ["b", "c"]}]},
        sysctls={DUMPS: 0},
    )
    eventually(lambda: harness.find(f"{OOM_NODES}/mover"))
    assert harness.sysctls("mover") == {}

    harness.merge(f"{NODES}/mover", {"metadata": {"labels": {"pool": "c"}}})
    eventually(lambda: harness.sysctls("mover") == {DUMPS: (0, "of-b")})
    eventually(lambda: harness.status(f"{POLICIES}/of-b")["nodes"]["matched"] == 1)

    harness.merge(f"{NODES}/mover", {"metadata": {"labels": {"pool": None}}})
    eventually(lambda: harness.sysctls("mover") == {})
    eventually(lambda: harness.status(f"{POLICIES}/of-b")["nodes"]["matched"] == 0)


@pytest.mark.usefixtures("controller")
def test_oomnode_is_created_and_deleted_with_its_node(harness: Harness) -> None:
    harness.policy("all", sysctls={DUMPS: 1})
    harness.node("windows", os="windows")
    harness.node("first")
    eventually(lambda: harness.sysctls("first") == {DUMPS: (1, "all")})
    eventually(lambda: harness.status(f"{POLICIES}/all")["nodes"]["matched"] == 1)
    assert harness.find(f"{OOM_NODES}/windows") is None

    harness.delete(f"{NODES}/first")
    eventually(lambda: harness.find(f"{OOM_NODES}/first") is None)
    again = harness.node("first")
    eventually(lambda: harness.sysctls("first") == {DUMPS: (1, "all")})
    (owner,) = harness.get(f"{OOM_NODES}/first")["metadata"]["ownerReferences"]
    assert owner["uid"] == again["metadata"]["uid"]


@pytest.mark.usefixtures("controller")
def test_highest_priority_decides_and_the_overridden_policy_names_it(harness: Harness) -> None:
    harness.node("n")
    harness.policy("low", priority=1, sysctls={DUMPS: 0, ALLOCATING: 1})
    harness.policy("high", priority=2, sysctls={DUMPS: 1})
    eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "high"), ALLOCATING: (1, "low")})
    eventually(lambda: harness.conditions(f"{POLICIES}/low")["Conflicted"] == ("True", "Overridden"))
    assert harness.status(f"{POLICIES}/low")["overridden"] == [{"sysctl": DUMPS, "by": "high", "nodes": 1}]
    eventually(lambda: harness.conditions(f"{POLICIES}/high")["Conflicted"] == ("False", "NoConflict"))

    harness.merge(f"{POLICIES}/high", {"spec": {"suspend": True}})
    eventually(lambda: harness.sysctls("n") == {DUMPS: (0, "low"), ALLOCATING: (1, "low")})
    eventually(lambda: harness.conditions(f"{POLICIES}/high")["Ready"] == ("False", "Suspended"))
    eventually(lambda: harness.conditions(f"{POLICIES}/low")["Conflicted"] == ("False", "NoConflict"))
    assert "overridden" not in harness.status(f"{POLICIES}/low")


@pytest.mark.usefixtures("controller")
def test_audit_of_higher_priority_overrides_nothing_and_reports_drift(
    harness: Harness,
) -> None:
    harness.node("n")
    harness.policy("holds", priority=1, sysctls={DUMPS: 0})
    harness.policy("asks", priority=2, mode="Audit", sysctls={DUMPS: 1})
    eventually(lambda: harness.status(f"{POLICIES}/asks")["nodes"]["matched"] == 1)
    eventually(lambda: harness.sysctls("n") == {DUMPS: (0, "holds")})
    harness.answer("n")
    eventually(lambda: harness.status(f"{POLICIES}/asks")["nodes"]["drifted"] == 1)
    assert harness.conditions(f"{POLICIES}/asks")["Degraded"] == ("False", "AsExpected")
    eventually(lambda: harness.status(f"{POLICIES}/holds")["nodes"]["inSync"] == 1)


@pytest.mark.usefixtures("controller")
def test_nodes_that_share_a_kernel_get_one_value(harness: Harness) -> None:
    harness.node("kind-1", pool="a", boot_id="one-kernel")
    harness.node("kind-2", pool="b", boot_id="one-kernel")
    harness.node("kind-3", pool="c", boot_id="one-kernel")
    harness.node("apart", pool="b", boot_id="another-kernel")
    harness.policy("of-a", priority=2, nodeSelector=selects(pool="a"), sysctls={PANIC: 10})
    harness.policy(
        "of-b",
        priority=1,
        nodeSelector=selects(pool="b"),
        sysctls={PANIC: 60},
        panicSafety={"acknowledge": ["KubeletConflict"]},
    )

    eventually(lambda: harness.sysctls("kind-2") == {PANIC: (10, "of-a")})
    eventually(lambda: harness.sysctls("kind-1") == {PANIC: (10, "of-a")})
    eventually(lambda: harness.find(f"{OOM_NODES}/kind-3"))
    assert harness.sysctls("kind-3") == {}
    eventually(lambda: harness.sysctls("apart") == {PANIC: (60, "of-b")})
    eventually(lambda: harness.conditions(f"{POLICIES}/of-b")["Conflicted"] == ("True", "SharedKernel"))
    assert harness.status(f"{POLICIES}/of-b")["overridden"] == [{"sysctl": PANIC, "by": "of-a", "nodes": 1}]

    # The agent reads the boot id from the kernel itself: kubelet's may be of before the last boot.
    harness.answer("kind-2", boot_id="a-kernel-of-its-own")
    eventually(lambda: harness.sysctls("kind-2") == {PANIC: (60, "of-b")})


@pytest.mark.usefixtures("controller")
def test_foreign_sysctl_in_an_oomnode_is_removed(harness: Harness) -> None:
    harness.node("n")
    harness.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "all")})
    answer = harness.apply(
        f"{OOM_NODES}/n",
        {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMNode",
            "metadata": {"name": "n"},
            "spec": {"sysctls": [{"name": ALLOCATING, "value": 1, "policy": "mallory"}]},
        },
        manager="mallory",
    )
    # From the answer: the controller may have put it right before anybody can look.
    assert ALLOCATING in [entry["name"] for entry in answer["spec"]["sysctls"]]
    eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "all")})


def test_invalid_policy_past_the_schema_gets_a_condition_and_sets_nothing(
    harness: Harness, controller: Controller
) -> None:
    harness.node("n")
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/oompolicies.oomkeeper.dev"
    strict = harness.get(crd)["spec"]["versions"]
    loose = [
        version
        | {"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
        for version in strict
    ]
    harness.merge(crd, {"spec": {"versions": loose}})
    try:
        harness.policy("good", sysctls={DUMPS: 1})
        for name, spec in (
            ("unknown-key", {"sysctls": {"kernel.core_pattern": 1}}),
            ("no-number", {"sysctls": {DUMPS: "yes"}}),
            ("no-selector", {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
            ("a-string", "sysctls"),
        ):
            eventually(
                lambda name=name, spec=spec: harness.apply(  # type: ignore[misc]
                    f"{POLICIES}/{name}",
                    {
                        "apiVersion": "oomkeeper.dev/v1alpha1",
                        "kind": "OOMPolicy",
                        "metadata": {"name": name},
                        "spec": spec,
                    },
                )
            )
            eventually(
                lambda name=name: (
                    harness.conditions(  # type: ignore[misc]
                        f"{POLICIES}/{name}"
                    )["Degraded"]
                    == ("True", "InvalidSpec")
                )
            )
            assert harness.conditions(f"{POLICIES}/{name}")["Ready"] == ("False", "InvalidSpec")
        said = {condition["message"] for condition in harness.status(f"{POLICIES}/no-number")["conditions"]}
        assert any("spec.sysctls" in message and "integer" in message for message in said), said
        eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "good")})
        assert controller.running
    finally:
        harness.delete(POLICIES)
        harness.merge(crd, {"spec": {"versions": strict}})
