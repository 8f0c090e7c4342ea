"""Every shape of kubelet's cgroup paths, and paths that others make to look like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.kernel.cgroup.kubepods import parse_kube_cgroup, parse_own_cgroup

UID = "0a1b2c3d-1111-2222-3333-444455556666"
SYSTEMD_UID = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
CID = "ab" * 32
OTHER = "ef" * 32
DOCKER = "/docker/" + "cd" * 32


@pytest.mark.parametrize(
    ("path", "segment", "qos", "pod", "container"),
    [
        ("/kubepods", "node", None, None, None),
        ("/kubepods.slice", "node", None, None, None),
        ("/kubepods/burstable", "qos", "Burstable", None, None),
        ("/kubepods.slice/kubepods-besteffort.slice", "qos", "BestEffort", None, None),
        (f"/kubepods/burstable/pod{UID}", "pod", "Burstable", UID, None),
        (f"/kubepods/besteffort/pod{UID}/{CID}", "container", "BestEffort", UID, CID),
        (f"/kubepods/pod{UID}/{CID}", "container", "Guaranteed", UID, CID),
        (f"/kubepods/burstable/pod{STATIC}/{CID}", "container", "Burstable", STATIC, CID),
        (f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice", "pod", "Guaranteed", UID, None),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SYSTEMD_UID}.slice/"
            f"cri-containerd-{CID}.scope",
            "container",
            "Burstable",
            UID,
            CID,
        ),
        (
            f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-{CID}.scope",
            "container",
            "Guaranteed",
            UID,
            CID,
        ),
        (
            f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-{CID}.scope/container",
            "container",
            "Guaranteed",
            UID,
            CID,
        ),
        (
            f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/docker-{CID}.scope/init",
            "inner",
            "Guaranteed",
            UID,
            CID,
        ),
        (
            f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-conmon-{CID}.scope",
            "sandbox",
            "Guaranteed",
            UID,
            None,
        ),
        (f"/kubepods/burstable/pod{UID}/crio-conmon-{CID}", "sandbox", "Burstable", UID, None),
        (f"/kubepods/pod{UID}/kata_{CID}", "sandbox", "Guaranteed", UID, None),
        (f"/kata_overhead/kubepods/besteffort/pod{UID}/{CID}", "sandbox", "BestEffort", UID, None),
        (
            f"/kata_overhead/kubepods-pod{SYSTEMD_UID}.slice:cri-containerd:{CID}",
            "sandbox",
            "Guaranteed",
            UID,
            None,
        ),
        ("/corp.slice/corp-kubepods.slice", "node", None, None, None),
        ("/corp.slice/corp-kubepods.slice/corp-kubepods-burstable.slice", "qos", "Burstable", None, None),
        (
            "/corp.slice/corp-kubepods.slice/corp-kubepods-burstable.slice/"
            f"corp-kubepods-burstable-pod{SYSTEMD_UID}.slice/cri-containerd-{CID}.scope",
            "container",
            "Burstable",
            UID,
            CID,
        ),
        (
            f"/a.slice/a-b.slice/a-b-kubepods.slice/a-b-kubepods-pod{SYSTEMD_UID}.slice",
            "pod",
            "Guaranteed",
            UID,
            None,
        ),
        (
            f"/system.slice/containerd.service/corp-kubepods-besteffort-pod{SYSTEMD_UID}.slice"
            f":cri-containerd:{CID}",
            "container",
            "BestEffort",
            UID,
            CID,
        ),
        (f"/corp/kubepods/burstable/pod{UID}", "pod", "Burstable", UID, None),
        (f"/kubepods/burstable/podmy-static-pod/{CID}", "container", "Burstable", "my-static-pod", CID),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podmy_static_pod.slice",
            "pod",
            "Burstable",
            "my-static-pod",
            None,
        ),
        ("/kubepods/podweb.v1", "pod", "Guaranteed", "web.v1", None),
        ("/kubepods/pod", "node", None, None, None),
        ("/kubepods/podé", "node", None, None, None),
        ("/kubepods/other", "node", None, None, None),
        (f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-{CID}", "container", "Guaranteed", UID, CID),
        (f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/{CID}", "container", "Guaranteed", UID, CID),
        (
            f"/system.slice/containerd.service/kubepods-burstable-pod{SYSTEMD_UID}.slice:cri-containerd:{CID}",
            "container",
            "Burstable",
            UID,
            CID,
        ),
        (f"/kubepods/pod{UID}/{CID}/system.slice/nginx.service", "inner", "Guaranteed", UID, CID),
    ],
)
def test_shapes(path: str, segment: str, qos: str | None, pod: str | None, container: str | None) -> None:
    found = parse_kube_cgroup(path)
    assert found is not None
    assert (found.segment, found.qos, found.pod_uid, found.container_id) == (segment, qos, pod, container)


KIND = (
    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
    f"kubelet-kubepods-burstable-pod{SYSTEMD_UID}.slice/cri-containerd-{CID}.scope"
)


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        (f"/kubepods/pod{UID}/{CID}", ""),
        (f"/kubelet/kubepods/pod{UID}/{CID}", ""),
        (KIND, ""),
        (f"{DOCKER}/kubelet/kubepods/burstable/pod{UID}/{CID}", DOCKER),
        (DOCKER + KIND, DOCKER),
        (
            f"/system.slice/docker-{CID}.scope/kubelet/kubepods/pod{UID}/{CID}",
            f"/system.slice/docker-{CID}.scope",
        ),
        (f"/lxc.payload.n1/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/{CID}", "/lxc.payload.n1"),
        (f"/lxc/39004/ns/kubepods/pod{UID}/{CID}", "/lxc/39004/ns"),
        (f"/kubepods/pod{UID}/{CID}/kubelet/kubepods/pod{STATIC}/{OTHER}", ""),
        (f"/corp.slice/corp-kubepods.slice/corp-kubepods-pod{SYSTEMD_UID}.slice/crio-{CID}.scope", ""),
    ],
)
def test_path_outside_of_the_node_is_the_prefix(path: str, prefix: str) -> None:
    found = parse_kube_cgroup(path)
    assert found is not None
    assert (found.prefix, found.pod_uid, found.container_id) == (prefix, UID, CID)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/system.slice/docker.service",
        "/lxc/39004",
        f"/docker/{CID}",
        "/mykubepods/x",
        "/kubepods-like/pod",
        "kubepodsx",
        "/corp-kubepods.slice",
        "/other.slice/corp-kubepods.slice/corp-kubepods-burstable.slice",
        "-kubepods.slice",
    ],
)
def test_paths_outside_kubepods(path: str) -> None:
    assert parse_kube_cgroup(path) is None


FORGED = f"kubepods/burstable/pod{UID}/{CID}"


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/pod{STATIC}/{OTHER}/{FORGED}",
        f"/kubepods.slice/kubepods-pod{STATIC}.slice/crio-{OTHER}.scope/container/{FORGED}",
        f"/kubepods.slice/kubepods-pod{STATIC}.slice/crio-{OTHER}.scope/kubepods-pod{SYSTEMD_UID}.slice"
        f":cri-containerd:{CID}",
        f"/system.slice/containerd.service/kubepods-pod{STATIC}.slice:cri-containerd:{OTHER}/{FORGED}",
    ],
)
def test_container_with_a_delegated_cgroup_does_not_pass_for_another_pod(path: str) -> None:
    for found in (parse_kube_cgroup(path), parse_own_cgroup(path)):
        assert found is not None
        assert (found.segment, found.pod_uid, found.container_id) == ("inner", STATIC, OTHER)


@pytest.mark.parametrize(
    "path",
    [
        f"/user.slice/user-1000.slice/user@1000.service/{FORGED}",
        f"/docker/{OTHER}/{FORGED}",
        f"/system.slice/docker-{OTHER}.scope/kubelet/{FORGED}",
        f"/machine.slice/libpod-{OTHER}.scope/kubepods-pod{SYSTEMD_UID}.slice:cri-containerd:{CID}",
    ],
)
def test_tree_of_a_user_or_a_container_is_not_this_nodes(path: str) -> None:
    assert parse_own_cgroup(path) is None
    assert parse_own_cgroup(path, node_container=CID) is None


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (f"{DOCKER}/kubelet/{FORGED}", True),
        (f"/docker/{OTHER}{DOCKER}/{FORGED}", True),
        (f"/user.slice/user-1000.slice/user@1000.service/libpod-{DOCKER[8:]}.scope/container/{FORGED}", True),
        (f"/kubelet/{FORGED}", True),  # as the node's own cgroup file system has it
        (f"/docker/{OTHER}/kubelet/{FORGED}", False),
        (f"{DOCKER}/docker/{OTHER}/kubelet/{FORGED}", False),
        (f"{DOCKER}/user.slice/user@0.service/{FORGED}", False),
    ],
)
def test_node_that_is_a_container_has_the_tree_in_that_container(path: str, ours: bool) -> None:
    found = parse_own_cgroup(path, node_container=DOCKER.removeprefix("/docker/"))
    assert (found is not None) is ours
    if found is not None:
        assert (found.pod_uid, found.container_id) == (UID, CID)


uids = st.uuids().map(str)
ids = st.binary(min_size=32, max_size=32).map(bytes.hex)
prefixes = st.sampled_from(["", DOCKER, "/lxc/1/ns", "/system.slice/x.service"])


@given(
    uid=uids,
    cid=ids,
    qos=st.sampled_from(["", "burstable", "besteffort"]),
    prefix=prefixes,
    systemd=st.booleans(),
)
def test_paths_that_kubelet_makes_are_read_back(
    uid: str, cid: str, qos: str, prefix: str, systemd: bool
) -> None:
    if systemd:
        middle = f"kubepods-{qos}.slice/" if qos else ""
        name = f"kubepods-{qos}-pod" if qos else "kubepods-pod"
        path = (
            f"{prefix}/kubepods.slice/{middle}{name}{uid.replace('-', '_')}.slice/cri-containerd-{cid}.scope"
        )
    else:
        path = f"{prefix}/kubepods/{qos + '/' if qos else ''}pod{uid}/{cid}"
    found = parse_kube_cgroup(path)
    assert found is not None
    assert (found.prefix, found.pod_uid, found.container_id) == (prefix, uid, cid)
    assert found.qos == {"": "Guaranteed", "burstable": "Burstable", "besteffort": "BestEffort"}[qos]


@given(
    st.text(max_size=200),
    st.lists(st.sampled_from(["kubepods", "pod" + UID, CID, "", "x", "kubelet", "burstable"])),
)
def test_no_path_raises(text: str, segments: list[str]) -> None:
    for path in (text, "/".join(segments), "/kubepods/" + text):
        parse_own_cgroup(path, node_container=CID)
        found = parse_kube_cgroup(path)
        if found is not None:
            assert path.startswith(found.prefix)
            assert (found.container_id is None) or found.pod_uid is not None
