"""Kills folded into incidents: names, subjects and statuses as plain documents of the OOMIncident resource.
Pure functions."""

import hashlib
import re
from typing import Any

from oomkeeper.model.escaping import printable
from oomkeeper.model.names import API_VERSION, CAUSE_LABEL, NODE_LABEL
from oomkeeper.reporting.growth import with_growth

from .attribution import Subject
from .clock import full_hour
from .pods import ContainerState

RING = 5
"""Last kills kept in an incident."""
HISTORY_HOURS = 168
"""Hours of the histogram from which the controller counts windows."""
MAX_VICTIMS = 16
MAX_TEXT = 1024
MAX_LINE = 256
MAX_PATH = 4096
MAX_LABEL = 63
"""Characters of a label value: a longer node name is found by the field selector spec.nodeName alone."""

_VICTIM_FIELDS = (
    "pid",
    "comm",
    "uid",
    "totalVmBytes",
    "anonRssBytes",
    "fileRssBytes",
    "shmemRssBytes",
    "oomScoreAdj",
)

Document = dict[str, Any]


def incident_key(subject: Subject, *, cause: str) -> str:
    """Identity of the incident a kill belongs to: (pod or host cgroup, container, cause)."""
    place = subject.pod.facts.uid if subject.pod is not None else f"{subject.node}:{_cgroup(subject)}"
    return _key(place, container=subject.container, cause=cause)


def key_of_document(document: Document) -> str:
    """The same identity, read from the object."""
    spec = document["spec"]
    place = spec["pod"]["uid"] if "pod" in spec else f"{spec['nodeName']}:{spec.get('cgroup', '/')}"
    return _key(place, container=spec.get("container"), cause=spec["cause"])


def merge_older(document: Document, older: Document) -> Document:
    """The incident with what an earlier state of this node had counted in it. A panic's record lies in pstore
    for whoever comes, so the earlier state may have counted it too."""
    status, old = document["status"], older["status"]
    ids = {kill["id"] for kill in status.get("kills", [])}
    ring = [*status.get("kills", []), *(kill for kill in old.get("kills", []) if kill["id"] not in ids)]
    both = [kill for kill in old.get("kills", []) if kill["id"] in ids]
    hours: dict[str, int] = {}
    for entry in [*old.get("history", []), *status.get("history", [])]:
        hours[entry["hour"]] = hours.get(entry["hour"], 0) + entry["kills"]
    for kill in both:
        hour = full_hour(kill["time"])
        hours[hour] = max(1, hours.get(hour, 0) - 1)
    merged = {
        **old,
        **status,
        "count": status["count"] + old.get("count", 0) - len(both),
        "kills": ring[:RING],
        "firstSeen": min(status.get("firstSeen", "9"), old.get("firstSeen", "9")),
        "history": [{"hour": hour, "kills": hours[hour]} for hour in sorted(hours)[-HISTORY_HOURS:]],
    }
    return {**document, "status": merged}


def _key(place: str, *, container: str | None, cause: str) -> str:
    return "\n".join((place, container or "", cause))


def new_incident(subject: Subject, *, cause: str, operator_namespace: str) -> Document:
    """The object without its status. Its name follows from the identity, so a retry never makes a second
    one."""
    spec: Document = {"nodeName": subject.node, "cause": cause}
    namespace = operator_namespace
    if subject.pod is not None:
        facts = subject.pod.facts
        namespace = facts.namespace
        slug = facts.name
        spec["pod"] = {"name": facts.name, "uid": facts.uid}
        spec["workload"] = {"kind": facts.workload_kind, "name": facts.workload_name}
    else:
        slug = _cgroup(subject).rpartition("/")[2] or "root"
        spec["cgroup"] = _cgroup(subject)
    if subject.container:
        spec["container"] = subject.container
        slug += "-" + subject.container
    digest = hashlib.sha256(incident_key(subject, cause=cause).encode()).hexdigest()[:10]
    labels = {CAUSE_LABEL: cause, "app.kubernetes.io/managed-by": "oomkeeper"}
    if len(subject.node) <= MAX_LABEL:
        labels[NODE_LABEL] = subject.node
    return {
        "apiVersion": API_VERSION,
        "kind": "OOMIncident",
        "metadata": {
            "name": f"{_dns_name(slug)}-{digest}",
            "namespace": namespace,
            "labels": labels,
        },
        "spec": spec,
        "status": {"cause": cause, "count": 0, "kills": [], "history": []},
    }


def _cgroup(subject: Subject) -> str:
    """The host cgroup as the API can hold it: whoever may make cgroups may give them any bytes for a name."""
    return printable(subject.cgroup or "/")[:MAX_PATH]


def _dns_name(text: str) -> str:
    """A DNS-1123 label of at most 200 characters made from any text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:200].strip("-") or "x"


def add_kill(
    document: Document, *, record: Document, kill_id: str, time: str, subject: Subject, new: bool
) -> Document:
    """The incident with one kill more, or with a renewed record of the kill that it already counts (`new`
    False).

    `record` is the kill as `oomkeeper explain --output json` gives it. Times only move forward: a replay of
    the log renews nothing older.
    """
    status = dict(document["status"])
    if new:
        status["count"] = status["count"] + 1
        status["history"] = _count_hour(status.get("history", []), hour=full_hour(time))
    entry = _ring_entry(record, kill_id=kill_id, time=time)
    others = [kill for kill in status.get("kills", []) if kill["id"] != kill_id]
    ring = sorted([entry, *others], key=lambda kill: str(kill["time"]), reverse=True)[:RING]
    status["kills"] = ring
    status["firstSeen"] = min(status.get("firstSeen", time), time)
    status["lastSeen"] = max(status.get("lastSeen", time), time)
    if ring[0]["id"] == kill_id:
        status.update(_verdict(record, subject=subject))
        status["advice"] = _bounded(with_growth(status["advice"], ring, cause=status["cause"]))
        status["conditions"] = [_evidence_condition(record, before=status.get("conditions", []), time=time)]
    return {**document, "status": status}


def _count_hour(history: list[Document], *, hour: str) -> list[Document]:
    counts = {entry["hour"]: entry["kills"] for entry in history}
    counts[hour] = counts.get(hour, 0) + 1
    return [{"hour": key, "kills": counts[key]} for key in sorted(counts)[-HISTORY_HOURS:]]


def _ring_entry(record: Document, *, kill_id: str, time: str) -> Document:
    victim = record["victims"][0] if record["victims"] else {}
    return _present(
        id=kill_id,
        time=time,
        comm=victim.get("comm"),
        pid=victim.get("pid"),
        usageBytes=record["usageBytes"],
        limitBytes=record["limitBytes"],
        anonRssBytes=victim.get("anonRssBytes"),
    )


def _verdict(record: Document, *, subject: Subject) -> Document:
    """The part of the status that describes the last kill."""
    victims = record["victims"]
    invoker = record["invoker"]
    evidence = _present(
        limitBytes=record["limitBytes"],
        usageBytes=record["usageBytes"],
        bindingCounter=record["bindingCounter"],
        specLimitBytes=_spec_limit(subject),
        containerID=subject.container_id,
        oomMemcg=_cut(record["oomMemcg"], MAX_PATH),
        taskMemcg=_cut(record["taskMemcg"], MAX_PATH),
        constraint=_cut(record["constraint"], MAX_LINE),
        nodemask=_cut(record.get("nodemask"), MAX_TEXT),
        memsAllowed=_cut(record.get("memsAllowed"), MAX_TEXT),
        invoker=_present(comm=invoker["comm"], pid=invoker["pid"], oomScoreAdj=invoker["oomScoreAdj"])
        if invoker
        else None,
        gfp=_cut(invoker["gfp"], MAX_TEXT) if invoker else None,
        order=invoker["order"] if invoker else None,
        contributors=[
            _present(
                name=part["name"],
                bytes=part["bytes"],
                sharePercent=max(0, min(100, round(part["share"] * 100))),
                detail=part.get("detail"),
            )
            for part in record["contributors"][:12]
        ],
        victims=[
            _present(**{name: victim[name] for name in _VICTIM_FIELDS}) for victim in victims[:MAX_VICTIMS]
        ],
        victimsOmitted=max(0, len(victims) - MAX_VICTIMS) or None,
    )
    return {
        "level": record["level"],
        "outcome": record["outcome"],
        "confidence": record["confidence"],
        "summary": record["summary"][:MAX_TEXT],
        "advice": _bounded(record["advice"]),
        "uncertain": [text[:MAX_TEXT] for text in record.get("uncertain", [])[:8]],
        "evidence": evidence,
    }


def _evidence_condition(record: Document, *, before: list[Document], time: str) -> Document:
    """Whether the last kill's report was there whole."""
    if not record.get("headerSeen"):
        value, reason = "False", "NoReport"
        message = "No report of the kernel's came with the kill: left out by its rate limit, or lost."
    elif not record.get("complete"):
        value, reason, message = "False", "ReportCut", "Records of the kernel's report are missing."
    else:
        value, reason, message = "True", "ReportComplete", "The kernel's report was read whole."
    since = next((one["lastTransitionTime"] for one in before if one["status"] == value), time)
    return {
        "type": "EvidenceComplete",
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
    }


def _bounded(advice: list[Document]) -> list[Document]:
    return [{"remedy": item["remedy"], "message": item["message"][:MAX_TEXT]} for item in advice[:8]]


def _cut(text: str | None, length: int) -> str | None:
    """What the custom resource has room for: one field too long and the API server refuses the whole kill."""
    return None if text is None else text[:length]


def _spec_limit(subject: Subject) -> int | None:
    """The limit in the pod's spec that bounds the subject: the container's, else the pod's own."""
    if subject.pod is None:
        return None
    for container in subject.pod.facts.containers:
        if container.name == subject.container and container.limit_bytes is not None:
            return container.limit_bytes
    return subject.pod.facts.limit_bytes


def _present(**fields: Any) -> Document:
    return {name: value for name, value in fields.items() if value is not None}


def reported_only(
    subject: Subject, *, state: ContainerState, document: Document, time: str, new_id: str
) -> Document:
    """An incident whose only witness is the container's status."""
    summary = (
        f"kubelet says that container {subject.container} ended OOMKilled (exit code {state.exit_code}), "
        "and the kernel log that this agent could read holds no kill of it."
    )
    record: Document = {
        "victims": [],
        "invoker": None,
        "limitBytes": None,
        "usageBytes": None,
        "bindingCounter": None,
        "oomMemcg": None,
        "taskMemcg": None,
        "constraint": None,
        "contributors": [],
        "level": None,
        "outcome": "Killed",
        "confidence": "Low",
        "summary": summary,
        "advice": [],
        "uncertain": ["Which limit was hit, and which process died, is known to the kernel log alone."],
    }
    document = add_kill(document, record=record, kill_id=new_id, time=time, subject=subject, new=True)
    return with_visibility(document, "ReportedOnly", state=state)


def with_visibility(
    document: Document, visibility: str | None, *, state: ContainerState | None = None
) -> Document:
    """The incident with what kubelet says of it (`visibility` None: nothing yet)."""
    status = dict(document["status"])
    if visibility is None:
        status.pop("visibility", None)
    else:
        status["visibility"] = visibility
    if state is not None:
        status["evidence"] = {
            **status.get("evidence", {}),
            **_present(reason=state.reason, exitCode=state.exit_code),
        }
    return {**document, "status": status}


def for_api(document: Document) -> Document:
    """The status as it is applied: a None is left out, which in server-side apply gives the field up."""
    return {
        **document,
        "status": {name: value for name, value in document["status"].items() if value is not None},
    }
