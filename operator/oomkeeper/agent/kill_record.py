"""One kill and its diagnosis as the record that is stored, printed, and folded into an incident."""

from oomkeeper.diagnosis import diagnose
from oomkeeper.model.cause import Confidence
from oomkeeper.model.kill import Kill
from oomkeeper.model.node import NodeFacts
from oomkeeper.model.pod_limits import limits_at
from oomkeeper.reporting.kill_record import kill_record, kube_cgroup, recorded_kill
from oomkeeper.resources.killrecord import PodName, RecordedKill

from .attribution import Subject


def record_of(
    kill: Kill,
    *,
    kill_id: str,
    when: str,
    subject: Subject,
    facts: NodeFacts,
    inferred: str | None = None,
    boot_id: str | None = None,
    before_install: bool = False,
) -> RecordedKill:
    """Return the record of a kill at `when` (RFC 3339).

    `inferred`: how the cgroup was found where the kernel did not print it; it lowers the confidence.
    `boot_id`: the boot that a panic ended. `before_install`: whether the kill was before the agent's first
    start."""
    kill = kill._replace(wall=when)
    known = limits_at(subject.pod.facts, when) if subject.pod else None
    diagnosis = diagnose(kill, node=facts, pod=known)
    if inferred is not None:
        certain = diagnosis.confidence is Confidence.HIGH
        diagnosis = diagnosis._replace(
            confidence=Confidence.MEDIUM if certain else diagnosis.confidence,
            uncertain=(*diagnosis.uncertain, inferred),
        )
    pod = None
    if subject.pod is not None:
        pod = PodName(namespace=subject.pod.facts.namespace, name=subject.pod.facts.name)
    return recorded_kill(
        kill_record(kill, diagnosis, kube=kube_cgroup(kill)),
        kill_id=kill_id,
        pod=pod,
        container=subject.container,
        boot_id=boot_id,
        before_install=before_install,
    )
