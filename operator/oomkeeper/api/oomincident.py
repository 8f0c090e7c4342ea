"""OOMIncident: the OOM kills of one subject for one cause, with the evidence of the last."""

from typing import Annotated, Literal

from pydantic import Field

from oomkeeper.model.cause import (
    BindingCounter,
    Cause,
    Confidence,
    ContainerKind,
    ContributorName,
    Level,
    Outcome,
    Remedy,
    Visibility,
)

from .base import ApiModel
from .meta import ApiObject, Column, Conditions, Resource
from .rules import Checked, Rule, TransitionRule
from .scalars import (
    Bytes,
    CgroupPath,
    Comm,
    Count,
    Line,
    Message,
    Name,
    OomScoreAdj,
    Pid,
    Summary,
    Timestamp,
    Token,
    Uid,
)


class WorkloadReference(ApiModel):
    """The top of the owners that were followed from the pod."""

    kind: Token
    """Deployment, StatefulSet, DaemonSet, CronJob, Job, Rollout..., or Pod for a pod without an owner."""
    name: Name
    """Name of the workload, in the incident's namespace."""


class WorkloadIdentity(ApiModel):
    """Which object a workload's name stands for: another one of the same name has another uid."""

    api_version: Line
    """API group and version, such as apps/v1."""
    uid: Uid
    """metadata.uid of the workload."""


class OOMIncidentSpec(ApiModel):
    """The subject: whose kills this object counts. It never changes."""

    node_name: Name
    """Node that the kills happened on."""
    workload: WorkloadReference | None = None
    """The workload whose pods were hit; absent for a host process."""
    container: Annotated[str, Field(max_length=63)] | None = None
    """Name of the container; absent if unknown, and for a host process."""
    cgroup: CgroupPath | None = None
    """Cgroup of a host process, such as /system.slice/sshd.service; absent for a workload."""
    cause: Cause
    """Why the kernel killed. Part of the subject: another cause is another incident."""

    rules = (
        TransitionRule(
            cel="self == oldSelf",
            message="spec is the incident's subject and never changes: create another OOMIncident",
        ),
        Rule(
            cel="!(has(self.workload) && has(self.cgroup))",
            message="is for host processes: write either workload or cgroup",
            holds=lambda self: self.workload is None or self.cgroup is None,
            field=("cgroup",),
        ),
        Rule(
            cel="has(self.workload) || !has(self.container)",
            message="belongs to a workload: write workload too, or leave container out",
            holds=lambda self: self.workload is not None or self.container is None,
            field=("container",),
        ),
    )


class AdviceItem(ApiModel):
    """One remedy."""

    remedy: Remedy
    """Kind of remedy."""
    message: Message
    """What to do, with its numbers."""


class InvokerFacts(ApiModel):
    """The task whose allocation failed."""

    comm: Comm | None = None
    """Name of the task."""
    pid: Pid | None = None
    """Process id as the kernel prints it."""
    oom_score_adj: OomScoreAdj | None = None
    """Its oom_score_adj."""


class ContributorShare(ApiModel):
    """One part of the memory in use."""

    name: ContributorName
    """Kind of memory."""
    bytes: Bytes
    """Its size."""
    share_percent: Annotated[int, Field(ge=0, le=100)]
    """Its part of the usage, in percent."""
    detail: Line | None = None
    """Name of the slab cache and the like."""


class VictimFacts(ApiModel):
    """One killed process."""

    pid: Pid
    """Process id as the kernel prints it."""
    comm: Comm
    """Name of the process."""
    uid: Annotated[int, Field(ge=0, le=4294967295)] | None = None
    """User id."""
    total_vm_bytes: Bytes | None = None
    """Virtual size."""
    anon_rss_bytes: Bytes | None = None
    """Resident anonymous memory."""
    file_rss_bytes: Bytes | None = None
    """Resident file-backed memory."""
    shmem_rss_bytes: Bytes | None = None
    """Resident shared memory."""
    oom_score_adj: OomScoreAdj | None = None
    """Its oom_score_adj."""


EvidencePath = Annotated[str, Field(max_length=1024)]


class Evidence(ApiModel):
    """What the kernel and kubelet reported about the last kill."""

    limit_bytes: Bytes | None = None
    """Limit in force at the kill, as the kernel printed it."""
    usage_bytes: Bytes | None = None
    """Usage at the kill."""
    binding_counter: BindingCounter | None = None
    """Which counter was at its limit."""
    spec_limit_bytes: Bytes | None = None
    """Memory limit in the pod's spec: of the container; with level Pod, or without a container, of the pod
    (its own, or the sum of its containers')."""
    status_limit_bytes: Bytes | None = None
    """The same limit as kubelet reports it in force: another one while a resize is not applied."""
    container_id: Annotated[str, Field(max_length=128)] | None = None
    """Container id given by the runtime."""
    oom_memcg: EvidencePath | None = None
    """Cgroup that reached its limit, as the kernel printed it."""
    task_memcg: EvidencePath | None = None
    """Cgroup of the victim, as the kernel printed it."""
    constraint: Line | None = None
    """CONSTRAINT_MEMCG and the like."""
    nodemask: Message | None = None
    """NUMA nodes of the allocation."""
    mems_allowed: Message | None = None
    """NUMA nodes that the cpuset allows."""
    invoker: InvokerFacts | None = None
    """The task whose allocation failed."""
    gfp: Annotated[str, Field(max_length=512)] | None = None
    """Allocation flags as printed."""
    order: Annotated[int, Field(ge=-1, le=64)] | None = None
    """Allocation order: 2^order pages in one block; -1 for a kill requested by sysrq-f."""
    contributors: Annotated[tuple[ContributorShare, ...], Field(max_length=12)] = ()
    """Memory breakdown, largest first."""
    victims: Annotated[tuple[VictimFacts, ...], Field(max_length=16)] = ()
    """Processes that were killed."""
    victims_omitted: Count | None = None
    """Number of victims left out of the list."""
    exit_code: int | None = None
    """Exit code in the container's status."""
    reason: Token | None = None
    """Reason in the container's status, such as OOMKilled."""


class RecentKill(ApiModel):
    """One kill."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    """Boot id and number: the same kill is never counted twice."""
    time: Timestamp
    """When."""
    comm: Comm | None = None
    """Name of the victim."""
    pid: Pid | None = None
    """Its process id."""
    usage_bytes: Bytes | None = None
    """Usage at the kill."""
    limit_bytes: Bytes | None = None
    """Limit at the kill."""
    anon_rss_bytes: Bytes | None = None
    """Resident anonymous memory of the victim."""
    pod: Name | None = None
    """Name of the victim's pod."""
    pod_uid: Annotated[Uid | None, Field(alias="podUID")] = None
    """metadata.uid of the victim's pod."""
    container_id: Annotated[str, Field(max_length=128)] | None = None
    """Container id given by the runtime."""
    started_at: Timestamp | None = None
    """When the container started, as kubelet reports it."""
    container_survived: bool | None = None
    """True if the container kept running, because the victim was not its main process; false if it ended
    with the kill. Absent while unknown."""
    visibility: Visibility | None = None
    """Where this kill was reported, as in status.visibility."""
    before_install: bool | None = None
    """True for a kill before the agent's first start on the node; absent for others."""


FullHour = Annotated[
    Timestamp,
    Checked(
        Rule(
            cel="self.getMinutes() == 0 && self.getSeconds() == 0 && self.getMilliseconds() == 0",
            message="write a full hour, like 2026-01-02T15:00:00Z",
            holds=lambda self: (self.minute, self.second, self.microsecond) == (0, 0, 0),
        )
    ),
]


class HourCount(ApiModel):
    """Kills within one hour."""

    hour: FullHour
    """Start of the hour."""
    kills: Count
    """Kills in it."""


class OOMIncidentStatus(ApiModel):
    """What happened, why, and what to do."""

    workload: WorkloadIdentity | None = None
    """The workload at the last kill; absent for a pod without an owner, and for a host process."""
    container_kind: ContainerKind | None = None
    """Kind of the container at the last kill."""
    cause: Cause | None = None
    """Why the kernel killed."""
    level: Level | None = None
    """Which cgroup's limit was reached; absent if none was."""
    outcome: Outcome | None = None
    """What happened."""
    visibility: Visibility | None = None
    """Where the last kill was reported. Reported: by the kernel and kubelet; Invisible: only by the kernel;
    ReportedOnly: only by kubelet; Host: the victim belonged to no pod. Absent if unknown: for a kill before
    install whose container's status is gone."""
    confidence: Confidence | None = None
    """How well the evidence supports the cause."""
    count: Count | None = None
    """Kills."""
    first_seen: Timestamp | None = None
    """The first kill."""
    last_seen: Timestamp | None = None
    """The last kill."""
    summary: Summary | None = None
    """The last kill in one sentence."""
    advice: Annotated[tuple[AdviceItem, ...], Field(max_length=8)] = ()
    """Remedies, best first."""
    uncertain: Annotated[tuple[Message, ...], Field(max_length=8)] = ()
    """What the evidence does not show."""
    evidence: Evidence | None = None
    """What the kernel and kubelet reported about the last kill."""
    kills: Annotated[tuple[RecentKill, ...], Field(max_length=10)] = ()
    """The last kills, newest first."""
    history: Annotated[tuple[HourCount, ...], Field(max_length=168)] = ()
    """Kills per hour, at most a week of hours with kills."""
    conditions: Conditions = ()
    """EvidenceComplete."""


class OOMIncident(ApiObject):
    """An OOMIncident counts and explains the OOM kills of one subject (a container of a workload, or a host
    cgroup) on one node for one cause. It outlives the pods. Incidents of workloads are in their namespace,
    those of host processes in the operator's."""

    resource = Resource(
        kind="OOMIncident",
        plural="oomincidents",
        short="oomi",
        namespaced=True,
        spec_writer="the agent of the node",
        status_writer="the agent of the node",
        selectable=(".spec.nodeName", ".spec.cause", ".spec.workload.kind", ".spec.workload.name"),
        columns=(
            Column(name="Workload", path=".spec.workload.name", what="Name of the workload."),
            Column(name="Container", path=".spec.container", what="The container."),
            Column(name="Cause", path=".spec.cause", what="Why the kernel killed."),
            Column(name="Kills", path=".status.count", type="integer", what="Number of kills."),
            Column(name="Visibility", path=".status.visibility", what="Where the last kill was reported."),
            Column(name="Last-Seen", path=".status.lastSeen", type="date", what="Time since the last kill."),
            Column(name="Kind", path=".spec.workload.kind", what="Kind of the workload.", wide=True),
            Column(name="Level", path=".status.level", what="Which cgroup's limit was reached.", wide=True),
            Column(name="Last-Pod", path=".status.kills[0].pod", what="Pod of the last kill.", wide=True),
            Column(name="Node", path=".spec.nodeName", what="The node.", wide=True),
            Column(name="Victim", path=".status.kills[0].comm", what="Name of the last victim.", wide=True),
            Column(name="Summary", path=".status.summary", what="The last kill in one sentence.", wide=True),
        ),
    )

    kind: Literal["OOMIncident"] = "OOMIncident"
    """OOMIncident."""
    spec: OOMIncidentSpec
    """The subject: whose kills this object counts."""
    status: OOMIncidentStatus | None = None
    """What happened, why, and what to do; written by the agent."""
