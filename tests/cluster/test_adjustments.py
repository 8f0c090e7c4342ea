"""oom_score_adj on a real node: from a policy to the processes of real containers, and back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.kernel.oomscore import CAP_SYS_RESOURCE, has_capability
from tests.testbed import NativeNode
from tests.waiting import eventually

from .agent_harness import Agent, container, incidents, namespace, node_status, pod
from .controller_harness import POLICIES, Harness, Json
from .test_main_job import agent, create, harness, pytestmark, space

__all__ = ["agent", "harness", "pytestmark", "space"]

FORKS = "sleep 100000 & while true; do sleep 100000 & wait $!; done"
IDLE = "while true; do sleep 100000; done"
IDLE_PROCESSES = 2
BATCH = {"tier": "batch"}


def selector(**labels: str) -> Json:
    return {"matchLabels": labels}


def batch(space: str, **more: object) -> Json:
    """An entry about the batch pods of one namespace."""
    here = selector(**{"kubernetes.io/metadata.name": space})
    return {"podSelector": selector(tier="batch"), "namespaceSelector": here, **more}


def adj(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def adjs(pids: list[int]) -> set[int]:
    """Values of those that still run."""
    found = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.add(adj(pid))
    return found


def pids_where(*parts: str, without: tuple[str, ...] = ()) -> list[int]:
    """Processes whose memory cgroup has all of these in its path."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        paths = [line for line in lines if ":memory:" in line] or lines
        if any(all(part in path for part in parts) for path in paths) and not any(
            part in path for part in without for path in paths
        ):
            found.append(int(file.parent.name))
    return sorted(found)


class Pod:
    """One running pod and its processes."""

    def __init__(self, harness: Harness, space: str, name: str) -> None:
        obj = harness.get(f"/api/v1/namespaces/{space}/pods/{name}")
        self._uid = obj["metadata"]["uid"]
        self._ids = {
            one["name"]: one["containerID"].rpartition("/")[2] for one in obj["status"]["containerStatuses"]
        }

    def pids(self, container: str) -> list[int]:
        return pids_where(self._ids[container])

    @property
    def pause(self) -> list[int]:
        return pids_where(self._uid, without=tuple(self._ids.values()))


def ready(node: NativeNode, harness: Harness, space: str, obj: Json) -> Pod:
    create(node, space, obj)
    name = obj["metadata"]["name"]
    node.kubectl("-n", space, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    return Pod(harness, space, name)


def entry(harness: Harness, node: NativeNode, name: str) -> Json:
    """What the agent says of one entry. Raises KeyError while it says nothing."""
    found = {one["name"]: one for one in node_status(harness, node.name).get("oomScoreAdjustments", [])}
    return found[name]


@pytest.fixture
def policy(harness: Harness) -> Iterator[str]:
    """Name of a policy that is gone afterwards, with all that it did."""
    yield "adjusts"
    if harness.find(f"{POLICIES}/adjusts"):
        harness.delete(f"{POLICIES}/adjusts")


def test_containers_get_the_value_at_start_and_lose_it_when_the_policy_is_deleted(
    native_node: NativeNode,
    harness: Harness,
    agent: Agent,
    space: str,
    policy: str,
    request: pytest.FixtureRequest,
) -> None:
    harness.merge(f"/api/v1/namespaces/{space}", {"metadata": {"labels": {"team": "night"}}})
    outside = namespace(native_node.control_plane, f"{space}-not")
    request.addfinalizer(
        lambda: native_node.kubectl("-n", outside, "delete", "pod", "--all", "--grace-period=0", "--force")
    )
    early = ready(
        native_node,
        harness,
        space,
        pod("early", container("app", FORKS), container("side", IDLE), labels=BATCH),
    )
    unlabelled = ready(native_node, harness, space, pod("unlabelled", container("app", IDLE)))
    elsewhere = ready(native_node, harness, outside, pod("elsewhere", container("app", IDLE), labels=BATCH))
    before = adj(early.pids("app")[0])
    assert before not in (800, 700)
    others = early.pids("side") + early.pause + unlabelled.pids("app") + elsewhere.pids("app")
    found = {pid: adj(pid) for pid in others}
    assert early.pause

    rule = {
        "name": "batch",
        "podSelector": selector(tier="batch"),
        "namespaceSelector": selector(team="night"),
        "containers": ["app"],
        "value": 800,
    }
    harness.policy(policy, oomScoreAdjustments=[rule])
    eventually(lambda: adjs(early.pids("app")) == {800} and len(early.pids("app")) > 1)
    assert {pid: adj(pid) for pid in others} == found

    late = ready(native_node, harness, space, pod("late", container("app", FORKS), labels=BATCH))
    eventually(lambda: adjs(late.pids("app")) == {800})
    # A process that joins later has kubelet's value at first.
    native_node.kubectl("-n", space, "exec", "late", "--", "sh", "-c", "sleep 12345 >/dev/null 2>&1 &")
    eventually(lambda: adjs(late.pids("app")) == {800} and len(late.pids("app")) >= 3)

    said = eventually(lambda: (one := entry(harness, native_node, "batch"))["pods"] == 2 and one)
    assert (said["state"], said["policy"], said["value"]) == ("InSync", policy, 800)
    assert said["inForce"] >= 2

    # The policy has been in sync since the first pod; its totals follow the agent's later words.
    def totals() -> tuple[int, int, int]:
        [total] = harness.status(f"{POLICIES}/{policy}")["oomScoreAdjustments"]
        return total["nodes"], total["pods"], total["failed"]

    eventually(lambda: totals() == (1, 2, 0))
    eventually(lambda: harness.conditions(f"{POLICIES}/{policy}")["Ready"] == ("True", "InSync"))

    harness.policy(policy, oomScoreAdjustments=[rule | {"value": 700}])
    eventually(lambda: adjs(early.pids("app") + late.pids("app")) == {700})

    # The agent dies, children are born with the value, the policy goes, and the agent comes back.
    agent.kill()
    born_before = early.pids("app")
    os.kill(born_before[-1], signal.SIGKILL)
    [child] = eventually(lambda: set(early.pids("app")) - set(born_before))
    assert adj(child) == 700
    harness.delete(f"{POLICIES}/{policy}")
    agent.start()
    eventually(lambda: adjs(early.pids("app") + late.pids("app")) == {before})
    assert {pid: adj(pid) for pid in others} == found
    eventually(lambda: "oomScoreAdjustments" not in node_status(harness, native_node.name))


def test_removed_label_and_audit_mode_restore_the_value(
    native_node: NativeNode, harness: Harness, space: str, policy: str
) -> None:
    one = ready(native_node, harness, space, pod("one", container("app", IDLE), labels=BATCH))
    before = adjs(one.pids("app"))
    rule = batch(space, name="batch", value=800)
    harness.policy(policy, oomScoreAdjustments=[rule])
    eventually(lambda: adjs(one.pids("app")) == {800})
    native_node.kubectl("-n", space, "label", "pod", "one", "tier-")
    eventually(lambda: adjs(one.pids("app")) == before)
    native_node.kubectl("-n", space, "label", "pod", "one", "tier=batch")
    eventually(lambda: adjs(one.pids("app")) == {800})

    harness.policy(policy, mode="Audit", oomScoreAdjustments=[rule])
    eventually(lambda: adjs(one.pids("app")) == before)

    def audited() -> int:
        said = entry(harness, native_node, "batch")
        assert said["state"] == "Audited"
        return int(said["differing"])

    eventually(lambda: audited() == len(one.pids("app")))
    eventually(lambda: harness.status(f"{POLICIES}/{policy}")["nodes"]["drifted"] == 1)
    assert harness.conditions(f"{POLICIES}/{policy}")["Degraded"] == ("False", "AsExpected")


def holds(mebibytes: int) -> str:
    """A script whose `tail` holds so much memory, and waits."""
    return f"(head -c {mebibytes}m /dev/zero; sleep 100000) | tail"


def test_at_pod_limit_kernel_kills_container_with_raised_score_although_another_is_larger(
    native_node: NativeNode, harness: Harness, space: str, policy: str
) -> None:
    harness.policy(
        policy,
        oomScoreAdjustments=[
            batch(space, name="first", containers=["small"], value=1000),
            batch(space, name="rest", value=10),
        ],
    )
    obj = pod(
        "three",
        container("large", holds(20), limit=None),
        container("small", holds(4), limit=None),
        container("grows", "until [ -e /tmp/go ]; do sleep 1; done; tail /dev/zero", limit=None),
        labels=BATCH,
    )
    obj["spec"]["resources"] = {"limits": {"memory": "64Mi"}}
    three = ready(native_node, harness, space, obj)
    eventually(lambda: adjs(three.pids("small")) == {1000})
    eventually(lambda: adjs(three.pids("large") + three.pids("grows")) == {10})
    eventually(lambda: entry(harness, native_node, "rest").get("overridden"))
    assert entry(harness, native_node, "rest")["overriddenBy"] == f"{policy}/first"
    native_node.kubectl("-n", space, "exec", "three", "-c", "grows", "--", "touch", "/tmp/go")

    # Both kills come within moments, and their incidents are published in any order.
    def killed() -> list[Json]:
        found = incidents(harness, space)
        assert {one["spec"]["container"] for one in found if "status" in one} >= {"small", "grows"}
        return found

    first = min(eventually(killed), key=lambda one: one["status"]["firstSeen"])
    assert first["spec"]["container"] == "small"
    assert first["status"]["cause"] == "PodLimit"


def test_comm_selects_host_processes_but_no_process_in_a_pod(
    native_node: NativeNode, harness: Harness, space: str, policy: str, tmp_path: Path
) -> None:
    program = tmp_path / "oomk-adj-host"
    program.write_bytes(Path("/bin/sleep").resolve().read_bytes())
    program.chmod(0o755)
    script = "echo -n oomk-adj-host > /proc/self/comm; while true; do sleep 100000; done"
    inside = ready(native_node, harness, space, pod("impostor", container("app", script)))
    eventually(lambda: len(inside.pids("app")) == IDLE_PROCESSES)
    eventually(
        lambda: "oomk-adj-host\n" in {Path(f"/proc/{pid}/comm").read_text() for pid in inside.pids("app")},
        also=(OSError,),
    )
    found = {pid: adj(pid) for pid in inside.pids("app")}
    running = subprocess.Popen([str(program), "1000"])
    try:
        before = adj(running.pid)
        rule = {"name": "host", "process": {"comm": "oomk-adj-host"}, "value": 650}
        harness.policy(policy, oomScoreAdjustments=[rule])
        eventually(lambda: adj(running.pid) == 650)
        assert {pid: adj(pid) for pid in inside.pids("app")} == found
        harness.delete(f"{POLICIES}/{policy}")
        eventually(lambda: adj(running.pid) == before)
    finally:
        running.kill()
        running.wait()


@pytest.mark.skipif(has_capability(CAP_SYS_RESOURCE), reason="the agent may write any value here")
def test_missing_capability_is_reported_in_every_status(
    native_node: NativeNode, harness: Harness, space: str, policy: str
) -> None:
    one = ready(native_node, harness, space, pod("one", container("app", IDLE), labels=BATCH))
    # The agent shows counts that alone have changed minutes later.
    eventually(lambda: len(one.pids("app")) == IDLE_PROCESSES)
    before = adjs(one.pids("app"))
    rule = batch(space, name="never", value=-900)
    harness.policy(policy, oomScoreAdjustments=[rule])
    said = eventually(lambda: (e := entry(harness, native_node, "never"))["state"] == "Refused" and e)
    assert said["reason"] == "NeedsCapSysResource"
    assert said["failed"] == len(one.pids("app"))
    assert adjs(one.pids("app")) == before
    eventually(lambda: harness.conditions(f"{POLICIES}/{policy}")["Degraded"] == ("True", "NodesRefused"))
    message = harness.status(f"{POLICIES}/{policy}")["exampleNodes"][0]["message"]
    assert "never" in message
    assert "CAP_SYS_RESOURCE" in message
