"""The Events about OOM kills: what `kubectl describe` shows of a pod, its workload, or a node.

One series per incident and object. Its name follows from both, so that a restarted controller writes the same
Event. Events expire after an hour (kube-apiserver --event-ttl); none is written for older kills.

The Events have eventTime, action and series as the events.k8s.io/v1 API defines them, and are written through
core/v1: the other API keeps the note of a series as it was at its first Event (docs/decisions/115).
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from oomkeeper.model.cause import ContainerKind
from oomkeeper.model.escaping import printable
from oomkeeper.model.names import API_VERSION, CONTROLLER_MANAGER
from oomkeeper.model.times import format_time, format_time_micro
from oomkeeper.model.units import bytes_text
from oomkeeper.reporting.incident import Incident, PodKills

from .event_objects import LABELS, NOTE_LENGTH, name_with
from .objects import Node

FRESH_SECONDS = 3000.0
"""Age of the last kill up to which its Event is written: less than the lifetime of an Event."""

_ACTION = "OOMKill"
_SURVIVED = ", and the container kept running."
_FIELDS = {
    ContainerKind.INIT_CONTAINER: "spec.initContainers",
    ContainerKind.EPHEMERAL_CONTAINER: "spec.ephemeralContainers",
}
"""Kind of container -> where it is in the pod, as kubelet writes it (pkg/kubelet/container/ref.go)."""


class KillEvent(NamedTuple):
    """One series of Events about one object. Times in seconds since the epoch."""

    incident: Incident
    regarding: Mapping[str, str]
    """Reference to the object."""
    note: str
    kills: int
    first_seen: float
    last_seen: float

    @property
    def subject(self) -> tuple[str, str]:
        """Return the uids of the incident and of the object: what identifies the series."""
        return self.incident.uid, self.regarding.get("uid", "")

    @property
    def namespace(self) -> str:
        """Return the namespace: an Event must be in that of its object; those about cluster-scoped objects
        are in `default` (pkg/apis/core/validation/events.go)."""
        return self.regarding.get("namespace", "default")

    @property
    def name(self) -> str:
        """Return a name that is unique even in `default`: the incident's name contains a hash of its subject,
        and its uid differs when it is created again."""
        kind, uid = self.regarding["kind"], self.regarding.get("uid", "")
        suffix = f".oom-{self.incident.uid[:8]}" + (f"-{uid[:8]}" if kind != "Node" else "")
        return name_with(suffix, base=self.incident.name)


def reason_of(cause: str) -> str:
    """Return the reason of the Events about a cause: OOMContainerLimit for ContainerLimit."""
    return f"OOM{cause}"


def kill_events(incident: Incident, *, nodes: Mapping[str, Node], now: float) -> Iterator[KillEvent]:
    """Yield the Events of an incident whose last kill is recent: about each pod of its last kills, and about
    the workload above them; about the Node for a host process."""
    if incident.count < 1 or incident.last_seen is None or now - incident.last_seen > FRESH_SECONDS:
        return
    if not incident.workload.namespace:
        yield _event(incident, _node(incident, nodes), note=_summary(incident))
        return
    for pod in incident.pods:
        if now - pod.last_seen <= FRESH_SECONDS:
            yield _pod_event(incident, pod)
    if incident.workload_identity is not None:
        regarding = {
            "apiVersion": incident.workload_identity.api_version,
            "kind": incident.workload.kind,
            "name": incident.workload.name,
            "namespace": incident.namespace,
            "uid": incident.workload_identity.uid,
        }
        yield _event(incident, regarding, note=_summary(incident))


def _event(incident: Incident, regarding: Mapping[str, str], *, note: str) -> KillEvent:
    last_seen = incident.last_seen or 0.0
    first_seen = incident.first_seen if incident.first_seen is not None else last_seen
    return KillEvent(incident, regarding, note, incident.count, first_seen, last_seen)


def _pod_event(incident: Incident, pod: PodKills) -> KillEvent:
    """Return the Event about one pod. Its count is of the pod's kills among the incident's last ten, and of
    all kills while they are of one pod."""
    regarding = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": pod.name,
        "namespace": incident.namespace,
        "uid": pod.uid,
    }
    if incident.container:
        field = _FIELDS.get(ContainerKind(incident.container_kind or "Container"), "spec.containers")
        regarding["fieldPath"] = f"{field}{{{incident.container}}}"
    if len(incident.pods) == 1:
        return _event(incident, regarding, note=_summary(incident))
    note = _summary(incident) if pod is incident.pods[0] else _earlier(incident, pod)
    return KillEvent(incident, regarding, note, pod.kills, pod.first_seen, pod.last_seen)


def _node(incident: Incident, nodes: Mapping[str, Node]) -> dict[str, str]:
    reference = {"apiVersion": "v1", "kind": "Node", "name": incident.node}
    if (node := nodes.get(incident.node)) is not None:
        reference["uid"] = node.uid
    return reference


def _summary(incident: Incident) -> str:
    """Return the sentence about the incident's last kill."""
    summary = incident.summary or f"The kernel killed a process, cause {incident.cause}."
    last = incident.pods[0].last if incident.pods else None
    return _sentence(summary, survived=last is not None and last.survived is True)


def _earlier(incident: Incident, pod: PodKills) -> str:
    """Return the sentence about the last kill of a pod whose kill is not the incident's last one."""
    last = pod.last
    victim = last.comm if last is not None and last.comm else "a process"
    details = [f"pid {last.pid}"] if last is not None and last.pid is not None else []
    if last is not None and last.resident_bytes is not None:
        details.append(f"{bytes_text(last.resident_bytes)} resident")
    held = f" ({', '.join(details)})" if details else ""
    container = f" in container {incident.container}" if incident.container else ""
    limit = last.limit_bytes if last is not None else None
    limited = f", limit {bytes_text(limit)}" if limit is not None else ""
    return _sentence(
        f"The kernel killed {victim}{held}{container}{limited}, cause {incident.cause}.",
        survived=last is not None and last.survived is True,
    )


def _sentence(text: str, *, survived: bool) -> str:
    """Return the sentence within the bound of a note, with what became of the container."""
    end = _SURVIVED if survived else ""
    text = printable(text).removesuffix("." if survived else "")
    return _cut(text, NOTE_LENGTH - len(end)) + end


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")


def event_object(event: KillEvent) -> dict[str, Any]:
    """Return the Event for server-side apply. count, firstTimestamp and lastTimestamp repeat what series and
    eventTime hold, for readers that know the older fields only."""
    incident = event.incident
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": event.name,
            "namespace": event.namespace,
            "labels": LABELS,
        },
        "involvedObject": dict(event.regarding),
        "related": {
            "apiVersion": API_VERSION,
            "kind": "OOMIncident",
            "name": incident.name,
            "namespace": incident.namespace,
            "uid": incident.uid,
        },
        "type": "Warning",
        "reason": reason_of(incident.cause),
        "action": _ACTION,
        "message": event.note,
        "eventTime": format_time_micro(event.first_seen),
        "count": event.kills,
        "firstTimestamp": format_time(event.first_seen),
        "lastTimestamp": format_time(event.last_seen),
        "source": {"component": "oomkeeper", "host": incident.node},
        "reportingComponent": "oomkeeper",
        "reportingInstance": CONTROLLER_MANAGER,
    }
    if event.kills > 1:
        body["series"] = {"count": event.kills, "lastObservedTime": format_time_micro(event.last_seen)}
    return body


class Published(NamedTuple):
    """What the last written Event of a series holds."""

    kills: int
    note: int
    """Hash of the note."""


def published(event: KillEvent) -> Published:
    """Return what is remembered of an Event that was written."""
    return Published(event.kills, hash(event.note))


def is_due(event: KillEvent, before: Published | None) -> bool:
    """Return whether the Event must be written: it is unknown what was written (`before` None), there are
    more kills, or the sentence has changed. The count falls when another pod's kills displace the pod's."""
    if before is None or event.kills > before.kills:
        return True
    return event.kills == before.kills and hash(event.note) != before.note
