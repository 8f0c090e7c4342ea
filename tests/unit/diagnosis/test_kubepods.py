"""Every shape of kubelet's cgroup paths, and none that is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.kernel.cgroup.kubepods import parse_kube_cgroup

UID = "0a1b2c3d-1111-2222-3333-444455556666"
SYSTEMD_UID = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
CID = "ab" * 32
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
            "inner",
            "Guaranteed",
            UID,
            None,
        ),
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
        (f"/kubepods/pod{STATIC}/{CID}/kubelet/kubepods/pod{UID}/{CID}", f"/kubepods/pod{STATIC}/{CID}"),
    ],
)
def test_what_encloses_a_node_is_the_prefix(path: str, prefix: str) -> None:
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
    ],
)
def test_paths_outside_kubepods(path: str) -> None:
    assert parse_kube_cgroup(path) is None


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
def test_what_kubelet_writes_is_what_is_read(
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
def test_no_path_makes_it_fail(text: str, segments: list[str]) -> None:
    for path in (text, "/".join(segments), "/kubepods/" + text):
        found = parse_kube_cgroup(path)
        if found is not None:
            assert path.startswith(found.prefix)
            assert (found.container_id is None) or found.pod_uid is not None
