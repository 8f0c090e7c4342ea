"""The pods of this node: what an OOM kill needs to know of each, and a table of them.

Everything in a Pod but its uid and its status can be written by anyone who may create pods. So a pod is found
by its uid; only a mirror pod, which stands for a static pod of this node, is also found by the hash of its
manifest, and never in place of a pod that has the hash as its uid.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from oomkeeper.model.escaping import printable
from oomkeeper.model.killer import STATUS_UNKNOWN
from oomkeeper.model.pod import ContainerFacts, PodFacts
from oomkeeper.model.pod_limits import limit_changes
from oomkeeper.resources.oomincident import WorkloadIdentity, WorkloadReference

from .clock import rfc3339
from .pod_object import (
    Condition,
    Container,
    ContainerStatus,
    Metadata,
    Resources,
    Spec,
    State,
    Status,
    controller_of,
    decode,
)
from .quantity import quantity_bytes
from .workloads import IdentityOf, WorkloadOf, direct_identity, direct_owner

KEEP_DELETED_SECONDS = 600.0
"""A pod may be gone from the API before its kill is attributed."""
OOM_KILLED = "OOMKilled"
"""The reason in the status of a container that the OOM killer ended."""
_KEPT_IDS = 8
_KEPT_CHANGES = 8
_MAX_REASON = 64
_MAX_MESSAGE = 1024
_MAX_NAME = 253
"""Length of a DNS-1123 subdomain, which the name of a RuntimeClass is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """One run of a container, as kubelet reports it."""

    container: str
    running: bool
    reason: str | None = None
    exit_code: int | None = None
    finished_at: str | None = None
    started_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStop:
    """What the pod shows of why it is stopped. Text is escaped and cut."""

    reason: str | None = None
    """status.reason, such as Evicted."""
    message: str | None = None
    disruption: str | None = None
    """Reason of the condition DisruptionTarget."""
    disruption_message: str | None = None
    disruption_at: str | None = None
    """When the condition became true."""
    deletion_at: str | None = None
    """metadata.deletionTimestamp: when the grace period expires."""
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod: its facts, and the state of each container run that kubelet still reports, by container id."""

    facts: PodFacts
    states: Mapping[str, ContainerState] = field(default_factory=dict)
    stop: PodStop = PodStop()
    lost: Mapping[str, ContainerState] = field(default_factory=dict)
    """By the container's name: ends that kubelet reports without a container id."""


def decode_pod(data: bytes) -> Pod:
    """Return the pod of a v1 Pod in JSON. Missing parts are treated as empty: an object being created has
    few. Raises ValueError for what is no JSON, or has a field of another type than the API's."""
    obj = decode(data)
    meta, spec, status = obj.metadata or Metadata(), obj.spec or Spec(), obj.status or Status()
    states: dict[str, ContainerState] = {}
    lost: dict[str, ContainerState] = {}
    containers: list[ContainerFacts] = []
    for kind, specs, statuses in (
        ("Container", spec.containers, status.container_statuses),
        ("InitContainer", spec.init_containers, status.init_container_statuses),
        ("EphemeralContainer", spec.ephemeral_containers, status.ephemeral_container_statuses),
    ):
        by_name = {one.name: one for one in statuses or ()}
        for container in specs or ():
            reported = by_name.get(container.name) or ContainerStatus()
            containers.append(_container(container, reported, kind=kind, states=states, lost=lost))
    return Pod(
        facts=PodFacts(
            namespace=meta.namespace or "",
            name=meta.name or "",
            uid=meta.uid or "",
            node=spec.node_name or "",
            cgroup_uid=_manifest_hash(meta, node=spec.node_name, reported=bool(states)) or meta.uid or "",
            owner=controller_of(meta),
            qos=status.qos_class or "",
            labels=meta.labels or {},
            containers=tuple(containers),
            limit_bytes=_pod_limit(spec, status),
            spec_limit_bytes=_memory(spec.resources, "limits"),
            status_limit_bytes=_memory(status.resources, "limits"),
            overhead_bytes=quantity_bytes(spec.overhead.memory if spec.overhead else None) or 0,
            resize=_resize(status),
            runtime_class=(spec.runtime_class_name or "")[:_MAX_NAME] or None,
        ),
        states=states,
        stop=_stop(meta, status),
        lost=lost,
    )


def _stop(meta: Metadata, status: Status) -> PodStop:
    disruption = next(
        (one for one in status.conditions or () if one.type == "DisruptionTarget" and one.status == "True"),
        Condition(),
    )
    return PodStop(
        reason=_text(status.reason, _MAX_REASON),
        message=_text(status.message, _MAX_MESSAGE),
        disruption=_text(disruption.reason, _MAX_REASON),
        disruption_message=_text(disruption.message, _MAX_MESSAGE),
        disruption_at=disruption.last_transition_time,
        deletion_at=meta.deletion_timestamp,
        grace_seconds=meta.deletion_grace_period_seconds,
    )


def _text(text: str | None, most: int) -> str | None:
    return printable(text[:most])[:most] if text else None


def _manifest_hash(meta: Metadata, *, node: str | None, reported: bool) -> str | None:
    """Return the hash that names a static pod's cgroup (pkg/kubelet/config/common.go); None for any other
    pod.

    Anyone who may create pods can write the annotations of a mirror pod. kubelet makes the Node its owner
    (pkg/kubelet/pod/mirror_client.go), and reports containers only for those that it made: the others it
    deletes.
    """
    annotations = meta.annotations
    if annotations is None or not annotations.config_hash or not node or not reported:
        return None
    owner = controller_of(meta)
    owned = owner is not None and (owner.group, owner.kind, owner.name) == ("", "Node", node)
    vouched = owned and annotations.config_mirror == annotations.config_hash
    # As cgroup paths are read (kernel/cgroup/kubepods.py).
    return annotations.config_hash.replace("_", "-") if vouched else None


def _container(
    spec: Container,
    status: ContainerStatus,
    *,
    kind: str,
    states: dict[str, ContainerState],
    lost: dict[str, ContainerState],
) -> ContainerFacts:
    ids: list[str] = []
    for state, own_id in ((status.state, status.container_id), (status.last_state, None)):
        terminated = state.terminated if state is not None else None
        container_id = _bare_id((terminated.container_id if terminated is not None else None) or own_id)
        if not container_id:
            if terminated is not None and terminated.reason == STATUS_UNKNOWN:
                lost.setdefault(spec.name or "", _state(spec.name or "", state))
            continue
        if container_id not in ids:
            ids.append(container_id)
        if state is None or (state.running is None and state.terminated is None):
            continue  # waiting (CrashLoopBackOff): lastState describes the container's end
        states.setdefault(container_id, _state(spec.name or "", state))
    # status.resources carries an in-place resize that is in force; spec is what was asked for.
    return ContainerFacts(
        name=spec.name or "",
        kind=kind,
        container_ids=tuple(ids),
        limit_bytes=_memory(status.resources, "limits") or _memory(spec.resources, "limits"),
        request_bytes=_memory(spec.resources, "requests"),
        restart_count=status.restart_count or 0,
        spec_limit_bytes=_memory(spec.resources, "limits"),
        status_limit_bytes=_memory(status.resources, "limits"),
        sidecar=kind == "InitContainer" and spec.restart_policy == "Always",
    )


def _state(container: str, state: State | None) -> ContainerState:
    terminated = state.terminated if state is not None else None
    running = state.running if state is not None else None
    begun = running or terminated
    return ContainerState(
        container=container,
        running=running is not None,
        started_at=begun.started_at if begun is not None else None,
        reason=terminated.reason if terminated is not None else None,
        exit_code=terminated.exit_code if terminated is not None else None,
        finished_at=terminated.finished_at if terminated is not None else None,
    )


def _memory(resources: Resources | None, part: str) -> int | None:
    amounts = None
    if resources is not None:
        amounts = resources.limits if part == "limits" else resources.requests
    return quantity_bytes(amounts.memory) if amounts is not None else None


def _pod_limit(spec: Spec, status: Status) -> int | None:
    """Return the limit set on the pod itself; of an in-place resize the one in force. kubelet also reports
    the sum of the containers' limits in status.resources, which is no limit of the pod's own."""
    own = _memory(spec.resources, "limits")
    return None if own is None else _memory(status.resources, "limits") or own


def _resize(status: Status) -> str | None:
    """Return the condition of a resize that is not finished (PodResizePending before
    PodResizeInProgress)."""
    conditions = {one.type: one for one in status.conditions or () if one.status == "True"}
    for kind in ("PodResizePending", "PodResizeInProgress"):
        if (found := conditions.get(kind)) is not None:
            return f"{kind} ({found.reason[:_MAX_REASON]})" if found.reason else kind
    return f"status.resize {status.resize[:_MAX_REASON]}" if status.resize else None


def _bare_id(container_id: str | None) -> str:
    """`containerd://abc` -> `abc`."""
    return (container_id or "").rpartition("://")[2]


class PodTable:
    """The pods of this node by their uid, and static pods by the hash in their cgroup's name. Deleted ones
    are kept for a while."""

    def __init__(
        self,
        *,
        workload_of: WorkloadOf = direct_owner,
        identity_of: IdentityOf = direct_identity,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`workload_of` and `identity_of` follow a pod's owners to its workload."""
        self._workload_of = workload_of
        self._identity_of = identity_of
        self._wall = wall
        self._pods: dict[str, Pod] = {}
        self._static: dict[str, str] = {}
        """Manifest hash -> uid of the mirror pod."""
        self._gone: dict[str, float] = {}
        self.synced = False
        """Whether the API server has listed the pods; until then they are those of an earlier run."""

    def __len__(self) -> int:
        return len(self._pods)

    def put(self, pod: Pod) -> None:
        """Add or renew. Container ids that an older version had are kept: a status holds only the last
        two."""
        uid, cgroup_uid = pod.facts.uid, pod.facts.cgroup_uid
        known = self._pods.get(uid)
        if cgroup_uid != uid:
            holder = self._static.get(cgroup_uid, uid)
            if holder == uid or holder in self._gone or holder not in self._pods:
                known = known or self._pods.get(holder)  # kubelet has made a mirror pod anew
                self._static[cgroup_uid] = uid
        if known is not None:
            pod = _with_history(pod, known, at=rfc3339(self._wall()))
        self._pods[uid] = pod
        self._gone.pop(uid, None)

    def replace(self, pods: list[Pod], *, now: float) -> None:
        """Take the whole list, as a fresh LIST gives it."""
        present = {pod.facts.uid for pod in pods}
        for uid in list(self._pods):
            if uid not in present:
                self.remove(uid, now=now)
        for pod in pods:
            self.put(pod)
        self.synced = True

    def restore(self, pods: Iterable[Pod]) -> None:
        """Add what an earlier run of the agent knew, without being a list of the API server's."""
        for pod in pods:
            if pod.facts.uid not in self._pods:
                self.put(pod)

    def remove(self, uid: str, *, now: float) -> None:
        """Note that a pod was deleted."""
        if uid in self._pods:
            self._gone.setdefault(uid, now)

    def sweep(self, *, now: float) -> list[str]:
        """Forget pods that were deleted KEEP_DELETED_SECONDS ago; return their uids."""
        gone = [uid for uid, since in self._gone.items() if now - since > KEEP_DELETED_SECONDS]
        for uid in gone:
            del self._gone[uid]
            self._pods.pop(uid, None)
        self._static = {hash_: uid for hash_, uid in self._static.items() if uid in self._pods}
        return gone

    def find(self, cgroup_uid: str) -> Pod | None:
        """Return the pod whose cgroup carries this uid or manifest hash."""
        return self._pods.get(cgroup_uid) or self._pods.get(self._static.get(cgroup_uid, ""))

    def workload(self, pod: Pod) -> WorkloadReference | None:
        """Return the workload that the pod's kills count for; None while it is not known yet."""
        return self._workload_of(pod.facts)

    def workload_identity(self, pod: Pod) -> WorkloadIdentity | None:
        """Return which object that workload is; None where it is the pod itself, or not known."""
        return self._identity_of(pod.facts)

    def all(self) -> list[Pod]:
        """Return every pod, those deleted a short while ago included."""
        return list(self._pods.values())


def _with_history(pod: Pod, known: Pod, *, at: str) -> Pod:
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
    changes = (*known.facts.limit_changes, *limit_changes(known.facts, pod.facts, at=at))[-_KEPT_CHANGES:]
    facts = pod.facts._replace(containers=containers, limit_changes=changes)
    return replace(pod, facts=facts, states=states, stop=_first_deletion(pod, known))


def _first_deletion(pod: Pod, known: Pod) -> PodStop:
    """Return why the pod is stopped, with the deletion that was asked for first: when its containers have
    ended, kubelet deletes it once more, with a grace period of 0 s."""
    last = pod.stop.grace_seconds == 0 and not any(state.running for state in pod.states.values())
    if not last or known.stop.deletion_at is None:
        return pod.stop
    return replace(pod.stop, deletion_at=known.stop.deletion_at, grace_seconds=known.stop.grace_seconds)
