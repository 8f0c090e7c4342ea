"""Kills folded into incidents: identity, name, and status of an OOMIncident. Pure functions.

The store holds each incident as the agent knows it; `resources.record.to_document` brings it within the
bounds of the custom resource when it is published."""

import hashlib
import re
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from oomkeeper.model.cause import Level, Visibility
from oomkeeper.model.escaping import printable
from oomkeeper.model.names import CAUSE_LABEL, NODE_LABEL, WORKLOAD_KIND_LABEL, WORKLOAD_LABEL
from oomkeeper.model.pod_limits import limits_at, pod_spec_limit, pod_status_limit
from oomkeeper.reporting.growth import with_growth
from oomkeeper.resources.killrecord import Advice, KilledProcess, RecordedKill
from oomkeeper.resources.meta import Condition, ObjectMeta
from oomkeeper.resources.oomincident import (
    AdviceItem,
    ContributorShare,
    Evidence,
    HourCount,
    InvokerFacts,
    OOMIncident,
    OOMIncidentSpec,
    OOMIncidentStatus,
    RecentKill,
    VictimFacts,
    WorkloadReference,
)
from oomkeeper.resources.record import max_items, max_length

from .attribution import Subject
from .clock import full_hour
from .killed_container import container_kind, started_at, survived
from .pods import OOM_KILLED, ContainerState
from .runtime_class import kubelet_report

RING = max_items(OOMIncidentStatus, "kills")
"""Last kills kept in an incident."""
HISTORY_HOURS = max_items(OOMIncidentStatus, "history")
"""Hours of the histogram from which the controller counts windows."""
MAX_VICTIMS = max_items(Evidence, "victims")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""What a label may hold: a longer name is found by the field selectors alone."""


def status_of(incident: OOMIncident) -> OOMIncidentStatus:
    """Return the incident's status; that of an incident without kills where it has none."""
    return incident.status or OOMIncidentStatus(cause=incident.spec.cause, count=0)


def with_status(incident: OOMIncident, status: OOMIncidentStatus) -> OOMIncident:
    """Return the incident with another status."""
    return replace(incident, status=status)


# -- identity and name


def incident_key(subject: Subject, *, cause: str) -> str:
    """Return the identity of the incident a kill belongs to: (workload or host cgroup, container, cause). The
    node is this agent's own."""
    if subject.pod is not None:
        return _workload_key(
            subject.pod.facts.namespace, _workload(subject), container=subject.container, cause=cause
        )
    return "\n".join((f"{subject.node}:{_cgroup(subject)}", subject.container or "", cause))


def key_of_incident(incident: OOMIncident) -> str:
    """Return the same identity, read from the object."""
    spec = incident.spec
    if spec.workload is not None:
        namespace = incident.metadata.namespace or ""
        return _workload_key(namespace, spec.workload, container=spec.container, cause=spec.cause)
    return "\n".join((f"{spec.node_name}:{spec.cgroup or '/'}", spec.container or "", spec.cause))


def _workload_key(namespace: str, workload: WorkloadReference, *, container: str | None, cause: str) -> str:
    return "\n".join((namespace, workload.kind, workload.name, container or "", cause))


def _workload(subject: Subject) -> WorkloadReference:
    if subject.workload is None:
        raise ValueError("the subject's workload is not known yet")
    return subject.workload


def new_incident(subject: Subject, *, cause: str, operator_namespace: str) -> OOMIncident:
    """Return an incident without kills. Its name follows from the identity and the node, so a retry never
    makes a second one."""
    namespace, slug = operator_namespace, _cgroup(subject).rpartition("/")[2] or "root"
    workload = cgroup = None
    labels = {CAUSE_LABEL: cause, "app.kubernetes.io/managed-by": "oomkeeper"}
    if subject.pod is not None:
        workload = _workload(subject)
        namespace, slug = subject.pod.facts.namespace, workload.name
        labels |= {WORKLOAD_KIND_LABEL: workload.kind, WORKLOAD_LABEL: workload.name}
    else:
        cgroup = _cgroup(subject)
    if subject.container:
        slug += "-" + subject.container
    identity = f"{subject.node}\n{incident_key(subject, cause=cause)}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    labels[NODE_LABEL] = subject.node
    return OOMIncident(
        metadata=ObjectMeta(
            name=f"{dns_name(slug)}-{digest}", namespace=namespace, labels=label_values(labels)
        ),
        spec=OOMIncidentSpec(
            node_name=subject.node,
            workload=workload,
            container=subject.container,
            cgroup=cgroup,
            cause=cause,
        ),
        status=OOMIncidentStatus(cause=cause, count=0),
    )


def _cgroup(subject: Subject) -> str:
    """Return the host cgroup as the API can hold it: who may make cgroups may give them any bytes for a name.
    It is part of the identity, so it is cut before anything is made of it."""
    return printable(subject.cgroup or "/")[: max_length(OOMIncidentSpec, "cgroup")]


def label_values(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels whose values a label may have."""
    return {key: value for key, value in labels.items() if _LABEL_VALUE.fullmatch(value)}


def dns_name(text: str) -> str:
    """Return a DNS-1123 label of at most 200 characters made from any text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:200].strip("-") or "x"


# -- kills


def add_kill(
    incident: OOMIncident,
    *,
    record: RecordedKill,
    time: str,
    subject: Subject,
    new: bool,
    now: str | None = None,
) -> OOMIncident:
    """Return the incident with one kill more, or with a renewed record of a kill that it counts already
    (`new` False). Times only move forward: a replay of the log renews nothing older. `now` bounds the
    times."""
    status = status_of(incident)
    if now is not None:
        status = bound_times(status, now=now, to=min(now, time))
    if new:
        status = replace(
            status,
            count=(status.count or 0) + 1,
            history=_with_hours(status.history, [(full_hour(time), 1)]),
        )
    known = next((kill for kill in status.kills if kill.id == record.id), None)
    entry = _recent_kill(record, time=time, subject=subject, known=known)
    others = [kill for kill in status.kills if kill.id != record.id]
    ring = tuple(sorted([entry, *others], key=lambda kill: kill.time, reverse=True)[:RING])
    status = replace(
        status,
        kills=ring,
        first_seen=min(status.first_seen or time, time),
        last_seen=max(status.last_seen or time, time),
    )
    status = replace(status, visibility=_visibility(ring) or status.visibility)
    if ring[0].id == record.id:
        status = _describe(status, record, subject=subject)
        status = replace(status, conditions=(_evidence_condition(status, record, time=time),))
    return with_status(incident, status)


def remove_kill(incident: OOMIncident, *, kill_id: str, time: str) -> OOMIncident:
    """Return the incident without a kill that is counted elsewhere now."""
    status = status_of(incident)
    count = max(0, (status.count or 0) - 1)
    status = replace(
        status,
        count=count,
        history=_with_hours(status.history, [(full_hour(time), -1)]),
        kills=tuple(kill for kill in status.kills if kill.id != kill_id),
    )
    if count == 0:
        status = replace(status, summary="No kill: all were attributed to their pods later.", advice=())
    return with_status(incident, status)


def redate_kills(
    incident: OOMIncident, changes: Mapping[str, tuple[str, str]], *, hours: Mapping[str, int]
) -> OOMIncident:
    """Return the incident with other times of some kills: id -> (time before, time after), of those that it
    names and of its first and last one. `hours`: how many kills each hour gains, or loses."""
    status = status_of(incident)
    kills = [replace(kill, time=changes[kill.id][1]) if kill.id in changes else kill for kill in status.kills]
    kills.sort(key=lambda kill: kill.time, reverse=True)
    moved = dict(changes.values())
    first, last = status.first_seen or "", status.last_seen or ""
    return with_status(
        incident,
        replace(
            status,
            kills=tuple(kills),
            history=_with_hours(status.history, list(hours.items())),
            first_seen=moved.get(first, status.first_seen),
            last_seen=kills[0].time if kills else moved.get(last, status.last_seen),
        ),
    )


def bound_times(status: OOMIncidentStatus, *, now: str, to: str) -> OOMIncidentStatus:
    """Return the status with times after `now` moved to another time: the clock of an earlier boot was wrong,
    and such a kill would stay the last one for years."""
    last = status.last_seen
    if last is None or last <= now:
        return status
    return replace(
        status,
        last_seen=to,
        first_seen=min(status.first_seen or to, to),
        kills=tuple(kill if kill.time <= now else replace(kill, time=to) for kill in status.kills),
    )


def merge_older(incident: OOMIncident, older: OOMIncident) -> OOMIncident:
    """Return the incident with what an earlier state database of this node had counted in it. A panic's
    record stays in pstore, so the earlier state may have counted it too."""
    mine, old = status_of(incident), status_of(older)
    ids = {kill.id for kill in mine.kills}
    both = [kill for kill in old.kills if kill.id in ids]
    hours: dict[str, int] = {}
    for entry in (*old.history, *mine.history):
        hours[entry.hour] = hours.get(entry.hour, 0) + entry.kills
    for kill in both:
        hour = full_hour(kill.time)
        hours[hour] = max(1, hours.get(hour, 0) - 1)
    first = [time for time in (mine.first_seen, old.first_seen) if time is not None]
    merged = replace(
        mine,
        count=(mine.count or 0) + (old.count or 0) - len(both),
        kills=(*mine.kills, *(kill for kill in old.kills if kill.id not in ids))[:RING],
        first_seen=min(first, default=None),
        history=_history(hours),
    )
    return with_status(incident, merged)


def _with_hours(history: Iterable[HourCount], changes: Iterable[tuple[str, int]]) -> tuple[HourCount, ...]:
    """Return the history with so many kills more (or less) in each of these hours."""
    counts = {entry.hour: entry.kills for entry in history}
    for hour, kills in changes:
        counts[hour] = counts.get(hour, 0) + kills
    return _history({hour: kills for hour, kills in counts.items() if kills > 0})


def _history(counts: dict[str, int]) -> tuple[HourCount, ...]:
    return tuple(HourCount(hour=hour, kills=counts[hour]) for hour in sorted(counts)[-HISTORY_HOURS:])


def _recent_kill(
    record: RecordedKill, *, time: str, subject: Subject, known: RecentKill | None
) -> RecentKill:
    victim = record.victims[0] if record.victims else None
    facts = subject.pod.facts if subject.pod else None
    if facts is None:
        # What kubelet reported of a pod that is gone since before the first start is not known.
        unknown = None if record.before_install else Visibility.INVISIBLE
        visibility: str | None = Visibility.HOST if subject.pod_uid is None else unknown
    else:
        # Undecided until kubelet reports the kill or does not in time; a decision stays.
        visibility = known.visibility if known else None
    return RecentKill(
        id=record.id,
        time=time,
        comm=victim.comm if victim else None,
        pid=victim.pid if victim else None,
        usage_bytes=record.usage_bytes,
        limit_bytes=record.limit_bytes,
        anon_rss_bytes=victim.anon_rss_bytes if victim else None,
        pod=facts.name if facts else None,
        pod_uid=facts.uid if facts else None,
        container_id=subject.container_id,
        started_at=started_at(subject) or (known.started_at if known else None),
        visibility=visibility,
        container_survived=known.container_survived if known else None,
        before_install=record.before_install or None,
    )


def _describe(status: OOMIncidentStatus, record: RecordedKill, *, subject: Subject) -> OOMIncidentStatus:
    """Return the status with the part that describes the last kill."""
    return replace(
        status,
        workload=subject.workload_identity,
        container_kind=container_kind(subject),
        level=record.level,
        outcome=record.outcome,
        confidence=record.confidence,
        summary=record.summary,
        advice=_advice(record.advice, status),
        uncertain=record.uncertain,
        evidence=_evidence(record, subject=subject, before=status.evidence),
    )


def _advice(advice: Iterable[Advice], status: OOMIncidentStatus) -> tuple[AdviceItem, ...]:
    items = tuple(AdviceItem(remedy=item.remedy, message=item.message) for item in advice)
    return with_growth(items, status.kills, cause=status.cause or "")


def _evidence(record: RecordedKill, *, subject: Subject, before: Evidence | None) -> Evidence:
    """Return the evidence of a kill. What kubelet reported of the same container before is kept."""
    invoker = record.invoker
    spec_limit, status_limit = _pod_limits(record, subject)
    same = before is not None and before.container_id == subject.container_id
    return Evidence(
        limit_bytes=record.limit_bytes,
        usage_bytes=record.usage_bytes,
        binding_counter=record.binding_counter,
        spec_limit_bytes=spec_limit,
        status_limit_bytes=status_limit,
        container_id=subject.container_id,
        reason=before.reason if same and before else None,
        exit_code=before.exit_code if same and before else None,
        oom_memcg=record.oom_memcg,
        task_memcg=record.task_memcg,
        constraint=record.constraint,
        nodemask=record.nodemask,
        mems_allowed=record.mems_allowed,
        invoker=InvokerFacts(comm=invoker.comm, pid=invoker.pid, oom_score_adj=invoker.oom_score_adj)
        if invoker
        else None,
        gfp=invoker.gfp if invoker else None,
        order=invoker.order if invoker else None,
        contributors=tuple(
            ContributorShare(
                name=part.name, bytes=part.bytes, share_percent=round(part.share * 100), detail=part.detail
            )
            for part in record.contributors
        ),
        victims=tuple(map(_victim, record.victims[:MAX_VICTIMS])),
        victims_omitted=max(0, len(record.victims) - MAX_VICTIMS) or None,
    )


def _victim(victim: KilledProcess) -> VictimFacts:
    return VictimFacts(
        pid=victim.pid,
        comm=victim.comm,
        uid=victim.uid,
        total_vm_bytes=victim.total_vm_bytes,
        anon_rss_bytes=victim.anon_rss_bytes,
        file_rss_bytes=victim.file_rss_bytes,
        shmem_rss_bytes=victim.shmem_rss_bytes,
        oom_score_adj=victim.oom_score_adj,
    )


def _evidence_condition(status: OOMIncidentStatus, record: RecordedKill, *, time: str) -> Condition:
    """Return whether the report of the last kill is complete."""
    if not record.header_seen:
        value, reason = "False", "NoReport"
        message = "The kernel printed no report of this kill (rate limit), or the report was lost."
    elif not record.complete:
        value, reason, message = "False", "ReportCut", "Records of the kernel's report are missing."
    else:
        value, reason, message = "True", "ReportComplete", "The kernel's report is complete."
    since = next((one.last_transition_time for one in status.conditions if one.status == value), time)
    return Condition(
        type="EvidenceComplete", status=value, reason=reason, message=message, last_transition_time=since
    )


def _pod_limits(record: RecordedKill, subject: Subject) -> tuple[int | None, int | None]:
    """Return the limit in the pod's spec, and the one that kubelet reports in force: the container's; the
    pod's where its cgroup reached the limit, or where no container is named."""
    if subject.pod is None:
        return None, None
    facts = limits_at(subject.pod.facts, record.time) if record.time is not None else subject.pod.facts
    if record.level == Level.POD and (whole := pod_spec_limit(facts)) is not None:
        return whole, pod_status_limit(facts)
    for container in facts.containers:
        if container.name == subject.container and container.spec_limit_bytes is not None:
            return container.spec_limit_bytes, container.status_limit_bytes
    return facts.spec_limit_bytes, facts.status_limit_bytes if facts.spec_limit_bytes is not None else None


# -- kubelet's view


def reported_only(
    incident: OOMIncident,
    *,
    subject: Subject,
    state: ContainerState,
    kill_id: str,
    time: str,
    before_install: bool = False,
) -> OOMIncident:
    """Return the incident with a kill of which the container's status is the only evidence."""
    facts = subject.pod.facts if subject.pod is not None else None
    report = kubelet_report(facts, container=subject.container, state=state, before_install=before_install)
    record = RecordedKill(
        id=kill_id,
        time=time,
        scope="Unknown",
        cause=incident.spec.cause,
        outcome="Killed",
        level=None,
        invoker=None,
        constraint=None,
        victims=(),
        oom_memcg=None,
        task_memcg=None,
        pod_uid=None,
        container_id=subject.container_id,
        limit_bytes=None,
        usage_bytes=None,
        binding_counter=None,
        contributors=(),
        confidence="Low",
        summary=report.summary,
        advice=(),
        uncertain=report.uncertain,
        before_install=before_install,
    )
    incident = add_kill(incident, record=record, time=time, subject=subject, new=True)
    return with_visibility(incident, kill_id, Visibility.REPORTED_ONLY, state=state)


def with_status_at_install(incident: OOMIncident, kill_id: str, *, subject: Subject) -> OOMIncident:
    """Return the incident with what kubelet reports of a kill before the first start. Where the status of
    the container is gone, it stays unknown."""
    states = subject.pod.states if subject.pod is not None else {}
    state = states.get(subject.container_id or "")
    if state is None:
        return incident
    visibility = Visibility.REPORTED if state.reason == OOM_KILLED else Visibility.INVISIBLE
    return with_visibility(incident, kill_id, visibility, state=state)


def _visibility(kills: Iterable[RecentKill]) -> str | None:
    """Return the visibility of the newest kill for which it is decided."""
    return next((kill.visibility for kill in kills if kill.visibility is not None), None)


def with_visibility(
    incident: OOMIncident, kill_id: str, visibility: str, *, state: ContainerState | None = None
) -> OOMIncident:
    """Return the incident with where one of its recent kills was reported, and what kubelet reports of the
    container. A kill that was reported stays reported."""
    status = status_of(incident)
    before = next((kill for kill in status.kills if kill.id == kill_id), None)
    if before is None or before.visibility == Visibility.REPORTED:
        return incident
    lives = survived(before, state)
    decided = replace(
        before,
        visibility=visibility,
        started_at=before.started_at or (state.started_at if state is not None else None),
        container_survived=before.container_survived if lives is None else lives,
    )
    kills = tuple(decided if kill is before else kill for kill in status.kills)
    status = replace(status, kills=kills, visibility=_visibility(kills))
    if state is not None and kills[0].id == kill_id:
        evidence = status.evidence or Evidence()
        status = replace(
            status,
            evidence=replace(
                evidence,
                reason=state.reason or evidence.reason,
                exit_code=evidence.exit_code if state.exit_code is None else state.exit_code,
            ),
        )
    return with_status(incident, status)
