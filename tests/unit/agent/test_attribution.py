"""Whose kill was it."""

from oomkeeper.agent.attribution import attribute

from .pod_samples import IDS, UID, kill, pod, running, status, table

PAIR = pod(
    status("app", now=running(), container_id=IDS[0]),
    status("side", now=running(), container_id=IDS[1]),
    containers=("app", "side"),
)


def who(one, *pods):
    return attribute(one, node="node-a", pods=table(*pods))


def test_a_container_is_found_by_its_id() -> None:
    found = who(kill(IDS[1]), PAIR)
    assert (found.subject.container, found.subject.container_id, found.waiting_for) == ("side", IDS[1], None)
    assert found.subject.pod is PAIR or found.subject.pod_uid == UID


def test_the_path_may_begin_as_the_host_of_a_nested_node_sees_it() -> None:
    inside = f"/docker/{'9' * 64}/kubelet/kubepods/burstable/pod{UID}/{IDS[0]}"
    assert who(kill(path=inside), PAIR).subject.container == "app"


def test_an_id_that_kubelet_has_not_published_is_waited_for_unless_there_is_no_choice() -> None:
    assert who(kill(IDS[4]), PAIR).waiting_for == "container"
    alone = who(kill(IDS[4]), pod())
    assert (alone.subject.container, alone.waiting_for) == ("app", None)


def test_the_sandbox_is_no_container_and_is_not_waited_for() -> None:
    found = who(kill(IDS[4], comm="pause"), pod())
    assert (found.subject.container, found.waiting_for) == (None, None)


def test_a_pod_that_the_api_has_not_shown_is_waited_for() -> None:
    found = who(kill())
    assert (found.waiting_for, found.subject.pod_uid, found.subject.pod) == ("pod", UID, None)


def test_a_kill_at_the_pods_own_cgroup_has_no_container() -> None:
    found = who(kill(None), PAIR)
    assert (found.subject.container, found.waiting_for) == (None, None)


def test_a_process_of_the_host_is_known_by_its_cgroup() -> None:
    found = who(kill(path="/system.slice/sshd.service"), PAIR)
    assert (found.subject.cgroup, found.subject.pod, found.waiting_for) == (
        "/system.slice/sshd.service",
        None,
        None,
    )
