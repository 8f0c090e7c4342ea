"""Ends of containers folded into ContainerKills: identity, name and status. Pure functions."""

import hashlib
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from oomkeeper.model.killer import EndFacts, KillSignal, Verdict
from oomkeeper.model.names import KILLER_LABEL, NODE_LABEL, WORKLOAD_KIND_LABEL, WORKLOAD_LABEL
from oomkeeper.resources.containerkill import (
    ClaimEvidence,
    ContainerKill,
    ContainerKillSpec,
    ContainerKillStatus,
    EventEvidence,
    KillEvidence,
    RecentEnd,
    SenderFacts,
    TargetFacts,
)
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import WorkloadReference
from oomkeeper.resources.record import bounded, max_items

from .clock import rfc3339
from .incidents import dns_name, label_values

RING = max_items(ContainerKillStatus, "ends")
"""Last ends kept."""
MAX_BYTES = 16 * 1024
"""Bytes of JSON that a ContainerKill may have, without what the API server adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnd:
    """One end of a container, with its evidence."""

    namespace: str
    pod: str
    pod_uid: str
    container_id: str
    workload: WorkloadReference
    time: str
    facts: EndFacts
    verdict: Verdict


def container_kill_key(end: ContainerEnd) -> str:
    """Return the identity of the ContainerKill that an end belongs to. The node is this agent's own."""
    return _key(end.namespace, end.workload, container=end.facts.container, killer=end.verdict.killer)


def key_of_container_kill(kill: ContainerKill) -> str:
    """Return the same identity, read from the object."""
    spec = kill.spec
    return _key(kill.metadata.namespace or "", spec.workload, container=spec.container, killer=spec.killer)


def _key(namespace: str, workload: WorkloadReference, *, container: str, killer: str) -> str:
    return "\n".join(("killed", namespace, workload.kind, workload.name, container, killer))


def kill_status_of(kill: ContainerKill) -> ContainerKillStatus:
    """Return the status; that of an object without ends where it has none."""
    return kill.status or ContainerKillStatus(count=0)


def new_container_kill(end: ContainerEnd, *, node: str) -> ContainerKill:
    """Return a ContainerKill without ends. Its name follows from the identity and the node, so a retry never
    makes a second one."""
    digest = hashlib.sha256(f"{node}\n{container_kill_key(end)}".encode()).hexdigest()[:10]
    labels = {
        KILLER_LABEL: str(end.verdict.killer),
        NODE_LABEL: node,
        WORKLOAD_KIND_LABEL: end.workload.kind,
        WORKLOAD_LABEL: end.workload.name,
        "app.kubernetes.io/managed-by": "oomkeeper",
    }
    return ContainerKill(
        metadata=ObjectMeta(
            name=f"{dns_name(f'{end.workload.name}-{end.facts.container}')}-{digest}",
            namespace=end.namespace,
            labels=label_values(labels),
        ),
        spec=ContainerKillSpec(
            node_name=node,
            workload=end.workload,
            container=end.facts.container,
            killer=str(end.verdict.killer),
        ),
        status=ContainerKillStatus(count=0),
    )


def add_end(kill: ContainerKill, end: ContainerEnd) -> ContainerKill:
    """Return the ContainerKill with one end more."""
    status = kill_status_of(kill)
    recent = RecentEnd(
        pod=end.pod,
        pod_uid=end.pod_uid,
        container_id=end.container_id,
        time=end.time,
        exit_code=end.facts.exit_code,
        reason=end.facts.reason,
        certainty=str(end.verdict.certainty),
        summary=end.verdict.summary,
    )
    ring = tuple(sorted((recent, *status.ends), key=lambda one: one.time, reverse=True)[:RING])
    status = replace(
        status,
        count=(status.count or 0) + 1,
        first_seen=min(status.first_seen or end.time, end.time),
        last_seen=max(status.last_seen or end.time, end.time),
        ends=ring,
    )
    if ring[0] is recent:
        status = replace(
            status,
            certainty=str(end.verdict.certainty),
            summary=end.verdict.summary,
            uncertain=end.verdict.uncertain,
            evidence=_evidence(end),
        )
    return replace(kill, status=status)


def merge_older_kill(kill: ContainerKill, older: ContainerKill) -> ContainerKill:
    """Return the ContainerKill with what an earlier state database of this node had counted in it."""
    mine, old = kill_status_of(kill), kill_status_of(older)
    ids = {one.container_id for one in mine.ends}
    both = sum(one.container_id in ids for one in old.ends)
    ends = (*mine.ends, *(one for one in old.ends if one.container_id not in ids))
    first = [time for time in (mine.first_seen, old.first_seen) if time is not None]
    last = [time for time in (mine.last_seen, old.last_seen) if time is not None]
    newest = mine if (mine.last_seen or "") >= (old.last_seen or "") else old
    return replace(
        kill,
        status=replace(
            newest,
            count=(mine.count or 0) + (old.count or 0) - both,
            first_seen=min(first, default=None),
            last_seen=max(last, default=None),
            ends=tuple(sorted(ends, key=lambda one: one.time, reverse=True)[:RING]),
        ),
    )


def kill_within_size(kill: ContainerKill, *, max_bytes: int = MAX_BYTES) -> ContainerKill:
    """Return the ContainerKill with as few of its ends left out as bring it within `max_bytes`, then with the
    first of its uncertainties alone. The count stays."""
    ends = len(kill_status_of(kill).ends)
    while ends > 1 and len(msgspec.json.encode(bounded(kill))) > max_bytes:
        ends -= 1
        kill = replace(kill, status=replace(kill_status_of(kill), ends=kill_status_of(kill).ends[:ends]))
    if len(msgspec.json.encode(bounded(kill))) > max_bytes:
        kill = replace(
            kill, status=replace(kill_status_of(kill), uncertain=kill_status_of(kill).uncertain[:1])
        )
    return kill


def _evidence(end: ContainerEnd) -> KillEvidence:
    facts, verdict = end.facts, end.verdict
    signal, event, claim = verdict.signal, verdict.event, verdict.claim
    return KillEvidence(
        signal_time=rfc3339(signal.at) if signal is not None else None,
        sender=_sender(signal) if signal is not None else None,
        target=TargetFacts(pid=signal.pid, comm=signal.comm, first=signal.main)
        if signal is not None
        else None,
        incident=verdict.oom_kill.incident if verdict.oom_kill is not None else None,
        event=EventEvidence(
            reason=event.reason,
            message=event.message,
            time=rfc3339(event.last_at) if event.last_at is not None else None,
        )
        if event is not None
        else None,
        claim=ClaimEvidence(program=claim.program, text=claim.text, time=rfc3339(claim.at))
        if claim is not None
        else None,
        pod_reason=facts.pod_reason,
        pod_message=facts.pod_message,
        disruption=facts.disruption,
        deletion_time=rfc3339(facts.deletion_at) if facts.deletion_at is not None else None,
        grace_period_seconds=facts.grace_seconds,
        trace=str(facts.trace),
    )


def _sender(signal: KillSignal) -> SenderFacts:
    return SenderFacts(
        pid=signal.sender_pid,
        comm=signal.sender_comm,
        exe=signal.sender_exe,
        cgroup=signal.sender_cgroup,
        place=str(signal.sender_place),
        pod=signal.sender_pod,
        container=signal.sender_container,
        gone=signal.sender_gone or None,
    )
