"""Policies and nodes into OOMNodes, against the real API server; the tests play the agents."""

import pytest

from .controller_bed import (
    NODES,
    OOM_NODES,
    POLICIES,
    Bed,
    Controller,
    bed,
    controller,
    eventually,
)

__all__ = ["bed", "controller"]

pytestmark = pytest.mark.cluster

DUMPS, ALLOCATING, PANIC = "vm.oom_dump_tasks", "vm.oom_kill_allocating_task", "kernel.panic"


def selects(**labels: str) -> dict[str, dict[str, str]]:
    return {"matchLabels": labels}


@pytest.mark.usefixtures("controller")
def test_a_policy_reaches_its_nodes_is_answered_for_and_leaves_them_with_its_deletion(bed: Bed) -> None:
    node = bed.node("a1", ready=True, pool="a")
    bed.node("b1", ready=True, pool="b")
    bed.policy("dumps", nodeSelector=selects(pool="a"), sysctls={DUMPS: 1, ALLOCATING: 0})

    eventually(lambda: bed.sysctls("a1") == {DUMPS: (1, "dumps"), ALLOCATING: (0, "dumps")})
    assert eventually(lambda: bed.sysctls("b1") == {})
    (owner,) = bed.get(f"{OOM_NODES}/a1")["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "Node", "name": "a1", "uid": node["metadata"]["uid"]}
    eventually(lambda: bed.status(f"{POLICIES}/dumps")["nodes"]["pending"] == 1)
    assert bed.conditions(f"{POLICIES}/dumps")["Ready"] == ("False", "NodesPending")
    assert bed.conditions(f"{POLICIES}/dumps")["Progressing"] == ("True", "WaitingForAgents")

    bed.answer("a1")
    eventually(lambda: bed.conditions(f"{POLICIES}/dumps")["Ready"] == ("True", "InSync"))
    status = bed.status(f"{POLICIES}/dumps")
    assert status["nodes"]["matched"] == status["nodes"]["inSync"] == 1
    assert status["observedGeneration"] == 1

    bed.delete(f"{POLICIES}/dumps")
    eventually(lambda: bed.sysctls("a1") == {})


@pytest.mark.usefixtures("controller")
def test_what_the_agents_say_is_counted_and_the_worst_is_shown(bed: Bed) -> None:
    for name, ready in (("n1", True), ("n2", True), ("n3", True), ("n4", False), ("n5", True)):
        bed.node(name, ready=ready)
    bed.policy("all", sysctls={DUMPS: 1})
    for name in ("n1", "n2", "n3", "n4", "n5"):
        eventually(lambda name=name: bed.sysctls(name) == {DUMPS: (1, "all")})  # type: ignore[misc]
    bed.answer("n1")
    bed.answer("n2", oom_dump_tasks="Drifted")
    bed.answer("n3", oom_dump_tasks="Refused")
    bed.answer("n4")

    eventually(
        lambda: (
            bed.status(f"{POLICIES}/all")["nodes"]
            == {
                "matched": 5,
                "inSync": 1,
                "drifted": 1,
                "refused": 1,
                "unreachable": 1,
                "pending": 1,
                "unsupported": 0,
            }
        )
    )
    examples = bed.status(f"{POLICIES}/all")["exampleNodes"]
    assert [(node["name"], node["state"]) for node in examples] == [
        ("n3", "Refused"),
        ("n2", "Drifted"),
        ("n4", "Unreachable"),
        ("n5", "Pending"),
    ]
    assert bed.conditions(f"{POLICIES}/all")["Degraded"] == ("True", "NodesRefused")

    bed.node("n4", ready=True)
    eventually(lambda: bed.status(f"{POLICIES}/all")["nodes"]["inSync"] == 2)


@pytest.mark.usefixtures("controller")
def test_a_changed_label_moves_a_node_in_and_out(bed: Bed) -> None:
    bed.node("mover", pool="a")
    bed.policy(
        "of-b",
        nodeSelector={"matchExpressions": [{"key": "pool", "operator": "In", "values": ["b", "c"]}]},
        sysctls={DUMPS: 0},
    )
    eventually(lambda: bed.find(f"{OOM_NODES}/mover"))
    assert bed.sysctls("mover") == {}

    bed.merge(f"{NODES}/mover", {"metadata": {"labels": {"pool": "c"}}})
    eventually(lambda: bed.sysctls("mover") == {DUMPS: (0, "of-b")})
    eventually(lambda: bed.status(f"{POLICIES}/of-b")["nodes"]["matched"] == 1)

    bed.merge(f"{NODES}/mover", {"metadata": {"labels": {"pool": None}}})
    eventually(lambda: bed.sysctls("mover") == {})
    eventually(lambda: bed.status(f"{POLICIES}/of-b")["nodes"]["matched"] == 0)


@pytest.mark.usefixtures("controller")
def test_nodes_come_and_go_with_their_oomnode(bed: Bed) -> None:
    bed.policy("all", sysctls={DUMPS: 1})
    bed.node("windows", os="windows")
    bed.node("first")
    eventually(lambda: bed.sysctls("first") == {DUMPS: (1, "all")})
    eventually(lambda: bed.status(f"{POLICIES}/all")["nodes"]["matched"] == 1)
    assert bed.find(f"{OOM_NODES}/windows") is None

    bed.delete(f"{NODES}/first")
    eventually(lambda: bed.find(f"{OOM_NODES}/first") is None)
    again = bed.node("first")
    eventually(lambda: bed.sysctls("first") == {DUMPS: (1, "all")})
    (owner,) = bed.get(f"{OOM_NODES}/first")["metadata"]["ownerReferences"]
    assert owner["uid"] == again["metadata"]["uid"]


@pytest.mark.usefixtures("controller")
def test_each_key_goes_to_the_highest_priority_and_the_loser_says_who_has_it(bed: Bed) -> None:
    bed.node("n")
    bed.policy("low", priority=1, sysctls={DUMPS: 0, ALLOCATING: 1})
    bed.policy("high", priority=2, sysctls={DUMPS: 1})
    eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "high"), ALLOCATING: (1, "low")})
    eventually(lambda: bed.conditions(f"{POLICIES}/low")["Conflicted"] == ("True", "Overridden"))
    assert bed.status(f"{POLICIES}/low")["overridden"] == [{"sysctl": DUMPS, "by": "high", "nodes": 1}]
    assert bed.conditions(f"{POLICIES}/high")["Conflicted"] == ("False", "NoConflict")

    bed.merge(f"{POLICIES}/high", {"spec": {"suspend": True}})
    eventually(lambda: bed.sysctls("n") == {DUMPS: (0, "low"), ALLOCATING: (1, "low")})
    eventually(lambda: bed.conditions(f"{POLICIES}/high")["Ready"] == ("False", "Suspended"))
    eventually(lambda: bed.conditions(f"{POLICIES}/low")["Conflicted"] == ("False", "NoConflict"))
    assert "overridden" not in bed.status(f"{POLICIES}/low")


@pytest.mark.usefixtures("controller")
def test_an_audit_of_higher_priority_takes_nothing_away_and_still_tells_the_difference(bed: Bed) -> None:
    bed.node("n")
    bed.policy("holds", priority=1, sysctls={DUMPS: 0})
    bed.policy("asks", priority=2, mode="Audit", sysctls={DUMPS: 1})
    eventually(lambda: bed.status(f"{POLICIES}/asks")["nodes"]["matched"] == 1)
    eventually(lambda: bed.sysctls("n") == {DUMPS: (0, "holds")})
    bed.answer("n")
    eventually(lambda: bed.status(f"{POLICIES}/asks")["nodes"]["drifted"] == 1)
    assert bed.conditions(f"{POLICIES}/asks")["Degraded"] == ("False", "AsExpected")
    assert bed.status(f"{POLICIES}/holds")["nodes"]["inSync"] == 1


@pytest.mark.usefixtures("controller")
def test_nodes_that_share_a_kernel_are_given_one_value(bed: Bed) -> None:
    bed.node("kind-1", pool="a", boot_id="one-kernel")
    bed.node("kind-2", pool="b", boot_id="one-kernel")
    bed.node("kind-3", pool="c", boot_id="one-kernel")
    bed.node("apart", pool="b", boot_id="another-kernel")
    bed.policy("of-a", priority=2, nodeSelector=selects(pool="a"), sysctls={PANIC: 10})
    bed.policy(
        "of-b",
        priority=1,
        nodeSelector=selects(pool="b"),
        sysctls={PANIC: 60},
        panicSafety={"acknowledge": ["KubeletConflict"]},
    )

    eventually(lambda: bed.sysctls("kind-2") == {PANIC: (10, "of-a")})
    assert bed.sysctls("kind-1") == {PANIC: (10, "of-a")}
    eventually(lambda: bed.find(f"{OOM_NODES}/kind-3"))
    assert bed.sysctls("kind-3") == {}
    eventually(lambda: bed.sysctls("apart") == {PANIC: (60, "of-b")})
    eventually(lambda: bed.conditions(f"{POLICIES}/of-b")["Conflicted"] == ("True", "SharedKernel"))
    assert bed.status(f"{POLICIES}/of-b")["overridden"] == [{"sysctl": PANIC, "by": "of-a", "nodes": 1}]

    # The agent reads the boot id from the kernel itself: kubelet's may be of before the last boot.
    bed.answer("kind-2", boot_id="a-kernel-of-its-own")
    eventually(lambda: bed.sysctls("kind-2") == {PANIC: (60, "of-b")})


@pytest.mark.usefixtures("controller")
def test_nobody_else_tells_an_agent_what_to_set(bed: Bed) -> None:
    bed.node("n")
    bed.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "all")})
    answer = bed.apply(
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
    eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "all")})


def test_a_content_that_got_past_the_schema_is_said_and_sets_nothing(
    bed: Bed, controller: Controller
) -> None:
    bed.node("n")
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/oompolicies.oomkeeper.dev"
    strict = bed.get(crd)["spec"]["versions"]
    loose = [
        version
        | {"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
        for version in strict
    ]
    bed.merge(crd, {"spec": {"versions": loose}})
    try:
        bed.policy("good", sysctls={DUMPS: 1})
        for name, spec in (
            ("unknown-key", {"sysctls": {"kernel.core_pattern": 1}}),
            ("no-number", {"sysctls": {DUMPS: "yes"}}),
            ("no-selector", {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
            ("a-string", "sysctls"),
        ):
            eventually(
                lambda name=name, spec=spec: bed.apply(  # type: ignore[misc]
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
                    bed.conditions(  # type: ignore[misc]
                        f"{POLICIES}/{name}"
                    )["Degraded"]
                    == ("True", "InvalidSpec")
                )
            )
            assert bed.conditions(f"{POLICIES}/{name}")["Ready"] == ("False", "InvalidSpec")
        said = {condition["message"] for condition in bed.status(f"{POLICIES}/no-number")["conditions"]}
        assert any("spec.sysctls" in message and "integer" in message for message in said), said
        eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "good")})
        assert controller.running
    finally:
        bed.delete(POLICIES)
        bed.merge(crd, {"spec": {"versions": strict}})
