"""What killed the containers of one pod: from ContainerKills and the pod's statuses to text and a record."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oomkeeper.diagnosis.killer import ended_by_sigkill
from oomkeeper.diagnosis.killer_sentences import process_text, unit_of
from oomkeeper.kernel.user_space_kills import TALOS
from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import ForeignObject, JsonDocument
from oomkeeper.model.killer import STATUS_UNKNOWN, Killer
from oomkeeper.resources.containerkill import ContainerKill, ContainerKillStatus, KillEvidence, RecentEnd
from oomkeeper.resources.record import to_document


@dataclass(frozen=True, slots=True, kw_only=True)
class KilledContainer:
    """One end of a container."""

    container: str
    end: RecentEnd
    kill: ContainerKill
    evidence: KillEvidence | None
    """Kept for the last end of its ContainerKill alone."""
    uncertain: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexplainedEnd:
    """A status with an end by SIGKILL that no ContainerKill names."""

    container: str
    exit_code: int | None
    reason: str | None
    time: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEnds:
    """What is known of the ends of one pod's containers."""

    namespace: str
    pod: str
    exists: bool
    node: str | None
    ends: tuple[KilledContainer, ...]
    """The newest first."""
    unexplained: tuple[UnexplainedEnd, ...]


def ends_of_pod(
    kills: Sequence[ContainerKill], *, pod: str, namespace: str, obj: ForeignObject | None
) -> PodEnds:
    """Return the ends of a pod's containers. `obj` is the v1 Pod, None where it does not exist."""
    uid = ((obj or {}).get("metadata") or {}).get("uid")
    found = [
        _killed(kill, end)
        for kill in kills
        for end in (kill.status or ContainerKillStatus()).ends
        if end.pod == pod and uid in (None, end.pod_uid)
    ]
    known = {one.end.container_id for one in found}
    # Of a container that the runtime no longer has, kubelet reports no id.
    lost = {one.container for one in found if one.end.reason == STATUS_UNKNOWN}
    return PodEnds(
        namespace=namespace,
        pod=pod,
        exists=obj is not None,
        node=((obj or {}).get("spec") or {}).get("nodeName")
        or next((one.kill.spec.node_name for one in found), None),
        ends=tuple(sorted(found, key=lambda one: one.end.time, reverse=True)),
        unexplained=tuple(_unexplained(obj or {}, known=known, lost=lost)),
    )


def _killed(kill: ContainerKill, end: RecentEnd) -> KilledContainer:
    status = kill.status or ContainerKillStatus()
    is_last = status.ends[0] is end
    return KilledContainer(
        container=kill.spec.container,
        end=end,
        kill=kill,
        evidence=status.evidence if is_last else None,
        uncertain=status.uncertain if is_last else (),
    )


def _unexplained(obj: ForeignObject, *, known: set[str], lost: set[str]) -> Iterator[UnexplainedEnd]:
    status = obj.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for one in status.get(kind) or ():
            for name in ("state", "lastState"):
                ended = (one.get(name) or {}).get("terminated") or {}
                bare_id = str(ended.get("containerID") or one.get("containerID") or "").rpartition("://")[2]
                exit_code, reason = ended.get("exitCode"), ended.get("reason")
                is_known = bare_id in known or (not bare_id and one.get("name") in lost)
                if not is_known and ended_by_sigkill(exit_code=exit_code, reason=reason):
                    yield UnexplainedEnd(
                        container=str(one.get("name")),
                        exit_code=exit_code,
                        reason=reason,
                        time=ended.get("finishedAt"),
                    )


def next_command(one: KilledContainer, *, namespace: str, exists: bool) -> str:
    """Return the command that shows more."""
    end, spec = one.end, one.kill.spec
    evidence = one.evidence or KillEvidence(trace="Absent")
    sender = evidence.sender
    pod = f"{end.pod} -n {namespace}"
    on_node = f"kubectl debug node/{spec.node_name} -it --image=busybox -- chroot /host"
    events = f"kubectl get events -n {namespace} --field-selector involvedObject.name={end.pod}"
    match spec.killer:
        case Killer.KERNEL_OOM if evidence.incident is not None:
            return f"kubectl get oomi {evidence.incident} -n {namespace} -o yaml"
        case Killer.KERNEL_OOM:
            return f"kubectl get oomi -n {namespace} -o wide"
        case Killer.EVICTION | Killer.NODE_LOST | Killer.VM_RUNTIME:
            return f"kubectl describe node {spec.node_name}"
        case Killer.SYSTEMD_OOMD:
            return f"{on_node} journalctl -u systemd-oomd"
        case Killer.USER_SPACE_OOM if evidence.claim is not None and evidence.claim.program == TALOS:
            return f"talosctl dmesg -n {spec.node_name}"
        case Killer.USER_SPACE_OOM if evidence.event is not None:
            return f"kubectl describe node {spec.node_name}"
        case Killer.USER_SPACE_OOM | Killer.HOST_PROCESS:
            unit = unit_of(sender.cgroup) if sender is not None else None
            return f"{on_node} journalctl -u {unit}" if unit is not None else f"{on_node} ps -ef"
        case Killer.OTHER_CONTAINER if sender is not None and "/" in (sender.pod or ""):
            other_namespace, _, name = (sender.pod or "").partition("/")
            return f"kubectl describe pod {name} -n {other_namespace}"
        case Killer.CONTAINER | Killer.GRACE_PERIOD if exists:
            return f"kubectl logs {pod} -c {one.container} --previous"
        case Killer.PROBE if exists:
            return f"kubectl describe pod {pod}"
    return events if exists else f"kubectl get ckill {one.kill.metadata.name} -n {namespace} -o yaml"


def why_record(found: PodEnds) -> JsonDocument:
    """Return the answer as JSON-ready values."""
    return {
        "namespace": found.namespace,
        "pod": found.pod,
        "exists": found.exists,
        "containers": [
            {
                "container": one.container,
                "time": one.end.time,
                "exitCode": one.end.exit_code,
                "reason": one.end.reason,
                "killer": one.kill.spec.killer,
                "certainty": one.end.certainty,
                "summary": one.end.summary,
                "evidence": to_document(one.evidence) if one.evidence is not None else None,
                "uncertain": [*one.uncertain],
                "containerKill": one.kill.metadata.name,
                "next": next_command(one, namespace=found.namespace, exists=found.exists),
            }
            for one in found.ends
        ],
        "unexplained": [
            {"container": one.container, "time": one.time, "exitCode": one.exit_code, "reason": one.reason}
            for one in found.unexplained
        ],
    }


def why_text(found: PodEnds) -> Iterator[str]:
    """Yield the lines for a terminal."""
    name = f"{found.namespace}/{found.pod}"
    for number, one in enumerate(found.ends):
        if number:
            yield ""
        for line in _killed_text(one, name=name, exists=found.exists, namespace=found.namespace):
            yield printable(line)
    for unexplained in found.unexplained:
        yield printable(_unexplained_text(unexplained, name=name, node=found.node))
    if not found.ends and not found.unexplained:
        yield printable(f"No container of pod {name} ended by SIGKILL (exit code 137).")


def _killed_text(one: KilledContainer, *, name: str, exists: bool, namespace: str) -> Iterator[str]:
    end = one.end
    reason = f" ({end.reason})" if end.reason else ""
    pod = name if exists else f"{name} (deleted)"
    how = f"with exit code {end.exit_code}{reason}"
    yield f"Container {one.container} of pod {pod} ended at {end.time} {how}."
    yield f"  Killed by: {one.kill.spec.killer} ({end.certainty})"
    yield f"  {end.summary}"
    evidence = [*_evidence_text(one.evidence)] if one.evidence is not None else []
    if evidence:
        yield "  Evidence:"
        yield from (f"    {line}" for line in evidence)
    elif one.evidence is None:
        yield "  Evidence: kept for the last end alone, which was another one."
    if one.uncertain:
        yield "  Uncertain:"
        yield from (f"    {line}" for line in one.uncertain)
    yield f"  Next: {next_command(one, namespace=namespace, exists=exists)}"


def _evidence_text(evidence: KillEvidence) -> Iterator[str]:
    sender, target = evidence.sender, evidence.target
    if sender is not None:
        by = {"OOMKiller": "the kernel's OOM killer", "Kernel": "the kernel"}.get(
            sender.place, process_text(sender.comm, sender.pid)
        )
        where = f" in {sender.cgroup}" if sender.cgroup else ""
        exe = f", program {sender.exe}" if sender.exe else ""
        gone = ", which was gone when it was looked at" if sender.gone else ""
        hit = f", to {process_text(target.comm, target.pid)}" if target is not None else ""
        first = ", the container's first process" if target is not None and target.first else ""
        yield f"SIGKILL at {evidence.signal_time} from {by}{exe}{where}{gone}{hit}{first}"
    if evidence.incident is not None:
        yield f"OOMIncident {evidence.incident}"
    if evidence.pod_reason is not None:
        message = f": {evidence.pod_message}" if evidence.pod_message else ""
        yield f"Pod status {evidence.pod_reason}{message}"
    if evidence.disruption is not None:
        yield f"Condition DisruptionTarget: {evidence.disruption}"
    if evidence.deletion_time is not None:
        seconds = evidence.grace_period_seconds
        period = f" of {seconds} s" if seconds is not None else ""
        yield f"Pod deleted: its grace period{period} expires at {evidence.deletion_time}"
    if evidence.event is not None:
        when = f" at {evidence.event.time}" if evidence.event.time else ""
        yield f"Event {evidence.event.reason}{when}: {evidence.event.message}"
    if evidence.claim is not None:
        yield (
            f"Line in the kernel log at {evidence.claim.time}, which any process with access to /dev/kmsg "
            f"can write: {evidence.claim.text}"
        )
    if evidence.trace != "Complete":
        yield f"The kernel's trace of signals: {evidence.trace}"


def _unexplained_text(one: UnexplainedEnd, *, name: str, node: str | None) -> str:
    return (
        f"Container {one.container} of pod {name} ended at {one.time or 'an unknown time'} with exit code "
        f"{one.exit_code} ({one.reason or 'no reason'}), and nothing is recorded of it (yet): the agent of "
        f"node {node or 'unknown'} decides within a minute. Next: kubectl get oomn {node or ''}".rstrip()
    )
