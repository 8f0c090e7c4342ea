"""The pods of this node, from the API's JSON to what an OOM kill needs to know, and a table of them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from oomkeeper.model.pod import ContainerFacts, PodFacts

KEEP_DELETED_SECONDS = 600.0
"""A pod may be gone from the API before its kill is attributed."""

_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3}|[numkMGTPE]|[KMGTPE]i)?", re.ASCII)
_FACTORS = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)},
    **{letter + "i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """What kubelet says of one run of a container."""

    container: str
    running: bool
    reason: str | None = None
    exit_code: int | None = None
    finished_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod: its facts, and the state of each container run that kubelet still reports, by container id."""

    facts: PodFacts
    states: Mapping[str, ContainerState] = field(default_factory=dict)


def quantity_bytes(text: str | int | None) -> int | None:
    """A resource.Quantity in bytes, rounded up; None for None and for what is no quantity."""
    if text is None:
        return None
    match = _QUANTITY.fullmatch(str(text).strip())
    if not match:
        return None
    number, suffix = Fraction(match[1]), match[2] or ""
    factor = _FACTORS.get(suffix)
    # `1E` is exa, `1E3` an exponent.
    return math.ceil(number * (Fraction(10) ** int(suffix[1:]) if factor is None else factor))


def parse_pod(obj: Mapping[str, Any]) -> Pod:
    """A v1 Pod as the API gives it. Missing parts are treated as empty: an object being created has few."""
    meta, spec, status = obj.get("metadata") or {}, obj.get("spec") or {}, obj.get("status") or {}
    annotations = meta.get("annotations") or {}
    states: dict[str, ContainerState] = {}
    containers: list[ContainerFacts] = []
    for kind, specs, statuses in (
        ("Container", spec.get("containers"), status.get("containerStatuses")),
        ("InitContainer", spec.get("initContainers"), status.get("initContainerStatuses")),
        ("EphemeralContainer", spec.get("ephemeralContainers"), status.get("ephemeralContainerStatuses")),
    ):
        by_name = {item.get("name"): item for item in statuses or []}
        for container in specs or []:
            containers.append(
                _container(container, by_name.get(container.get("name")) or {}, kind=kind, states=states)
            )
    kind, name = _workload(meta)
    uid = meta.get("uid", "")
    return Pod(
        facts=PodFacts(
            namespace=meta.get("namespace", ""),
            name=meta.get("name", ""),
            uid=uid,
            node=spec.get("nodeName") or "",
            # A mirror pod's cgroup is named by the hash of its manifest (pkg/kubelet/config/common.go).
            cgroup_uid=annotations.get("kubernetes.io/config.hash") or uid,
            workload_kind=kind,
            workload_name=name,
            qos=status.get("qosClass") or "",
            labels=meta.get("labels") or {},
            containers=tuple(containers),
            limit_bytes=_memory(spec.get("resources"), "limits"),
        ),
        states=states,
    )


def _container(
    spec: Mapping[str, Any], status: Mapping[str, Any], *, kind: str, states: dict[str, ContainerState]
) -> ContainerFacts:
    name = spec.get("name", "")
    ids: list[str] = []
    for state, own_id in ((status.get("state"), status.get("containerID")), (status.get("lastState"), None)):
        terminated = (state or {}).get("terminated")
        container_id = _bare_id((terminated or {}).get("containerID") or own_id)
        if not container_id:
            continue
        if container_id not in ids:
            ids.append(container_id)
        states.setdefault(
            container_id,
            ContainerState(
                container=name,
                running="running" in (state or {}),
                reason=(terminated or {}).get("reason"),
                exit_code=(terminated or {}).get("exitCode"),
                finished_at=(terminated or {}).get("finishedAt"),
            ),
        )
    # allocatedResources/status.resources carry an in-place resize that is in force; spec is what was asked
    # for.
    return ContainerFacts(
        name=name,
        kind=kind,
        container_ids=tuple(ids),
        limit_bytes=_memory(status.get("resources"), "limits") or _memory(spec.get("resources"), "limits"),
        request_bytes=_memory(spec.get("resources"), "requests"),
        restart_count=status.get("restartCount") or 0,
    )


def _memory(resources: Mapping[str, Any] | None, part: str) -> int | None:
    return quantity_bytes(((resources or {}).get(part) or {}).get("memory"))


def _bare_id(container_id: str | None) -> str:
    """`containerd://abc` -> `abc`."""
    return (container_id or "").rpartition("://")[2]


def _workload(meta: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and name of what the pod belongs to, without asking the API.

    A ReplicaSet named `<deployment>-<pod-template-hash>` is its Deployment's, and a Job named
    `<cronjob>-<minutes>` its CronJob's: both names are made that way by kube-controller-manager.
    """
    owner = next((ref for ref in meta.get("ownerReferences") or [] if ref.get("controller")), None)
    if owner is None:
        return "Pod", meta.get("name", "")
    kind, name = owner.get("kind", ""), owner.get("name", "")
    template_hash = (meta.get("labels") or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and template_hash and name.endswith("-" + template_hash):
        return "Deployment", name.removesuffix("-" + template_hash)
    if kind == "Job" and (cron := re.fullmatch(r"(.+)-\d{8,}", name)):
        return "CronJob", cron[1]
    if kind == "Node":
        return "Pod", meta.get("name", "")
    return kind, name


class PodTable:
    """The pods of this node by the uid in their cgroup's name; deleted ones are kept for a while."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}
        self._gone: dict[str, float] = {}
        self.synced = False
        """True once the API server's list has been seen."""

    def __len__(self) -> int:
        return len(self._pods)

    def put(self, pod: Pod) -> None:
        """Add or renew. Container ids that an older version knew are kept: a status holds only the last
        two."""
        uid = pod.facts.cgroup_uid
        known = self._pods.get(uid)
        if known is not None:
            pod = _with_history(pod, known)
        self._pods[uid] = pod
        self._gone.pop(uid, None)

    def replace(self, pods: list[Pod], *, now: float) -> None:
        """The whole list, as a fresh LIST gives it."""
        present = {pod.facts.cgroup_uid for pod in pods}
        for pod in pods:
            self.put(pod)
        for uid in list(self._pods):
            if uid not in present:
                self.remove(uid, now=now)
        self.synced = True

    def remove(self, cgroup_uid: str, *, now: float) -> None:
        if cgroup_uid in self._pods:
            self._gone.setdefault(cgroup_uid, now)

    def sweep(self, *, now: float) -> None:
        """Forget what has been deleted for long."""
        for uid, since in list(self._gone.items()):
            if now - since > KEEP_DELETED_SECONDS:
                del self._gone[uid]
                self._pods.pop(uid, None)

    def find(self, cgroup_uid: str) -> Pod | None:
        return self._pods.get(cgroup_uid)

    def all(self) -> list[Pod]:
        return list(self._pods.values())


_KEPT_IDS = 8


def _with_history(pod: Pod, known: Pod) -> Pod:
    older = {container.name: container.container_ids for container in known.facts.containers}
    containers = tuple(
        container._replace(
            container_ids=(
                *container.container_ids,
                *(one for one in older.get(container.name, ()) if one not in container.container_ids),
            )[:_KEPT_IDS],
        )
        for container in pod.facts.containers
    )
    live_ids = {one for container in containers for one in container.container_ids}
    states = {**{one: state for one, state in known.states.items() if one in live_ids}, **pod.states}
    return replace(pod, facts=pod.facts._replace(containers=containers), states=states)
