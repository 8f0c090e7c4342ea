"""Kills of pods whose runtime keeps the processes of all containers in a sandbox: gVisor and Kata."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.incidents import status_of
from oomkeeper.agent.late_attribution import OTHERS_SECONDS, PATIENCE_SECONDS
from oomkeeper.agent.messages import PodChanged, PodsListed
from oomkeeper.agent.pods import Pod
from oomkeeper.model.times import format_time
from oomkeeper.resources.oomincident import OOMIncident, OOMIncidentStatus

from .loop_harness import LoopHarness
from .pod_samples import IDS, UID, Json, ended, parse_pod, pod_object, running, status

POD_CGROUP = f"/kubepods/burstable/pod{UID}"
SANDBOX_CGROUP = f"{POD_CGROUP}/{'9' * 64}"
"""Named after the sandbox, as runsc does; no status has this id."""
PAIR = ("app", "side")


class SandboxNode(LoopHarness):
    """A node with one pod of runtime class `gvisor`, and a kernel log of the test's."""

    runtime_class: str | None = "gvisor"
    names: tuple[str, ...] = PAIR

    def pod(self, *statuses: Json) -> Pod:
        obj = pod_object(*statuses, containers=self.names)
        obj["spec"]["runtimeClassName"] = self.runtime_class
        return parse_pod(obj)

    def start_pod(self, *names: str) -> None:
        self.names = names or PAIR
        alive = [status(name, now=running(), container_id=IDS[n]) for n, name in enumerate(self.names)]
        self.loop.post(PodsListed([self.pod(*alive)]))
        self.pass_seconds(1)

    def oom(self, cgroup: str, *, pid: int = 4711) -> None:
        self.log.kill(cgroup, pid=pid, usec=int(self.now * 1e6))
        self.pass_seconds(1)

    def end(self, *reasons: str | None) -> None:
        """kubelet reports how each container ended; None for one that runs."""
        at = format_time(self.wall)
        statuses = [
            status(
                name,
                now=running() if reason is None else ended(IDS[n], reason=reason, at=at),
                container_id=IDS[n],
            )
            for n, (name, reason) in enumerate(zip(self.names, reasons, strict=True))
        ]
        self.loop.post(PodChanged(self.pod(*statuses), deleted=False))
        self.pass_seconds(1)

    @property
    def incidents(self) -> list[OOMIncident]:
        return [incident for _, incident in self.store.incidents()]

    @property
    def found(self) -> list[tuple[str | None, str, int | None, str | None]]:
        """Container, cause, count and visibility of each incident."""
        return [
            (one.spec.container, one.spec.cause, status_of(one).count, status_of(one).visibility)
            for one in self.incidents
        ]

    @property
    def only(self) -> OOMIncidentStatus:
        [one] = self.incidents
        return status_of(one)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SandboxNode]:
    made = SandboxNode(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize("cgroup", [POD_CGROUP, SANDBOX_CGROUP])
@pytest.mark.parametrize(("reason", "visibility"), [("OOMKilled", "Reported"), ("Error", "Invisible")])
def test_kill_in_a_sandbox_is_one_incident_of_the_container_that_ended(
    node: SandboxNode, cgroup: str, reason: str, visibility: str
) -> None:
    node.start_pod()
    node.oom(cgroup)
    node.end(reason, None)
    node.pass_seconds(90)
    [(container, _, count, seen)] = node.found
    assert (container, count, seen) == ("app", 1, visibility)
    assert node.only.evidence is not None
    assert (node.only.evidence.reason, node.only.evidence.exit_code) == (reason, 137)
    assert any("ended at the same time" in one for one in node.only.uncertain)
    assert node.only.confidence == "Medium"


def test_status_may_come_before_the_kernels_record(node: SandboxNode) -> None:
    node.start_pod()
    node.end("OOMKilled", None)
    node.oom(POD_CGROUP)
    node.pass_seconds(90)
    assert node.found == [("app", "PodLimit", 1, "Reported")]


def test_kill_that_ends_all_containers_of_a_sandbox_stays_with_the_pod(node: SandboxNode) -> None:
    node.start_pod()
    node.oom(POD_CGROUP)
    node.end("OOMKilled", None)
    node.pass_seconds(OTHERS_SECONDS - 2)
    node.end("OOMKilled", "OOMKilled")
    node.pass_seconds(90)
    assert node.found == [(None, "PodLimit", 1, "Reported")]


@pytest.mark.parametrize("cgroup", [POD_CGROUP, SANDBOX_CGROUP])
def test_kill_of_a_sandbox_with_one_container_is_one_incident(node: SandboxNode, cgroup: str) -> None:
    node.start_pod("app")
    node.oom(cgroup)
    node.end("OOMKilled")
    node.pass_seconds(90)
    [(container, _, count, seen)] = node.found
    assert (container, count, seen) == ("app", 1, "Reported")


def test_two_processes_of_one_sandbox_are_two_kills_of_one_incident(node: SandboxNode) -> None:
    node.start_pod()
    node.oom(POD_CGROUP, pid=100)
    node.oom(POD_CGROUP, pid=101)
    node.end("OOMKilled", None)
    node.pass_seconds(90)
    assert node.found == [("app", "PodLimit", 2, "Reported")]


def test_unknown_id_without_a_runtime_class_waits_for_the_status_that_has_it(node: SandboxNode) -> None:
    node.runtime_class = None
    node.start_pod()
    node.oom(f"{POD_CGROUP}/{IDS[2]}")
    node.end("Error", None)  # SIGKILL at the same moment, for another reason
    node.pass_seconds(20)
    assert node.found == []
    at = format_time(node.wall)
    restarted = status("side", now=running(), container_id=IDS[2], last=ended(IDS[1], reason="Error", at=at))
    node.loop.post(PodChanged(node.pod(restarted), deleted=False))
    node.pass_seconds(90)
    assert node.found == [("side", "ContainerLimit", 1, "Invisible")]


def test_container_killed_in_its_own_cgroup_is_not_named_for_another_kill(node: SandboxNode) -> None:
    node.start_pod()
    node.oom(f"{POD_CGROUP}/{IDS[0]}", pid=100)
    node.oom(POD_CGROUP, pid=101)
    node.end("OOMKilled", None)
    node.pass_seconds(90)
    assert sorted((container or "", count) for container, _, count, _ in node.found) == [("", 1), ("app", 1)]


def test_container_that_ended_at_another_time_is_not_named(node: SandboxNode) -> None:
    node.start_pod()
    node.end("OOMKilled", None)
    node.pass_seconds(20)
    node.oom(POD_CGROUP)
    node.pass_seconds(90)
    assert sorted((container or "", cause) for container, cause, *_ in node.found) == [
        ("", "PodLimit"),
        ("app", "Unknown"),
    ]


def test_kill_in_the_pods_cgroup_that_ends_no_container_is_counted_for_the_pod(node: SandboxNode) -> None:
    node.start_pod()
    node.oom(POD_CGROUP)
    node.pass_seconds(PATIENCE_SECONDS["status"] + 3)
    assert node.found == [(None, "PodLimit", 1, "Invisible")]


def test_restart_of_the_agent_counts_neither_kill_nor_status_again(node: SandboxNode) -> None:
    node.start_pod()
    node.oom(POD_CGROUP)
    node.end("OOMKilled", "OOMKilled")
    node.restart()
    node.loop.post(PodsListed(list(node.store.pods())))
    node.pass_seconds(90)
    assert node.found == [(None, "PodLimit", 1, "Reported")]
    node.restart()
    node.loop.post(PodsListed(list(node.store.pods())))
    node.pass_seconds(90)
    assert node.found == [(None, "PodLimit", 1, "Reported")]


def test_oomkilled_status_of_a_virtual_machine_names_its_runtime_class(node: SandboxNode) -> None:
    node.runtime_class = "kata-qemu"
    node.start_pod("app")
    node.end("OOMKilled")
    node.pass_seconds(10)
    assert node.found == [("app", "Unknown", 1, "ReportedOnly")]
    assert node.only.summary == (
        "Container app of pod shop/web-1 (runtime class kata-qemu) ended OOMKilled (exit code 137), as "
        "kubelet reports; it ran in a virtual machine: the guest's kernel, whose log this node cannot read, "
        "killed it."
    )
    assert "kata-runtime exec" in node.only.uncertain[0]
    assert node.only.uncertain[1] == "What runtime class kata-qemu does is taken from its name."


@pytest.mark.parametrize("runtime_class", ["gvisor", "nvidia", None])
def test_oomkilled_status_without_a_virtual_machine_claims_none(
    node: SandboxNode, runtime_class: str | None
) -> None:
    node.runtime_class = runtime_class
    node.start_pod("app")
    node.end("OOMKilled")
    node.pass_seconds(10)
    assert "virtual machine" not in (node.only.summary or "")
    assert (runtime_class or "kubelet reports") in (node.only.summary or "")


def test_error_without_proof_of_an_oom_kill_is_no_incident(node: SandboxNode) -> None:
    node.runtime_class = "kata"
    node.start_pod("app")
    node.end("Error")
    node.pass_seconds(30)
    assert node.found == []


def test_hostile_runtime_class_is_shortened_and_escaped(node: SandboxNode) -> None:
    node.runtime_class = "kata\x1b[2J" + "x" * 5000
    node.start_pod("app")
    node.end("OOMKilled")
    node.pass_seconds(10)
    assert "\x1b" not in (node.only.summary or "")
    assert len(node.only.summary or "") < 1024
