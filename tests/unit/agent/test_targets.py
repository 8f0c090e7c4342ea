"""Which processes an entry names: pods by labels, namespace and container; units and comms of the host
alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent.oomscoreadj.targets import LOST_SECONDS, NamespaceLabels, Target, Targets
from oomkeeper.agent.pods import PodTable
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.members import HostProcesses
from oomkeeper.resources.oomnode import DesiredAdjustment

from .adjust_harness import Clock, Tree, rule
from .pod_samples import IDS, UID, parse_pod, pod, pod_object, running, status, table

_UID = UID.replace("-", "_")
OTHER_UID = "0a1b2c3d-9999-2222-3333-444455556666"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "cgroup")


def targets(
    tree: Tree,
    pods: PodTable | None = None,
    *,
    namespaces: NamespaceLabels = lambda _name: None,
    proc: Path = Path("/nonexistent"),
    clock: Clock | None = None,
) -> Targets:
    return Targets(
        hierarchy=CgroupHierarchy(mount=tree.root, version=2, proc=proc),
        cgroup_root=tree.root,
        pods=pods,
        proc=proc,
        namespaces=namespaces,
        clock=clock or Clock(),
    )


def pids(target: Target) -> set[int]:
    return {pid for group in target.groups for pid in group}


def find(where: Targets, one: DesiredAdjustment, *, host: bool = True) -> Target:
    [target] = where.find([one], host=host)
    return target


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/burstable/pod{UID}/{IDS[0]}",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID}.slice"
        f"/cri-containerd-{IDS[0]}.scope",
        f"/kubepods.slice/kubepods-pod{_UID}.slice/crio-{IDS[0]}.scope",
        f"/system.slice/containerd.service/kubepods-burstable-pod{_UID}.slice:cri-containerd:{IDS[0]}",
        f"/kubelet/kubepods/besteffort/pod{UID}/{IDS[0]}",
        f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{_UID}.slice"
        f"/cri-containerd-{IDS[0]}.scope",
    ],
)
def test_container_is_found_under_every_driver_with_all_below_it(tree: Tree, path: str) -> None:
    tree.put(path, 11)
    tree.put(f"{path}/container/deeper", 12)
    tree.put(path.replace(IDS[0], IDS[1]), 13)
    tree.put("/system.slice/cron.service", 14)
    where = targets(tree, table(pod(status("app", now=running(), container_id=IDS[0]))))
    assert pids(find(where, rule(800))) == {11, 12}


def test_monitor_of_a_container_is_not_the_container(tree: Tree) -> None:
    slice_ = f"/kubepods.slice/kubepods-pod{_UID}.slice"
    tree.put(f"{slice_}/crio-conmon-{IDS[0]}.scope", 11)
    tree.put(f"{slice_}/crio-{IDS[0]}.scope", 12)
    where = targets(tree, table(pod(status("app", now=running(), container_id=IDS[0]))))
    assert pids(find(where, rule(800))) == {12}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, {1, 2, 3}),
        ({"podSelector": {"matchLabels": {"app": "web"}}}, {1, 2}),
        ({"podSelector": {"matchLabels": {"app": "none"}}}, set()),
        ({"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}]}}, {3}),
        (
            {"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}},
            {1, 2},
        ),
        ({"podSelector": {"matchExpressions": [{"key": "new", "operator": "DoesNotExist"}]}}, {1, 2, 3}),
        (
            {"podSelector": {"matchExpressions": [{"key": "new", "operator": "NotIn", "values": ["a"]}]}},
            {1, 2, 3},
        ),
        ({"containers": ["side"]}, {2}),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, {3}),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}, {1, 2}),
        ({"namespaceSelector": {}}, {1, 2, 3}),
    ],
)
def test_pods_are_chosen_by_labels_namespace_and_container(
    tree: Tree, fields: dict[str, Any], named: set[int]
) -> None:
    pods = table(
        pod(
            status("app", now=running(), container_id=IDS[0]),
            status("side", now=running(), container_id=IDS[1]),
            containers=("app", "side"),
            labels={"app": "web"},
        ),
        pod(
            status("app", now=running(), container_id=IDS[2]),
            uid=OTHER_UID,
            namespace="bank",
            labels={"app": "db"},
        ),
    )
    for number, uid in enumerate((UID, UID, OTHER_UID)):
        tree.container(IDS[number], number + 1, uid=uid)
    labels = {"shop": {"team": "b"}, "bank": {"team": "a"}}
    target = find(targets(tree, pods, namespaces=labels.get), rule(800, **fields))
    assert pids(target) == named
    assert target.complete


def test_only_namespaces_of_pods_that_the_labels_select_are_asked_for(tree: Tree) -> None:
    asked: list[str] = []
    pods = table(
        pod(status("app", now=running(), container_id=IDS[0]), labels={"app": "web"}),
        pod(status("app", now=running(), container_id=IDS[1]), uid=OTHER_UID, namespace="bank"),
    )

    def labels(name: str) -> None:
        asked.append(name)

    selective = rule(
        1, podSelector={"matchLabels": {"app": "web"}}, namespaceSelector={"matchLabels": {"team": "a"}}
    )
    target = find(targets(tree, pods, namespaces=labels), selective)
    assert (asked, target.complete, target.reason) == (["shop"], False, "NamespaceUnknown")


def test_init_and_ephemeral_containers_count_and_ended_ones_do_not(tree: Tree) -> None:
    made = pod_object(status("app", now={"terminated": {"exitCode": 0}}, container_id=IDS[2]))
    made["spec"]["initContainers"] = [{"name": "prepare"}]
    made["spec"]["ephemeralContainers"] = [{"name": "debug"}]
    made["status"]["initContainerStatuses"] = [status("prepare", now=running(), container_id=IDS[0])]
    made["status"]["ephemeralContainerStatuses"] = [status("debug", now=running(), container_id=IDS[1])]
    for number in range(3):
        tree.container(IDS[number], number + 1)
    assert pids(find(targets(tree, table(parse_pod(made))), rule(800))) == {1, 2}


def test_running_container_without_a_cgroup_is_reported_and_found_when_it_appears(
    tree: Tree,
) -> None:
    clock = Clock()
    where = targets(tree, table(pod(status("app", now=running(), container_id=IDS[0]))), clock=clock)
    assert find(where, rule(800)).reason is None
    clock.now += LOST_SECONDS + 1
    target = find(where, rule(800))
    assert (target.reason, target.complete) == ("CgroupNotFound", False)
    assert "shop/web-1" in (target.message or "")
    tree.container(IDS[0], 11)
    clock.now += LOST_SECONDS + 1
    assert pids(find(where, rule(800))) == {11}


def test_bare_host_has_no_pods(tree: Tree) -> None:
    target = find(targets(tree), rule(800))
    assert (target.refused, target.reason) == (True, "NoPods")


@pytest.mark.parametrize("root", ["", "systemd"])
def test_unit_is_one_of_the_system_manager_without_containers_below_it(tree: Tree, root: str) -> None:
    if root:
        tree.put("/systemd", 0)
    tree.put(f"{root}/system.slice/web.service", 1, 0)
    tree.put(f"{root}/system.slice/web.service/worker", 2)
    tree.put(f"{root}/system.slice/web.service/kubepods-pod{UID}.slice:cri-containerd:{IDS[0]}", 3)
    tree.put(f"{root}/system.slice/system-web.slice/web@1.service", 4)
    tree.put(f"{root}/user.slice/user-1.slice/user@1.service/app.slice/web.service", 5)
    tree.put(f"{root}/kubepods.slice/web.service", 6)
    where = targets(tree)
    assert pids(find(where, rule(1, systemdUnit="web.service"))) == {1, 2}
    assert pids(find(where, rule(1, systemdUnit="web@1.service"))) == {4}
    assert pids(find(where, rule(1, systemdUnit="kubepods.slice"))) == set()
    assert find(where, rule(1, systemdUnit="absent.service")).reason == "NoSuchUnit"


def test_of_nodes_that_share_a_kernel_one_has_the_hosts_processes(tree: Tree) -> None:
    tree.put("/system.slice/web.service", 1)
    for one in (rule(1, systemdUnit="web.service"), rule(1, process={"comm": "web"})):
        target = find(targets(tree), one, host=False)
        assert (pids(target), target.reason, target.complete) == (set(), "NotThisNode", True)


def process(proc: Path, pid: int, *paths: str, comm: str = "web") -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "comm").write_text(comm + "\n")
    (folder / "cgroup").write_text("".join(f"{number}:x:{path}\n" for number, path in enumerate(paths)))


@pytest.mark.parametrize(
    ("init", "host", "elsewhere"),
    [
        ("/init.scope", ["/system.slice/web.service", "/", "/user.slice/user-1.slice/session-2.scope"], [
            f"/kubepods/pod{UID}/{IDS[0]}", f"/docker/{IDS[1]}/system.slice/web.service",
            f"/system.slice/docker-{IDS[1]}.scope",
            f"/system.slice/containerd.service/kubepods-pod{UID}.slice:cri-containerd:{IDS[0]}",
        ]),
        # The agent's own cgroup namespace: in a pod.
        ("/../../../../init.scope", ["/../../../../system.slice/web.service"], [
            "/", "/inner", f"/../{IDS[1]}", f"/../../pod{OTHER_UID}/{IDS[0]}",
        ]),
        # The node is a container whose cgroup namespace is the machine's.
        (f"/docker/{IDS[1]}/init.scope", [f"/docker/{IDS[1]}/system.slice/web.service"], [
            f"/docker/{IDS[1]}/kubelet/kubepods/pod{UID}/{IDS[0]}",
            f"/docker/{IDS[2]}/system.slice/web.service",
        ]),
    ],
)  # fmt: skip
def test_comm_names_host_processes_and_never_one_in_a_container(
    tree: Tree, tmp_path: Path, init: str, host: list[str], elsewhere: list[str]
) -> None:
    proc = tmp_path / "proc"
    process(proc, 1, init, init, comm="systemd")
    for number, path in enumerate([*host, *elsewhere]):
        process(proc, 100 + number, path, path)
    process(proc, 200, host[0], comm="website")
    # In a container by one of its controllers: v1 may place it differently in each.
    process(proc, 201, host[0], elsewhere[0])
    where = targets(tree, proc=proc)
    named = pids(find(where, rule(1, process={"comm": "web"})))
    assert named == {100 + number for number in range(len(host))}
    assert not HostProcesses(proc=proc).has(999)


@pytest.mark.parametrize(
    ("init", "host", "pod"),
    [
        ("/../../init.scope", "/../../kubelet.slice/kubelet.service", f"/../{IDS[0]}"),
        (
            f"/docker/{IDS[1]}/init.scope",
            f"/docker/{IDS[1]}/kubelet.slice/kubelet.service",
            f"/docker/{IDS[1]}/kubelet/kubepods/pod{UID}/{IDS[0]}",
        ),
    ],
)
def test_hierarchy_that_says_nothing_does_not_decide(tmp_path: Path, init: str, host: str, pod: str) -> None:
    """Where memory is in v1, the unified hierarchy has every process in its root."""
    for number, path in ((1, init), (100, host), (101, pod)):
        process(tmp_path, number, "/", path)
    assert HostProcesses(proc=tmp_path).has(100)
    assert not HostProcesses(proc=tmp_path).has(101)
