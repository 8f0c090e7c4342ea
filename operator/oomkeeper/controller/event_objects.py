"""core/v1 Events about cluster-scoped objects, for server-side apply."""

from typing import Any, NamedTuple

from oomkeeper.model.names import API_VERSION, CONTROLLER_MANAGER
from oomkeeper.model.times import format_time

NOTE_LENGTH = 1024
"""k8s.io/kubernetes pkg/apis/core/validation/events.go, NoteLengthLimit."""
LABELS = {"app.kubernetes.io/managed-by": "oomkeeper"}
_NAME_LENGTH = 253


class Subject(NamedTuple):
    """The object that an Event is about: an OOMNode or OOMPolicy."""

    kind: str
    name: str
    uid: str


class ClusterEvent(NamedTuple):
    """One series of Events: written again with a higher count or another message."""

    subject: Subject
    series: str
    """Distinguishes the series of one subject; lower-case letters, digits and '-'."""
    type: str
    """Normal or Warning."""
    reason: str
    message: str
    times: int = 1


def name_with(suffix: str, *, base: str) -> str:
    """Return a name that ends in `suffix`; of `base` as much as fits."""
    return base[: _NAME_LENGTH - len(suffix)] + suffix


def event_name(event: ClusterEvent) -> str:
    """Return the name: the same for the same series of the same object."""
    return name_with(f".{event.series}-{event.subject.uid[:8]}", base=event.subject.name)


def event_object(event: ClusterEvent, *, now: float) -> dict[str, Any]:
    """Return the Event. Those about cluster-scoped objects are in the namespace `default`
    (pkg/apis/core/validation/events.go). `now`: seconds since the epoch.

    kubectl describe takes the age of a single one from firstTimestamp. Of several the first is not known.
    """
    first = {"firstTimestamp": format_time(now)} if event.times == 1 else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": event_name(event),
            "namespace": "default",
            "labels": LABELS,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": event.subject.kind,
            "name": event.subject.name,
            "uid": event.subject.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:NOTE_LENGTH],
        "count": event.times,
        **first,
        "lastTimestamp": format_time(now),
        "source": {"component": "oomkeeper"},
        "reportingComponent": "oomkeeper",
        "reportingInstance": CONTROLLER_MANAGER,
    }
