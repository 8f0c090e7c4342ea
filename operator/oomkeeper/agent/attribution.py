"""Whose kill was it: from the victim's cgroup path to a pod's container, or to a cgroup of the host."""

from dataclasses import dataclass

from oomkeeper.model.kill import Kill
from oomkeeper.model.pod import ContainerFacts, KubeCgroup
from oomkeeper.reporting.kill_json import kube_cgroup

from .pods import Pod, PodTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an incident is about."""

    node: str
    pod: Pod | None = None
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
    """None when settled; else what may still arrive: `pod` or `container`."""


def attribute(kill: Kill, *, node: str, pods: PodTable) -> Attribution:
    """Match by pod uid and container id, never by the whole path: the log prints paths as the host sees
    them, which inside a nested node (kind) start with another prefix than the node's own."""
    kube = kube_cgroup(kill)
    if kube is None or kube.pod_uid is None:
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
        pod_uid=pod.facts.uid,
        container=container.name if container else None,
        container_id=kube.container_id,
    )
    # The pod's own sandbox never appears among the container statuses.
    undecided = container is None and kube.container_id is not None and not _is_sandbox(kill)
    return Attribution(subject=subject, waiting_for="container" if undecided else None)


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
