"""The pod Event: what `kubectl describe pod` shows about an OOM kill.

One Event per incident. Its name follows from the incident and its count is the incident's, so that a
restarted controller writes the same Event. Host incidents have the Node as their object. Events expire after
an hour (kube-apiserver --event-ttl); none is written for older kills.
"""

from typing import Any

from oomkeeper.model.names import CONTROLLER_MANAGER
from oomkeeper.model.times import format_time
from oomkeeper.reporting.incident import Incident

from .objects import Node

FRESH_SECONDS = 3000.0
"""Age of the last kill up to which its Event is written: less than the lifetime of an Event."""

_MESSAGE_MAX = 1024  # k8s.io/kubernetes pkg/apis/core/validation/events.go NoteLengthLimit
_NAME_MAX = 253


def event_of(incident: Incident, *, node: Node | None) -> dict[str, Any]:
    """Return the core/v1 Event for server-side apply."""
    involved: dict[str, Any]
    if incident.pod_name:
        # An Event must be in the namespace of its object.
        namespace = incident.namespace
        involved = {"apiVersion": "v1", "kind": "Pod", "name": incident.pod_name, "namespace": namespace}
        if incident.pod_uid:
            involved["uid"] = incident.pod_uid
        if incident.container:
            involved["fieldPath"] = f"spec.containers{{{incident.container}}}"
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
            "name": _name(incident),
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "oomkeeper"},
        },
        "involvedObject": involved,
        "type": "Warning",
        "reason": "OOMKilled",
        "message": (incident.summary or f"killed by the kernel, cause {incident.cause}")[:_MESSAGE_MAX],
        "count": incident.count,
        "source": {"component": "oomkeeper", "host": incident.node},
        "reportingComponent": "oomkeeper",
        "reportingInstance": CONTROLLER_MANAGER,
    }
    if incident.first_seen is not None:
        event["firstTimestamp"] = format_time(incident.first_seen)
    if incident.last_seen is not None:
        event["lastTimestamp"] = format_time(incident.last_seen)
    return event


def _name(incident: Incident) -> str:
    """Return a name that is unique even in `default`: the incident's name contains a hash of its subject, and
    its uid differs when it is created again."""
    suffix = f".oom-{incident.uid[:8]}"
    return incident.name[: _NAME_MAX - len(suffix)] + suffix


def is_due(incident: Incident, *, published: int | None, now: float) -> bool:
    """Return whether the Event must be written: the last kill is recent, and the Event's count, `published`
    (None: unknown), is lower than the incident's."""
    if incident.count < 1 or incident.last_seen is None or now - incident.last_seen > FRESH_SECONDS:
        return False
    return published is None or incident.count > published
