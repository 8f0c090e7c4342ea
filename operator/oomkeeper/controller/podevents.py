"""The Event that tells the reader of `kubectl describe pod` what happened.

One per incident, with a name that follows from the incident's and the incident's own count: writing it again,
by a restarted controller too, changes nothing. Host incidents tell it of the Node. Events fade after an hour
(kube-apiserver --event-ttl); older incidents are not told again.
"""

from typing import Any

from oomkeeper.model.names import CONTROLLER_MANAGER
from oomkeeper.reporting.incident import Incident
from oomkeeper.reporting.times import format_time

from .records import Node

FRESH_SECONDS = 3000.0
"""How old the last kill may be for its Event to be (re)written: less than the hour after which Events
fade."""

_MESSAGE_MAX = 1024  # k8s.io/kubernetes pkg/apis/core/validation/events.go NoteLengthLimit
_NAME_MAX = 253


def event_of(incident: Incident, *, node: Node | None) -> dict[str, Any]:
    """The core/v1 Event for server-side apply."""
    involved: dict[str, Any]
    if incident.pod_name:
        # An Event about a namespaced object has to be in its namespace.
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
    """Unique also in `default`: an incident's name carries a hash of its subject, and its uid the life of
    the object."""
    suffix = f".oom-{incident.uid[:8]}"
    return incident.name[: _NAME_MAX - len(suffix)] + suffix


def is_due(incident: Incident, *, told: int | None, now: float) -> bool:
    """Whether the Event is to be written: the incident is fresh, and `told` kills (None: unknown) are not
    all of them."""
    if incident.count < 1 or incident.last_seen is None or now - incident.last_seen > FRESH_SECONDS:
        return False
    return told is None or incident.count > told
