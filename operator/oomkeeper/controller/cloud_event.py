"""The CloudEvent about the kills of an incident (CloudEvents 1.0, structured mode, JSON).

Its id follows from the incident and its number of kills, so that a repeated one is recognised
(https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#id).
"""

from typing import Any
from urllib.parse import quote

from oomkeeper.model.escaping import printable
from oomkeeper.model.names import API_VERSION
from oomkeeper.model.times import format_time_micro
from oomkeeper.reporting.incident import Incident, PodKills

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
TYPE = "dev.oomkeeper.kill.v1"
_MOST_ADVICE = 3


def event_id(incident: Incident) -> str:
    """Return the id of the event about the incident's present number of kills."""
    return f"{incident.uid}-{incident.count}"


def cloud_event(incident: Incident, *, cluster: str) -> dict[str, Any]:
    """Return the event. `cluster`: a URI reference that tells one cluster from another."""
    path = f"/apis/{API_VERSION}/namespaces/{quote(incident.namespace)}/oomincidents/{quote(incident.name)}"
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id(incident),
        "source": cluster.rstrip("/") + path,
        "type": TYPE,
        "subject": _subject(incident),
        "datacontenttype": "application/json",
        "data": _without_unknown(_data(incident)),
    }
    if incident.last_seen is not None:
        event["time"] = format_time_micro(incident.last_seen)
    return event


def _subject(incident: Incident) -> str:
    workload = incident.workload
    if not workload.namespace:
        return f"Node/{incident.node}"
    return f"{workload.namespace}/{workload.kind}/{workload.name}"


def _data(incident: Incident) -> dict[str, Any]:
    workload, identity = incident.workload, incident.workload_identity
    in_pod = bool(workload.namespace)
    return {
        "incident": {"namespace": incident.namespace, "name": incident.name, "uid": incident.uid},
        "node": incident.node,
        "workload": _without_unknown(
            {
                "namespace": workload.namespace,
                "kind": workload.kind,
                "name": workload.name,
                "uid": identity.uid if identity is not None else None,
            }
        )
        if in_pod
        else None,
        "cgroup": None if in_pod else printable(workload.name),
        "container": incident.container,
        "containerKind": incident.container_kind,
        "cause": incident.cause,
        "kills": incident.count,
        "newKills": max(incident.count - incident.notified, 0),
        "firstSeen": _time(incident.first_seen),
        "lastSeen": _time(incident.last_seen),
        "limitBytes": incident.limit_bytes,
        "summary": printable(incident.summary),
        "advice": [
            {"remedy": remedy, "message": printable(message)}
            for remedy, message in incident.advice[:_MOST_ADVICE]
        ],
        "pods": [_pod(pod) for pod in incident.pods],
    }


def _pod(pod: PodKills) -> dict[str, Any]:
    last = pod.last
    return _without_unknown(
        {
            "name": pod.name,
            "uid": pod.uid,
            "lastSeen": _time(pod.last_seen),
            "victim": printable(last.comm) if last is not None and last.comm else None,
            "pid": last.pid if last is not None else None,
            "residentBytes": last.resident_bytes if last is not None else None,
            "containerSurvived": last.survived if last is not None else None,
        }
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else format_time_micro(seconds)


def _without_unknown(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
