"""Read a cgroup path as kubelet's: which pod and container it belongs to. Pure text; nothing is opened.

Names come from kubelet (pkg/kubelet/cm/pod_container_manager_linux.go, cgroup_manager_linux.go) and the
runtimes:

    /kubepods/burstable/pod<uid>/<id>                                          cgroupfs driver
    /kubepods.slice/kubepods-pod<u_i_d>.slice/cri-containerd-<id>.scope        systemd driver
    /corp.slice/corp-kubepods.slice/corp-kubepods-pod<u_i_d>.slice/...         systemd driver, cgroupRoot
    /corp /system.slice/containerd.service/kubepods-pod<u_i_d>.slice:cri-containerd:<id>  the two differ
    /docker/<id>/kubelet/kubepods/...                                          kind, a node in a container

The kernel prints paths as the host has them, so whatever encloses a nested node stands before its root. Of
several node roots the outermost counts: it is the only one that no container can have made. A process with a
cgroup delegated to it can make any path below, another pod's name included.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from ...model.pod import KubeCgroup
from ..lazy import lazy

_QOS_NAMES = {"burstable": "Burstable", "besteffort": "BestEffort"}
_UID = lazy(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""metadata.uid with dashes or the systemd driver's underscores; of a static pod the hash of its manifest, or
whatever uid the manifest has (pkg/kubelet/config/common.go)."""
_CONTAINER = lazy(
    r"(?:(?:cri-containerd|crio|docker|cri-dockerd|containerd|libpod|nerdctl)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?"
)
_MISMATCH = lazy(
    r"(?:[^:]+-)?kubepods(?:-(?P<qos>burstable|besteffort))?-pod(?P<uid>[A-Za-z0-9][A-Za-z0-9._-]*)\.slice"
    r":[a-z-]+:(?P<id>[0-9a-f]{64})"
)
_SANDBOX = lazy(r"(?:crio-conmon-|kata_)[0-9a-f]{64}(?:\.scope)?")
"""The pod's, but no container's: CRI-O's monitor of a container (internal/config/cgmgr), and Kata's virtual
machine (docs/design/host-cgroups.md)."""
_KATA_OVERHEAD = "kata_overhead"
"""Above a second tree, in which Kata keeps what serves a pod's virtual machine. Its older runtime names a
sandbox there, which is no container of the pod's status."""
_SUFFIX = "-kubepods.slice"
_DELEGATED = lazy(r"(?:^|[/-])[0-9a-f]{64}(?=[./]|$)|(?:^|/)user@\d+\.service(?=/|$)")
"""A container, or a user's own systemd."""


class _Root(NamedTuple):
    """Where kubelet's tree begins."""

    name: str
    """Which every slice below begins with: `kubepods`, or `corp-kubepods`."""
    outer: int
    """How many of the path's segments enclose the node."""


@lru_cache(maxsize=8)  # a verdict asks for the same two paths again and again
def parse_kube_cgroup(path: str) -> KubeCgroup | None:
    """Return what kubelet's part of `path` says; None for a path outside kubepods. Any text is taken; none
    raises."""
    segments = path.split("/")
    for at, segment in enumerate(segments):
        if "kubepods" not in segment:
            continue
        mismatch = _MISMATCH.fullmatch(segment)
        root = _root(segments, at)
        if mismatch is not None:
            kube = _mismatched(segments, at, mismatch)
        elif root is not None:
            kube = _below_root(segments, at, root)
        else:
            continue
        if _KATA_OVERHEAD in segments[:at] and kube.pod_uid is not None:
            return kube._replace(segment="sandbox", container_id=None)
        return kube
    return None


def parse_own_cgroup(path: str, *, node_container: str | None = None) -> KubeCgroup | None:
    """Return what `path` says of a pod of this node; None also where the path leads to the tree of another
    node, or of a container or user who made one of its own.

    `node_container`: id of the container that this node is (kind), None where the node is the machine. `path`
    is as the kernel log or as the node's own cgroup file system has it.
    """
    kube = parse_kube_cgroup(path)
    if kube is None:
        return None
    outside = kube.prefix
    if node_container is not None and node_container in outside:
        outside = outside.partition(node_container)[2]
    return None if _DELEGATED.search(outside) is not None else kube


def _root(segments: list[str], at: int) -> _Root | None:
    segment = segments[at]
    if segment in ("kubepods", "kubepods.slice"):
        return _Root("kubepods", at - 1 if segments[at - 1 : at] in (["kubelet"], ["kubelet.slice"]) else at)
    if not segment.endswith(_SUFFIX):
        return None
    # systemd puts a-b.slice into a.slice (systemd.slice(5)); so does kubelet's driver with its cgroupRoot.
    parts = segment.removesuffix(_SUFFIX).split("-")
    parents = ["-".join(parts[: number + 1]) + ".slice" for number in range(len(parts))]
    outer = at - len(parents)
    return _Root(segment.removesuffix(".slice"), outer) if segments[max(0, outer) : at] == parents else None


def _mismatched(segments: list[str], at: int, match: "re.Match[str]") -> KubeCgroup:
    return KubeCgroup(
        prefix="/".join(segments[:at]),
        segment="inner" if _rest(segments[at + 1 :]) else "container",
        qos=_QOS_NAMES.get(match["qos"], "Guaranteed"),
        pod_uid=_uid(match["uid"]),
        container_id=match["id"],
    )


def _below_root(segments: list[str], at: int, root: _Root) -> KubeCgroup:
    prefix = "/".join(segments[: root.outer])
    rest = _rest(segments[at + 1 :])
    names = [_local(segment, root) for segment in rest[:2]]
    qos = names[0] if names and names[0] in _QOS_NAMES else None
    if qos is not None:
        names, rest = names[1:], rest[1:]
        if not rest:
            return KubeCgroup(
                prefix=prefix, segment="qos", qos=_QOS_NAMES[qos], pod_uid=None, container_id=None
            )
    name = names[0] if names else ""
    for one in _QOS_NAMES:
        if name.startswith(f"{one}-pod"):
            qos, name = one, name.removeprefix(f"{one}-")
    uid = name.removeprefix("pod")
    if not name.startswith("pod") or _UID.fullmatch(uid) is None:
        # kubepods itself, or a child of it that kubelet has not made.
        return KubeCgroup(prefix=prefix, segment="node", qos=None, pod_uid=None, container_id=None)
    segment, container_id = _below_pod(rest[1:])
    return KubeCgroup(
        prefix=prefix,
        segment=segment,
        qos=_QOS_NAMES[qos] if qos is not None else "Guaranteed",
        pod_uid=_uid(uid),
        container_id=container_id,
    )


def _local(segment: str, root: _Root) -> str:
    """Return a name as the cgroupfs driver has it: `kubepods-burstable-podx.slice` -> `burstable-podx`."""
    if not segment.endswith(".slice"):
        return segment
    return segment.removesuffix(".slice").removeprefix(f"{root.name}-")


def _below_pod(rest: list[str]) -> tuple[str, str | None]:
    if not rest:
        return "pod", None
    if _SANDBOX.fullmatch(rest[0]) is not None:
        return "sandbox", None
    match = _CONTAINER.fullmatch(rest[0])
    if match is None:
        return "inner", None
    # CRI-O puts the limits on a child called `container` of the container's scope.
    return ("inner" if rest[1:] and rest[1:] != ["container"] else "container"), match["id"]


def _rest(segments: list[str]) -> list[str]:
    return [segment for segment in segments if segment]


def _uid(text: str) -> str:
    """Return a pod's uid as pods are looked up by: the systemd driver writes `_` for `-`."""
    return text.replace("_", "-")
