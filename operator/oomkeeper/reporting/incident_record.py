"""The last kill of an OOMIncident as a kill record, so that it is explained in the words of
`oomkeeper explain`. Pure."""

from oomkeeper.model.units import count_text
from oomkeeper.resources.killrecord import Advice, Invoker, KilledProcess, MemoryPart, PodName, RecordedKill
from oomkeeper.resources.oomincident import Evidence, OOMIncident, OOMIncidentStatus, RecentKill

_COMPLETE = "EvidenceComplete"


def record_of_incident(incident: OOMIncident) -> RecordedKill:
    """Return the record of the last kill, as far as the incident holds it: no task table, no zones, no
    counters of swap."""
    spec, status = incident.spec, incident.status or OOMIncidentStatus()
    evidence = status.evidence or Evidence()
    last = status.kills[0] if status.kills else RecentKill(id="", time=status.last_seen or "")
    complete = next((one for one in status.conditions if one.type == _COMPLETE), None)
    limited = evidence.limit_bytes is not None or status.level is not None
    return RecordedKill(
        id=last.id,
        time=last.time or status.last_seen,
        scope="Memcg" if limited else "Global",
        cause=spec.cause,
        outcome=status.outcome or "Killed",
        level=status.level,
        invoker=_invoker(evidence),
        constraint=evidence.constraint,
        victims=_victims(evidence),
        oom_memcg=evidence.oom_memcg,
        task_memcg=evidence.task_memcg or spec.cgroup,
        pod_uid=last.pod_uid,
        container_id=evidence.container_id,
        limit_bytes=evidence.limit_bytes,
        usage_bytes=evidence.usage_bytes,
        binding_counter=evidence.binding_counter,
        contributors=tuple(
            MemoryPart(name=one.name, bytes=one.bytes, share=one.share_percent / 100, detail=one.detail)
            for one in evidence.contributors
        ),
        confidence=status.confidence or "Low",
        summary=status.summary or "",
        advice=tuple(Advice(remedy=one.remedy, message=one.message) for one in status.advice),
        uncertain=_uncertain(status, evidence),
        nodemask=evidence.nodemask,
        mems_allowed=evidence.mems_allowed,
        header_seen=complete is None or complete.reason != "NoReport",
        complete=complete is None or complete.status == "True",
        pod=PodName(namespace=incident.metadata.namespace or "", name=last.pod) if last.pod else None,
        container=spec.container,
        before_install=bool(last.before_install),
    )


def _invoker(evidence: Evidence) -> Invoker | None:
    task = evidence.invoker
    if task is None:
        return None
    return Invoker(
        comm=task.comm or "",
        pid=task.pid,
        order=evidence.order,
        gfp=evidence.gfp,
        oom_score_adj=task.oom_score_adj,
    )


def _victims(evidence: Evidence) -> tuple[KilledProcess, ...]:
    return tuple(
        KilledProcess(
            pid=one.pid,
            comm=one.comm,
            uid=one.uid,
            total_vm_bytes=one.total_vm_bytes,
            anon_rss_bytes=one.anon_rss_bytes,
            file_rss_bytes=one.file_rss_bytes,
            shmem_rss_bytes=one.shmem_rss_bytes,
            oom_score_adj=one.oom_score_adj,
            pgtables_bytes=None,
        )
        for one in evidence.victims
    )


def _uncertain(status: OOMIncidentStatus, evidence: Evidence) -> tuple[str, ...]:
    omitted = victims_omitted_text(evidence)
    return (*status.uncertain, *((omitted,) if omitted else ()))


def victims_omitted_text(evidence: Evidence) -> str:
    """Return how many killed processes the incident has no row for; empty where it has all."""
    more = evidence.victims_omitted
    if not more:
        return ""
    processes = count_text(more, "more killed process", "more killed processes")
    return f"{processes} {'is' if more == 1 else 'are'} not kept in the incident."
