"""Read a cgroup path as kubelet's: which pod and container it belongs to. Pure text; nothing is opened.

Names come from kubelet (pkg/kubelet/cm/pod_container_manager_linux.go, cgroup_manager_linux.go) and the
runtimes:

    /kubepods/burstable/pod<uid>/<id>                                          cgroupfs driver
    /kubepods.slice/kubepods-pod<u_i_d>.slice/cri-containerd-<id>.scope        systemd driver
    /system.slice/containerd.service/kubepods-pod<u_i_d>.slice:cri-containerd:<id>  the two differ
    /docker/<id>/kubelet/kubepods/...                                          kind, a node in a container

The kernel prints paths as the host sees them, so whatever encloses a nested node stands before the node root.
Of several node roots (a cluster inside a pod) the innermost counts.
"""

import re

from ...model.pod import KubeCgroup
from ..lazy import lazy

_ROOT = lazy(r"(?:kubelet-)?kubepods(?:\.slice)?")
_QOS = lazy(r"(?:(?:kubelet-)?kubepods-)?(burstable|besteffort)(?:\.slice)?")
_UID = r"(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
"""metadata.uid with dashes, the systemd driver's underscores, or a static pod's config hash
(kubetypes.ConfigHashAnnotationKey)."""
_POD = lazy(rf"(?:(?:kubelet-)?kubepods(?:-(?P<qos>burstable|besteffort))?-)?pod{_UID}(?:\.slice)?")
_CONTAINER = lazy(
    r"(?:(?:cri-containerd|crio|docker|cri-dockerd|containerd|libpod|nerdctl)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?"
)
_MISMATCH = lazy(
    rf"(?:kubelet-)?kubepods(?:-(?P<qos>burstable|besteffort))?-pod{_UID}\.slice:[a-z-]+:(?P<id>[0-9a-f]{{64}})"
)
_QOS_NAMES = {"burstable": "Burstable", "besteffort": "BestEffort", None: "Guaranteed"}


def parse_kube_cgroup(path: str) -> KubeCgroup | None:
    """What kubelet's part of `path` says, or None for a path outside kubepods. Any text is taken; none
    raises."""
    segments = path.split("/")
    for at in range(len(segments) - 1, -1, -1):
        segment = segments[at]
        if "kubepods" not in segment:
            continue
        mismatch = _MISMATCH.fullmatch(segment)
        if mismatch is not None:
            return _mismatched(segments, at, mismatch)
        if _ROOT.fullmatch(segment) is not None:
            return _below_root(segments, at)
    return None


def _mismatched(segments: list[str], at: int, match: "re.Match[str]") -> KubeCgroup:
    return KubeCgroup(
        prefix="/".join(segments[:at]),
        segment="inner" if _rest(segments[at + 1 :]) else "container",
        qos=_QOS_NAMES[match["qos"]],
        pod_uid=_uid(match["uid"]),
        container_id=match["id"],
    )


def _below_root(segments: list[str], at: int) -> KubeCgroup:
    prefix = "/".join(
        segments[: at if segments[at - 1 : at] not in (["kubelet"], ["kubelet.slice"]) else at - 1]
    )
    rest = segments[at + 1 :]
    qos: str | None = None
    if rest:
        match = _QOS.fullmatch(rest[0])
        if match is not None:
            qos, rest = match[1], rest[1:]
            if not _rest(rest):
                return KubeCgroup(
                    prefix=prefix, segment="qos", qos=_QOS_NAMES[qos], pod_uid=None, container_id=None
                )
    pod = _POD.fullmatch(rest[0]) if rest else None
    if pod is None:
        # kubepods itself, or a child of it that is none of kubelet's.
        return KubeCgroup(prefix=prefix, segment="node", qos=None, pod_uid=None, container_id=None)
    qos_name = _QOS_NAMES[qos or pod["qos"]]
    segment, container_id = _below_pod(rest[1:])
    return KubeCgroup(
        prefix=prefix, segment=segment, qos=qos_name, pod_uid=_uid(pod["uid"]), container_id=container_id
    )


def _below_pod(rest: list[str]) -> tuple[str, str | None]:
    if not _rest(rest):
        return "pod", None
    match = _CONTAINER.fullmatch(rest[0])
    if match is None:
        # crio-conmon-<id>.scope is the container's monitor, not the container.
        return "inner", None
    # CRI-O puts the limits on a child called `container` of the container's scope.
    inner = _rest(rest[1:])
    return ("inner" if inner and inner != ["container"] else "container"), match["id"]


def _rest(segments: list[str]) -> list[str]:
    return [segment for segment in segments if segment]


def _uid(text: str) -> str:
    return text.replace("_", "-")
