"""oom_score_adj entries of policies into OOMNodes, and the agents' answers into the policies' statuses,
against the real API server; the tests play the agents."""

import pytest

from .controller_bed import OOM_NODES, POLICIES, Bed, Controller, Json, bed, controller, eventually

__all__ = ["bed", "controller"]

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("controller")]


def entry(name: str, value: int = 800, **target: Json) -> Json:
    return {"name": name, "value": value, **(target or {"podSelector": {"matchLabels": {"tier": "batch"}}})}


def test_entries_reach_the_nodes_that_are_selected_by_standing_and_go_with_their_policy(bed: Bed) -> None:
    bed.node("a1", ready=True, pool="a")
    bed.node("b1", ready=True, pool="b")
    whole = entry("z", podSelector={}, namespaceSelector={"matchLabels": {"team": "x"}}) | {
        "containers": ["app"]
    }
    selector = {"matchLabels": {"pool": "a"}}
    bed.policy("low", priority=1, nodeSelector=selector, oomScoreAdjustments=[whole, entry("a", -5)])
    bed.policy("high", priority=2, onRelease="Keep", oomScoreAdjustments=[entry("m", process={"comm": "x"})])
    eventually(lambda: bed.adjustments("a1") == [("high", "m", 800), ("low", "z", 800), ("low", "a", -5)])
    eventually(lambda: bed.adjustments("b1") == [("high", "m", 800)])
    [first, second, _] = bed.get(f"{OOM_NODES}/a1")["spec"]["oomScoreAdjustments"]
    assert first["process"] == {"comm": "x"}
    assert (first["mode"], first["onRelease"]) == ("Enforce", "Keep")
    assert second == whole | {
        "podSelector": {"matchLabels": {}},
        "policy": "low",
        "mode": "Enforce",
        "onRelease": "Restore",
    }

    # A new order is a new standing: it must not stay as it was.
    bed.merge(f"{POLICIES}/low", {"spec": {"priority": 3}})
    eventually(lambda: bed.adjustments("a1") == [("low", "z", 800), ("low", "a", -5), ("high", "m", 800)])
    bed.merge(f"{POLICIES}/high", {"spec": {"suspend": True}})
    eventually(lambda: bed.adjustments("b1") == [])
    bed.delete(f"{POLICIES}/low")
    eventually(lambda: bed.adjustments("a1") == [])


def test_what_the_agents_say_of_an_entry_is_the_policys_state(bed: Bed) -> None:
    bed.node("n1", ready=True)
    bed.node("n2", ready=True)
    bed.policy("p", oomScoreAdjustments=[entry("good"), entry("bad", -900)])
    for name in ("n1", "n2"):
        eventually(lambda name=name: len(bed.adjustments(name)) == 2)  # type: ignore[misc]
    eventually(lambda: bed.status(f"{POLICIES}/p")["nodes"]["pending"] == 2)
    bed.answer("n1")
    bed.answer("n2", bad="Refused")
    eventually(lambda: bed.status(f"{POLICIES}/p")["nodes"]["refused"] == 1)
    status = bed.status(f"{POLICIES}/p")
    assert status["nodes"]["inSync"] == 1
    good, bad = status["oomScoreAdjustments"]
    assert (good["name"], good["nodes"], good["inForce"], good["failed"]) == ("good", 2, 4, 0)
    assert (bad["nodes"], bad["inForce"], bad["failed"]) == (2, 4, 3)
    [example] = status["exampleNodes"]
    assert (example["name"], example["state"]) == ("n2", "Refused")
    assert "oomScoreAdjustments bad: 3 processes" in example["message"]
    assert bed.conditions(f"{POLICIES}/p")["Degraded"] == ("True", "NodesRefused")
    bed.answer("n2")
    eventually(lambda: bed.conditions(f"{POLICIES}/p")["Ready"] == ("True", "InSync"))


def test_nobody_else_adds_an_entry(bed: Bed) -> None:
    bed.node("n")
    bed.policy("p", oomScoreAdjustments=[entry("mine")])
    eventually(lambda: bed.adjustments("n") == [("p", "mine", 800)])
    foreign = entry("theirs", -1000) | {"policy": "mallory"}
    bed.apply(
        f"{OOM_NODES}/n",
        {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMNode",
            "metadata": {"name": "n"},
            "spec": {"oomScoreAdjustments": [foreign]},
        },
        manager="mallory",
    )
    eventually(lambda: bed.adjustments("n") == [("p", "mine", 800)])


def test_the_controller_writes_nothing_once_it_says_what_it_should(bed: Bed, controller: Controller) -> None:
    bed.node("n", ready=True)
    bed.policy("p", oomScoreAdjustments=[entry("a", podSelector={}), entry("b", systemdUnit="a.service")])
    eventually(lambda: len(bed.adjustments("n")) == 2)
    bed.answer("n")
    eventually(lambda: bed.conditions(f"{POLICIES}/p")["Ready"] == ("True", "InSync"))
    version = bed.get(f"{OOM_NODES}/n")["metadata"]["resourceVersion"]
    bed.node("other", ready=True)
    eventually(lambda: len(bed.adjustments("other")) == 2)
    assert bed.get(f"{OOM_NODES}/n")["metadata"]["resourceVersion"] == version
    assert "kept_otherwise" not in controller.log
