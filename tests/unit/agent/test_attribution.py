"""Whose kill was it."""

import pytest

from oomkeeper.agent.attribution import Attribution, attribute
from oomkeeper.agent.pods import Pod
from oomkeeper.model.kill import Kill

from .pod_samples import IDS, UID, kill, pod, running, status, table

PAIR = pod(
    status("app", now=running(), container_id=IDS[0]),
    status("side", now=running(), container_id=IDS[1]),
    containers=("app", "side"),
)


def who(one: Kill, *pods: Pod, node_container: str | None = None) -> Attribution:
    return attribute(one, node="node-a", pods=table(*pods), node_container=node_container)


def test_container_is_found_by_its_id() -> None:
    found = who(kill(IDS[1]), PAIR)
    assert (found.subject.container, found.subject.container_id, found.waiting_for) == ("side", IDS[1], None)
    assert found.subject.pod is PAIR or found.subject.pod_uid == UID


def test_path_may_begin_as_the_machine_of_a_nested_node_has_it() -> None:
    inside = f"/docker/{'9' * 64}/kubelet/kubepods/burstable/pod{UID}/{IDS[0]}"
    assert who(kill(path=inside), PAIR, node_container="9" * 64).subject.container == "app"


@pytest.mark.parametrize(
    "place",
    [
        "/docker/" + "8" * 64,
        "/user.slice/user-1000.slice/user@1000.service",
        f"/kubepods/burstable/pod0a1b2c3d-9999-2222-3333-444455556666/{IDS[5]}",
    ],
)
def test_kill_in_a_tree_that_another_has_made_is_not_the_pods_that_it_names(place: str) -> None:
    forged = kill(path=f"{place}/kubepods/burstable/pod{UID}/{IDS[0]}")
    assert who(forged, PAIR).subject.pod is None
    assert who(forged, PAIR, node_container="9" * 64).subject.pod is None


def test_unpublished_container_id_is_waited_for_unless_there_is_no_choice() -> None:
    assert who(kill(IDS[4]), PAIR).waiting_for == "container"
    alone = who(kill(IDS[4]), pod())
    assert (alone.subject.container, alone.waiting_for) == ("app", None)


def test_sandbox_is_no_container_and_is_not_waited_for() -> None:
    found = who(kill(IDS[4], comm="pause"), pod())
    assert (found.subject.container, found.waiting_for) == (None, None)


def test_pod_that_the_api_has_not_shown_is_waited_for() -> None:
    found = who(kill())
    assert (found.waiting_for, found.subject.pod_uid, found.subject.pod) == ("pod", UID, None)


def test_kill_at_the_pods_own_cgroup_waits_for_the_status_of_the_container_that_it_ended() -> None:
    found = who(kill(None), PAIR)
    assert (found.subject.container, found.waiting_for) == (None, "status")


def test_panic_at_the_pods_own_cgroup_waits_for_no_status() -> None:
    found = who(kill(None)._replace(panic="out of memory"), PAIR)
    assert (found.subject.container, found.waiting_for) == (None, None)


def test_host_process_is_identified_by_its_cgroup() -> None:
    found = who(kill(path="/system.slice/sshd.service"), PAIR)
    assert (found.subject.cgroup, found.subject.pod, found.waiting_for) == (
        "/system.slice/sshd.service",
        None,
        None,
    )
