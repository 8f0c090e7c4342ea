"""Find the subject of a kill: from the victim's cgroup path to a pod's container, or to a cgroup of the
host."""

from dataclasses import dataclass

from oomkeeper.kernel.cgroup.kubepods import parse_own_cgroup
from oomkeeper.model.kill import Kill
from oomkeeper.model.pod import ContainerFacts, KubeCgroup
from oomkeeper.resources.oomincident import WorkloadIdentity, WorkloadReference

from .pods import Pod, PodTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an incident is about."""

    node: str
    pod: Pod | None = None
    workload: WorkloadReference | None = None
    """The workload that the pod's kills count for."""
    workload_identity: WorkloadIdentity | None = None
    """Which object that workload is; None where it is the pod itself, or not known."""
    pod_uid: str | None = None
    """Set without `pod` where the API server never showed a pod of that uid on this node."""
    container: str | None = None
    container_id: str | None = None
    cgroup: str | None = None
    """The cgroup, for a process of the host and for one of a pod that the API server never showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """A subject, or the reason why it is too early to name it."""

    subject: Subject
    waiting_for: str | None = None
    """None when settled; else what is still missing: `pod`, `container` (the status with the id in the
    victim's cgroup), `status` (one of a container that the kill ended; the cgroup is the pod's) or
    `workload`."""


def attribute(
    kill: Kill, *, node: str, pods: PodTable | None, node_container: str | None = None
) -> Attribution:
    """Match by pod uid and container id, never by the whole path: the log prints paths as the host has them,
    which inside a nested node (kind) start with another prefix than the node's own.

    `pods` None: a bare host, where every kill is of its cgroup. `node_container`: id of the container that
    this node is, None where it is the machine.
    """
    kube = _own_cgroup(kill, node_container=node_container)
    if pods is None or kube is None or kube.pod_uid is None:
        return Attribution(subject=Subject(node=node, cgroup=kill.task_memcg or kill.oom_memcg or "/"))
    pod = pods.find(kube.pod_uid)
    if pod is None:
        path = kill.task_memcg or kill.oom_memcg
        subject = Subject(node=node, pod_uid=kube.pod_uid, container_id=kube.container_id, cgroup=path)
        return Attribution(subject=subject, waiting_for="pod")
    container = _container(pod, kube, kill=kill)
    subject = Subject(
        node=node,
        pod=pod,
        workload=pods.workload(pod),
        workload_identity=pods.workload_identity(pod),
        pod_uid=pod.facts.uid,
        container=container.name if container else None,
        container_id=kube.container_id,
    )
    if subject.workload is None:
        return Attribution(subject=subject, waiting_for="workload")
    return Attribution(subject=subject, waiting_for=_missing(container, kube, kill=kill))


def _missing(container: ContainerFacts | None, kube: KubeCgroup, *, kill: Kill) -> str | None:
    # The pod's own sandbox never appears among the container statuses.
    if container is not None or _is_sandbox(kill):
        return None
    if kube.container_id is not None:
        return "container"
    # A panic ends all containers, and kubelet reports none of them by the time of it.
    return "status" if kill.panic is None else None


def _own_cgroup(kill: Kill, *, node_container: str | None) -> KubeCgroup | None:
    """Return pod and container by the victim's cgroup, or where that names no pod by the one whose limit was
    reached; None for a kill outside this node's pods."""
    paths = [path for path in (kill.task_memcg, kill.oom_memcg) if path]
    found = [parse_own_cgroup(path, node_container=node_container) for path in paths]
    return next((kube for kube in found if kube is not None and kube.pod_uid), None)


def _is_sandbox(kill: Kill) -> bool:
    return bool(kill.victims) and all(victim.comm == "pause" for victim in kill.victims)


def _container(pod: Pod, kube: KubeCgroup, *, kill: Kill) -> ContainerFacts | None:
    containers = pod.facts.containers
    for container in containers:
        if kube.container_id is not None and kube.container_id in container.container_ids:
            return container
    # kubelet may not have published the id yet, and a panic names no victim's cgroup; with one container
    # there is no choice.
    known_inside = kube.container_id is not None or kill.panic is not None
    if len(containers) == 1 and known_inside and not _is_sandbox(kill):
        return containers[0]
    return None
