"""Kills of pods that are resized in place: what the incident says of spec, status and cgroup."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.incidents import status_of
from oomkeeper.agent.messages import PodChanged, PodsListed
from oomkeeper.agent.pods import Pod
from oomkeeper.resources.oomincident import OOMIncidentStatus
from oomkeeper.resources.record import to_document

from .loop_harness import LoopHarness
from .pod_samples import IDS, UID, Json, parse_pod, pod_object, running, status

MIB = 1 << 20
POD_CGROUP = f"/kubepods/burstable/pod{UID}"
CONTAINER_CGROUP = f"{POD_CGROUP}/{IDS[0]}"
IN_FORCE = "48Mi"
"""The limit in every report of the test's kernel log."""


class ResizedNode(LoopHarness):
    """A node with one pod, whose limits change."""

    def resize(self, spec: str, *, in_force: str | None = None, listed: bool = False) -> None:
        """The API server has another limit in the spec, and kubelet reports one in force."""
        changed = pod(spec, in_force)
        self.loop.post(PodsListed([changed]) if listed else PodChanged(changed, deleted=False))
        self.pass_seconds(1)

    def oom(self, cgroup: str = CONTAINER_CGROUP) -> None:
        self.log.kill(cgroup, usec=int(self.now * 1e6))
        self.pass_seconds(1)

    @property
    def summary(self) -> str:
        return self.incident.summary or ""

    @property
    def incident(self) -> OOMIncidentStatus:
        [(_, incident)] = self.store.incidents()
        return status_of(incident)

    @property
    def limits(self) -> tuple[int | None, int | None, int | None]:
        """Limit reached, in the spec, and reported in force, in MiB."""
        [(_, incident)] = self.store.incidents()
        evidence: Json = to_document(incident)["status"]["evidence"]
        names = ("limitBytes", "specLimitBytes", "statusLimitBytes")
        return tuple(evidence[name] >> 20 if name in evidence else None for name in names)  # type: ignore[return-value]


def pod(spec: str, in_force: str | None) -> Pod:
    one = status("app", now=running(), container_id=IDS[0])
    if in_force is not None:
        one["resources"] = {"limits": {"memory": in_force}}
    obj = pod_object(one)
    obj["spec"]["containers"][0]["resources"]["limits"]["memory"] = spec
    return parse_pod(obj)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ResizedNode]:
    made = ResizedNode(tmp_path)
    made.resize(IN_FORCE, in_force=IN_FORCE, listed=True)
    yield made
    made.store.close()


def test_container_that_kubelet_has_not_resized_is_named(node: ResizedNode) -> None:
    node.resize("128Mi", in_force=IN_FORCE)
    node.oom()
    assert node.limits == (48, 128, 48)
    assert "the spec says 128 MiB: the container's cgroup did not have it yet" in (
        node.incident.summary or ""
    )
    assert all("raise" not in one.message for one in node.incident.advice)


def test_pods_cgroup_that_kubelet_has_not_resized_is_named(node: ResizedNode) -> None:
    node.resize("128Mi", in_force="128Mi")
    node.oom(POD_CGROUP)
    node.pass_seconds(20)
    assert node.limits == (48, 128, 128)
    assert "the spec says 128 MiB: the pod's cgroup did not have it yet" in node.summary


def test_limit_raised_after_the_kill_is_not_in_the_incident(node: ResizedNode) -> None:
    node.oom(POD_CGROUP)
    node.pass_seconds(8)
    assert not node.kinds()  # waits for the status of a container
    node.resize("128Mi", in_force="128Mi")
    node.pass_seconds(20)
    assert "although" not in node.summary
    assert node.limits[:2] == (48, 48)


def test_limit_lowered_shortly_before_the_kill_is_named_after_a_restart_too(node: ResizedNode) -> None:
    node.resize("128Mi", in_force="128Mi")
    node.resize(IN_FORCE, in_force=IN_FORCE)
    node.restart()
    node.resize(IN_FORCE, in_force=IN_FORCE, listed=True)
    node.oom()
    assert "shortly after the spec lowered it from 128 MiB" in node.summary


def test_quantity_of_hostile_size_does_not_stop_the_loop(node: ResizedNode) -> None:
    node.resize("9" * 60, in_force="9" * 5000)
    node.oom()
    assert node.limits == (48, (1 << 63) - 1 >> 20, None)
