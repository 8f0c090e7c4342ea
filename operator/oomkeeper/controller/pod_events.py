"""The pod Event: what `kubectl describe pod` shows about an OOM kill.

One Event per incident and pod. Its name follows from both, so that a restarted controller writes the same
Event. Host incidents have the Node as their object. Events expire after an hour (kube-apiserver --event-ttl);
none is written for older kills.
"""

from typing import Any

from oomkeeper.model.names import CONTROLLER_MANAGER
from oomkeeper.model.times import format_time
from oomkeeper.reporting.incident import Incident, PodKills

from .objects import Node

FRESH_SECONDS = 3000.0
"""Age of the last kill up to which its Event is written: less than the lifetime of an Event."""

_MESSAGE_MAX = 1024  # k8s.io/kubernetes pkg/apis/core/validation/events.go NoteLengthLimit
_NAME_MAX = 253


def pods_of(incident: Incident) -> tuple[PodKills | None, ...]:
    """Return the pods that get an Event; None stands for the Node of a host process."""
    if incident.workload.namespace:
        return incident.pods
    return (None,)


def kills_of(incident: Incident, pod: PodKills | None) -> int:
    """Return the count of an Event: the pod's kills among the incident's last ten, and all kills of the
    incident while they are of one pod."""
    if pod is None or len(incident.pods) == 1:
        return incident.count
    return pod.kills


def event_of(incident: Incident, pod: PodKills | None, *, node: Node | None) -> dict[str, Any]:
    """Return the core/v1 Event for server-side apply."""
    involved: dict[str, Any]
    first_seen, last_seen = incident.first_seen, incident.last_seen
    message = incident.summary or f"killed by the kernel, cause {incident.cause}"
    if pod is not None:
        # An Event must be in the namespace of its object.
        namespace = incident.namespace
        involved = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod.name,
            "namespace": namespace,
            "uid": pod.uid,
        }
        if incident.container:
            involved["fieldPath"] = f"spec.containers{{{incident.container}}}"
        if len(incident.pods) > 1:
            first_seen, last_seen = pod.first_seen, pod.last_seen
        if pod is not incident.pods[0]:
            container = f"container {incident.container}" if incident.container else "a process"
            message = (
                f"The kernel killed {container}, cause {incident.cause}: see OOMIncident {incident.name}"
            )
    else:
        # Events about cluster-scoped objects live in `default` (pkg/apis/core/validation/events.go).
        namespace = "default"
        involved = {"apiVersion": "v1", "kind": "Node", "name": incident.node}
        if node is not None:
            involved["uid"] = node.uid
    event: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": _name(incident, pod),
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "oomkeeper"},
        },
        "involvedObject": involved,
        "type": "Warning",
        "reason": "OOMKilled",
        "message": message[:_MESSAGE_MAX],
        "count": kills_of(incident, pod),
        "source": {"component": "oomkeeper", "host": incident.node},
        "reportingComponent": "oomkeeper",
        "reportingInstance": CONTROLLER_MANAGER,
    }
    if first_seen is not None:
        event["firstTimestamp"] = format_time(first_seen)
    if last_seen is not None:
        event["lastTimestamp"] = format_time(last_seen)
    return event


def _name(incident: Incident, pod: PodKills | None) -> str:
    """Return a name that is unique even in `default`: the incident's name contains a hash of its subject, and
    its uid differs when it is created again."""
    suffix = f".oom-{incident.uid[:8]}" + (f"-{pod.uid[:8]}" if pod else "")
    return incident.name[: _NAME_MAX - len(suffix)] + suffix


def is_due(incident: Incident, pod: PodKills | None, *, published: int | None, now: float) -> bool:
    """Return whether the Event must be written: the last kill is recent, and the Event's count, `published`
    (None: unknown), is lower than the incident's."""
    last_seen = pod.last_seen if pod and len(incident.pods) > 1 else incident.last_seen
    if incident.count < 1 or last_seen is None or now - last_seen > FRESH_SECONDS:
        return False
    return published is None or kills_of(incident, pod) > published
