"""Cordons of nodes that panicked, against the real API server, which keeps who owns spec.unschedulable."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.waiting import eventually

from .controller_harness import (
    NODES,
    OOM_NODES,
    POLICIES,
    Controller,
    Harness,
    harness,
    running_controller,
    stamp,
)

__all__ = ["harness"]

pytestmark = pytest.mark.cluster

KEY, NOTE = "vm.panic_on_oom", "oomkeeper.dev/panic-cordon"


@pytest.fixture
def controller(harness: Harness, tmp_path: Path) -> Iterator[Controller]:
    """Running, and allowed to cordon."""
    with running_controller(harness, tmp_path, "--cordon-nodes") as process:
        yield process


def policy(harness: Harness, *, soak: int) -> None:
    harness.policy(
        "p",
        sysctls={KEY: 1},
        rollout={"soakSeconds": soak},
        panicSafety={
            "acknowledge": ["NodePanic", "KubeletConflict"],
            "maxPanics": 9,
            "cordon": True,
        },
    )


def panicked(harness: Harness, node: str) -> None:
    """The agent reports a panic after the reboot; kubelet, that the node is Ready again."""
    now = stamp(datetime.now(UTC))
    harness.merge(f"{OOM_NODES}/{node}/status", {"status": {"recentPanics": [now]}})
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Test",
        "message": "",
        "lastTransitionTime": now[:19] + "Z",
    }
    harness.merge(f"{NODES}/{node}/status", {"status": {"conditions": [ready]}})


def cordoned(harness: Harness, node: str) -> bool:
    return bool(harness.get(f"{NODES}/{node}")["spec"].get("unschedulable"))


def noted(harness: Harness, node: str) -> bool:
    return NOTE in harness.get(f"{NODES}/{node}")["metadata"].get("annotations", {})


def start(harness: Harness, *nodes: str, soak: int) -> None:
    for name in nodes:
        harness.node(name, ready=True)
    policy(harness, soak=soak)
    for name in nodes:
        eventually(lambda name=name: harness.get(f"{OOM_NODES}/{name}")["spec"]["sysctls"])  # type: ignore[misc]
        harness.answer(name)
    # Panics before the policy was in force do not count.
    since = harness.get(f"{OOM_NODES}/{nodes[0]}")["spec"]["sysctls"][0]["panicLimit"]["countedFrom"]
    eventually(lambda: datetime.now(UTC) > datetime.fromisoformat(since))


def test_cordoned_until_it_was_up_and_a_persons_cordon_stays(
    harness: Harness, controller: Controller
) -> None:
    start(harness, "n1", "n2", soak=20)
    harness.merge(f"{NODES}/n2", {"spec": {"unschedulable": True}})
    for name in ("n1", "n2"):
        panicked(harness, name)
    eventually(lambda: cordoned(harness, "n1"))
    eventually(lambda: noted(harness, "n2"))
    events = eventually(
        lambda: [
            one
            for one in harness.list("/api/v1/namespaces/default/events")
            if one["reason"] == "NodeCordoned"
        ]
    )
    assert [one["involvedObject"]["name"] for one in events] == ["n1"]
    controller.kill()  # whose cordon it is, is in the Node
    controller.start()
    eventually(lambda: not cordoned(harness, "n1"), seconds=90)
    assert cordoned(harness, "n2")
    assert noted(harness, "n1"), "so that the same panic cordons no second time"


def test_uncordoned_by_a_person_stays_so_and_a_cordon_of_theirs_outlives_ours(
    harness: Harness, controller: Controller
) -> None:
    start(harness, "n1", "n2", soak=3600)
    for name in ("n1", "n2"):
        panicked(harness, name)
        eventually(lambda name=name: cordoned(harness, name))  # type: ignore[misc]
    # n1: uncordoned by a person. n2: uncordoned and cordoned again, which is theirs from then on.
    harness.plane.kubectl("uncordon", "n1")
    harness.plane.kubectl("uncordon", "n2")
    harness.plane.kubectl("cordon", "n2")
    harness.delete(f"{POLICIES}/p")  # which ends cordons of the controller
    eventually(lambda: not harness.sysctls("n1"))
    harness.node("n3", ready=True)  # seen, so the deletion was too
    eventually(lambda: harness.find(f"{OOM_NODES}/n3"))
    assert not cordoned(harness, "n1")
    assert cordoned(harness, "n2")
    assert controller.running


def test_cordon_ends_with_its_policy(harness: Harness, controller: Controller) -> None:
    start(harness, "n1", soak=3600)
    panicked(harness, "n1")
    eventually(lambda: cordoned(harness, "n1"))
    harness.delete(f"{POLICIES}/p")
    eventually(lambda: not cordoned(harness, "n1"))
    assert controller.running
