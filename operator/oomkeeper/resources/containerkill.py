"""Generated from `oomkeeper.api.containerkill` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from .meta import ObjectMeta
from .oomincident import WorkloadReference
from .record import Bound, Record


class ContainerKillSpec(Record, frozen=True, kw_only=True):
    """The subject: whose ends this object counts. It never changes."""

    node_name: str
    """Node that the container ran on."""
    workload: WorkloadReference
    """The workload of the container's pod."""
    container: str
    """Name of the container."""
    killer: str
    """What killed it. Part of the subject: another killer is another ContainerKill."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "node_name": Bound(max_length=253),
        "container": Bound(max_length=63),
    }


class SenderFacts(Record, frozen=True, kw_only=True):
    """The process that sent SIGKILL, as the kernel traced it."""

    pid: int
    """Process id on the node; 0 for the kernel on an idle CPU."""
    comm: str | None = None
    """Name of the process, which it chose itself."""
    exe: str | None = None
    """Its program."""
    cgroup: str | None = None
    """Its cgroup."""
    place: str
    """Where it was, by its cgroup."""
    pod: str | None = None
    """Pod that it was in, as NAMESPACE/NAME."""
    container: str | None = None
    """Container that it was in."""
    gone: bool | None = None
    """True where it had ended when it was looked at."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "pid": Bound(minimum=0),
        "comm": Bound(max_length=128),
        "exe": Bound(max_length=256),
        "cgroup": Bound(max_length=1024),
        "pod": Bound(max_length=320),
        "container": Bound(max_length=63),
    }


class TargetFacts(Record, frozen=True, kw_only=True):
    """The process that was hit."""

    pid: int
    """Process id on the node."""
    comm: str
    """Name of the process."""
    first: bool | None = None
    """Whether it was the container's first process, whose end ends the container; absent if unknown."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "pid": Bound(minimum=0),
        "comm": Bound(max_length=128),
    }


class EventEvidence(Record, frozen=True, kw_only=True):
    """The Event that tells why kubelet stopped the container."""

    reason: str
    """Its reason, such as Killing."""
    message: str
    """Its message."""
    time: str | None = None
    """When it was last written."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "reason": Bound(max_length=64),
        "message": Bound(max_length=1024),
    }


class ClaimEvidence(Record, frozen=True, kw_only=True):
    """A line of the kernel log that a process wrote, in which an OOM killer in user space reports the
    kill. Any process with access to /dev/kmsg can write one."""

    program: str
    """The OOM killer that the line names."""
    text: str
    """The line."""
    time: str
    """When it was written."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "program": Bound(max_length=64),
        "text": Bound(max_length=1024),
    }


class KillEvidence(Record, frozen=True, kw_only=True):
    """What shows who killed the container last."""

    signal_time: str | None = None
    """When SIGKILL was sent."""
    sender: SenderFacts | None = None
    """The process that sent it; absent if unknown."""
    target: TargetFacts | None = None
    """The process that was hit."""
    incident: str | None = None
    """Name of the OOMIncident, in the same namespace, that counts the kernel's OOM kill."""
    event: EventEvidence | None = None
    """The Event that tells why kubelet stopped the container."""
    claim: ClaimEvidence | None = None
    """The line in the kernel log in which an OOM killer in user space reports the kill: a claim."""
    pod_reason: str | None = None
    """status.reason of the pod, such as Evicted."""
    pod_message: str | None = None
    """status.message of the pod."""
    disruption: str | None = None
    """Reason of the pod's condition DisruptionTarget."""
    deletion_time: str | None = None
    """metadata.deletionTimestamp of the pod: when its grace period expires."""
    grace_period_seconds: int | None = None
    """metadata.deletionGracePeriodSeconds of the pod."""
    trace: str
    """Whether the kernel's trace of SIGKILLs covers the end."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "incident": Bound(max_length=253),
        "pod_reason": Bound(max_length=64),
        "pod_message": Bound(max_length=1024),
        "disruption": Bound(max_length=64),
        "grace_period_seconds": Bound(minimum=0),
    }


class RecentEnd(Record, frozen=True, kw_only=True):
    """One end of the container."""

    pod: str
    """Name of the pod."""
    pod_uid: str = field(name="podUID")
    """metadata.uid of the pod."""
    container_id: str
    """Container id given by the runtime: the same end is never counted twice."""
    time: str
    """When it ended; when that was noticed, where the status has no time."""
    exit_code: int | None = None
    """Exit code in the container's status."""
    reason: str | None = None
    """Reason in the container's status, such as Error."""
    certainty: str
    """What the killer rests on."""
    summary: str
    """This end in one sentence."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "pod": Bound(max_length=253),
        "pod_uid": Bound(max_length=128),
        "container_id": Bound(max_length=128),
        "reason": Bound(max_length=64),
        "summary": Bound(max_length=512),
    }


class ContainerKillStatus(Record, frozen=True, kw_only=True):
    """How often, when, and what shows it."""

    count: int | None = None
    """Number of ends."""
    first_seen: str | None = None
    """The first end."""
    last_seen: str | None = None
    """The last end."""
    certainty: str | None = None
    """What the killer of the last end rests on. Proved: the kernel recorded it; Inferred: it follows from
    recorded times and states; Claimed: by a status, an Event or a process's name; Unknown."""
    summary: str | None = None
    """The last end in one sentence."""
    uncertain: tuple[str, ...] = ()
    """What the evidence does not show, or what contradicts it."""
    evidence: KillEvidence | None = None
    """What shows who killed the container last."""
    ends: tuple[RecentEnd, ...] = ()
    """The last ends, newest first."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "count": Bound(minimum=0),
        "summary": Bound(max_length=1024),
        "uncertain": Bound(max_length=1024, max_items=6),
        "ends": Bound(max_items=10),
    }


class ContainerKill(Record, frozen=True, kw_only=True):
    """A ContainerKill counts the ends by SIGKILL (exit code 137) of one container of a workload on one
    node by one killer, and shows the evidence. It outlives the pods. A kill by the kernel's OOM killer
    is explained and counted by an OOMIncident; the ContainerKill links it, and is counted in no OOM
    report."""

    api_version: str = "oomkeeper.dev/v1alpha1"
    """Version of this schema: oomkeeper.dev/v1alpha1."""
    metadata: ObjectMeta
    """Standard object metadata."""
    kind: str = "ContainerKill"
    """ContainerKill."""
    spec: ContainerKillSpec
    """The subject: whose ends this object counts."""
    status: ContainerKillStatus | None = None
    """How often, when, and what shows it; written by the agent."""
