"""oom_score_adj entries of policies into OOMNodes, and the agents' answers into the policies' statuses,
against the real API server; the tests play the agents."""

import pytest

from tests.waiting import eventually

from .controller_harness import OOM_NODES, POLICIES, Controller, Harness, Json, controller, harness

__all__ = ["controller", "harness"]

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("controller")]


def entry(name: str, value: int = 800, **target: Json) -> Json:
    return {"name": name, "value": value, **(target or {"podSelector": {"matchLabels": {"tier": "batch"}}})}


def test_entries_reach_selected_nodes_by_precedence_and_leave_with_the_policy(
    harness: Harness,
) -> None:
    harness.node("a1", ready=True, pool="a")
    harness.node("b1", ready=True, pool="b")
    whole = entry("z", podSelector={}, namespaceSelector={"matchLabels": {"team": "x"}}) | {
        "containers": ["app"]
    }
    selector = {"matchLabels": {"pool": "a"}}
    harness.policy("low", priority=1, nodeSelector=selector, oomScoreAdjustments=[whole, entry("a", -5)])
    harness.policy(
        "high", priority=2, onRelease="Keep", oomScoreAdjustments=[entry("m", process={"comm": "x"})]
    )
    eventually(lambda: harness.adjustments("a1") == [("high", "m", 800), ("low", "z", 800), ("low", "a", -5)])
    eventually(lambda: harness.adjustments("b1") == [("high", "m", 800)])
    [first, second, _] = harness.get(f"{OOM_NODES}/a1")["spec"]["oomScoreAdjustments"]
    assert first["process"] == {"comm": "x"}
    assert (first["mode"], first["onRelease"]) == ("Enforce", "Keep")
    assert second == whole | {
        "podSelector": {"matchLabels": {}},
        "policy": "low",
        "mode": "Enforce",
        "onRelease": "Restore",
    }

    # A new order is a new precedence: it must not stay as it was.
    harness.merge(f"{POLICIES}/low", {"spec": {"priority": 3}})
    eventually(lambda: harness.adjustments("a1") == [("low", "z", 800), ("low", "a", -5), ("high", "m", 800)])
    harness.merge(f"{POLICIES}/high", {"spec": {"suspend": True}})
    eventually(lambda: harness.adjustments("b1") == [])
    harness.delete(f"{POLICIES}/low")
    eventually(lambda: harness.adjustments("a1") == [])


def test_entry_reports_determine_the_policys_state(harness: Harness) -> None:
    harness.node("n1", ready=True)
    harness.node("n2", ready=True)
    harness.policy("p", oomScoreAdjustments=[entry("good"), entry("bad", -900)])
    for name in ("n1", "n2"):
        eventually(lambda name=name: len(harness.adjustments(name)) == 2)  # type: ignore[misc]
    eventually(lambda: harness.status(f"{POLICIES}/p")["nodes"]["pending"] == 2)
    harness.answer("n1")
    harness.answer("n2", bad="Refused")
    eventually(lambda: harness.status(f"{POLICIES}/p")["nodes"]["refused"] == 1)
    status = harness.status(f"{POLICIES}/p")
    assert status["nodes"]["inSync"] == 1
    good, bad = status["oomScoreAdjustments"]
    assert (good["name"], good["nodes"], good["inForce"], good["failed"]) == ("good", 2, 4, 0)
    assert (bad["nodes"], bad["inForce"], bad["failed"]) == (2, 4, 3)
    [example] = status["exampleNodes"]
    assert (example["name"], example["state"]) == ("n2", "Refused")
    assert "oomScoreAdjustments bad: 3 processes" in example["message"]
    assert harness.conditions(f"{POLICIES}/p")["Degraded"] == ("True", "NodesRefused")
    harness.answer("n2")
    eventually(lambda: harness.conditions(f"{POLICIES}/p")["Ready"] == ("True", "InSync"))


def test_foreign_entry_is_removed(harness: Harness) -> None:
    harness.node("n")
    harness.policy("p", oomScoreAdjustments=[entry("mine")])
    eventually(lambda: harness.adjustments("n") == [("p", "mine", 800)])
    foreign = entry("theirs", -1000) | {"policy": "mallory"}
    harness.apply(
        f"{OOM_NODES}/n",
        {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMNode",
            "metadata": {"name": "n"},
            "spec": {"oomScoreAdjustments": [foreign]},
        },
        manager="mallory",
    )
    eventually(lambda: harness.adjustments("n") == [("p", "mine", 800)])


def test_unchanged_oomnode_is_not_rewritten(harness: Harness, controller: Controller) -> None:
    harness.node("n", ready=True)
    harness.policy("p", oomScoreAdjustments=[entry("a", podSelector={}), entry("b", systemdUnit="a.service")])
    eventually(lambda: len(harness.adjustments("n")) == 2)
    harness.answer("n")
    eventually(lambda: harness.conditions(f"{POLICIES}/p")["Ready"] == ("True", "InSync"))
    version = harness.get(f"{OOM_NODES}/n")["metadata"]["resourceVersion"]
    harness.node("other", ready=True)
    eventually(lambda: len(harness.adjustments("other")) == 2)
    assert harness.get(f"{OOM_NODES}/n")["metadata"]["resourceVersion"] == version
    assert "write not kept" not in controller.log
