"""ContainerKill: the ends by SIGKILL of one container of a workload by one killer, with the evidence of the
last."""

from typing import Annotated, Literal

from pydantic import Field

from oomkeeper.model.killer import Certainty, Killer, SenderPlace, Trace

from .base import ApiModel
from .meta import ApiObject, Column, Resource
from .oomincident import EvidencePath, WorkloadReference
from .rules import TransitionRule
from .scalars import Comm, Count, Line, Message, Name, Pid, Summary, Timestamp, Token, Uid

ContainerName = Annotated[str, Field(min_length=1, max_length=63)]
ContainerId = Annotated[str, Field(max_length=128)]


class ContainerKillSpec(ApiModel):
    """The subject: whose ends this object counts. It never changes."""

    node_name: Name
    """Node that the container ran on."""
    workload: WorkloadReference
    """The workload of the container's pod."""
    container: ContainerName
    """Name of the container."""
    killer: Killer
    """What killed it. Part of the subject: another killer is another ContainerKill."""

    rules = (
        TransitionRule(
            cel="self == oldSelf",
            message="spec is the subject and never changes: create another ContainerKill",
        ),
    )


class SenderFacts(ApiModel):
    """The process that sent SIGKILL, as the kernel traced it."""

    pid: Pid
    """Process id on the node; 0 for the kernel on an idle CPU."""
    comm: Comm | None = None
    """Name of the process, which it chose itself."""
    exe: Line | None = None
    """Its program."""
    cgroup: EvidencePath | None = None
    """Its cgroup."""
    place: SenderPlace
    """Where it was, by its cgroup."""
    pod: Annotated[str, Field(max_length=320)] | None = None
    """Pod that it was in, as NAMESPACE/NAME."""
    container: Annotated[str, Field(max_length=63)] | None = None
    """Container that it was in."""
    gone: bool | None = None
    """True where it had ended when it was looked at."""


class TargetFacts(ApiModel):
    """The process that was hit."""

    pid: Pid
    """Process id on the node."""
    comm: Comm
    """Name of the process."""
    first: bool | None = None
    """Whether it was the container's first process, whose end ends the container; absent if unknown."""


class EventEvidence(ApiModel):
    """The Event that tells why kubelet stopped the container."""

    reason: Token
    """Its reason, such as Killing."""
    message: Message
    """Its message."""
    time: Timestamp | None = None
    """When it was last written."""


class ClaimEvidence(ApiModel):
    """A line of the kernel log that a process wrote, in which an OOM killer in user space reports the kill.
    Any process with access to /dev/kmsg can write one."""

    program: Token
    """The OOM killer that the line names."""
    text: Message
    """The line."""
    time: Timestamp
    """When it was written."""


class KillEvidence(ApiModel):
    """What shows who killed the container last."""

    signal_time: Timestamp | None = None
    """When SIGKILL was sent."""
    sender: SenderFacts | None = None
    """The process that sent it; absent if unknown."""
    target: TargetFacts | None = None
    """The process that was hit."""
    incident: Name | None = None
    """Name of the OOMIncident, in the same namespace, that counts the kernel's OOM kill."""
    event: EventEvidence | None = None
    """The Event that tells why kubelet stopped the container."""
    claim: ClaimEvidence | None = None
    """The line in the kernel log in which an OOM killer in user space reports the kill: a claim."""
    pod_reason: Token | None = None
    """status.reason of the pod, such as Evicted."""
    pod_message: Message | None = None
    """status.message of the pod."""
    disruption: Token | None = None
    """Reason of the pod's condition DisruptionTarget."""
    deletion_time: Timestamp | None = None
    """metadata.deletionTimestamp of the pod: when its grace period expires."""
    grace_period_seconds: Annotated[int, Field(ge=0)] | None = None
    """metadata.deletionGracePeriodSeconds of the pod."""
    trace: Trace
    """Whether the kernel's trace of SIGKILLs covers the end."""


class RecentEnd(ApiModel):
    """One end of the container."""

    pod: Name
    """Name of the pod."""
    pod_uid: Annotated[Uid, Field(alias="podUID")]
    """metadata.uid of the pod."""
    container_id: ContainerId
    """Container id given by the runtime: the same end is never counted twice."""
    time: Timestamp
    """When it ended; when that was noticed, where the status has no time."""
    exit_code: int | None = None
    """Exit code in the container's status."""
    reason: Token | None = None
    """Reason in the container's status, such as Error."""
    certainty: Certainty
    """What the killer rests on."""
    summary: Annotated[str, Field(max_length=512)]
    """This end in one sentence."""


class ContainerKillStatus(ApiModel):
    """How often, when, and what shows it."""

    count: Count | None = None
    """Number of ends."""
    first_seen: Timestamp | None = None
    """The first end."""
    last_seen: Timestamp | None = None
    """The last end."""
    certainty: Certainty | None = None
    """What the killer of the last end rests on. Proved: the kernel recorded it; Inferred: it follows from
    recorded times and states; Claimed: by a status, an Event or a process's name; Unknown."""
    summary: Summary | None = None
    """The last end in one sentence."""
    uncertain: Annotated[tuple[Message, ...], Field(max_length=6)] = ()
    """What the evidence does not show, or what contradicts it."""
    evidence: KillEvidence | None = None
    """What shows who killed the container last."""
    ends: Annotated[tuple[RecentEnd, ...], Field(max_length=10)] = ()
    """The last ends, newest first."""


class ContainerKill(ApiObject):
    """A ContainerKill counts the ends by SIGKILL (exit code 137) of one container of a workload on one node
    by one killer, and shows the evidence. It outlives the pods. A kill by the kernel's OOM killer is
    explained and counted by an OOMIncident; the ContainerKill links it, and is counted in no OOM report."""

    resource = Resource(
        kind="ContainerKill",
        plural="containerkills",
        short="ckill",
        namespaced=True,
        spec_writer="the agent of the node",
        status_writer="the agent of the node",
        selectable=(".spec.nodeName", ".spec.killer", ".spec.workload.kind", ".spec.workload.name"),
        columns=(
            Column(name="Workload", path=".spec.workload.name", what="Name of the workload."),
            Column(name="Container", path=".spec.container", what="The container."),
            Column(name="Killed-By", path=".spec.killer", what="What killed it."),
            Column(name="Count", path=".status.count", type="integer", what="Number of ends."),
            Column(name="Last-Seen", path=".status.lastSeen", type="date", what="Time since the last end."),
            Column(name="Node", path=".spec.nodeName", what="The node.", wide=True),
            Column(name="Certainty", path=".status.certainty", what="What the killer rests on.", wide=True),
            Column(name="Summary", path=".status.summary", what="The last end in one sentence.", wide=True),
        ),
    )

    kind: Literal["ContainerKill"] = "ContainerKill"
    """ContainerKill."""
    spec: ContainerKillSpec
    """The subject: whose ends this object counts."""
    status: ContainerKillStatus | None = None
    """How often, when, and what shows it; written by the agent."""
