"""Generated from `oomkeeper.api.oomincident` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from .meta import Condition, ObjectMeta
from .record import Bound, Record


class WorkloadReference(Record, frozen=True, kw_only=True):
    """The top of the owners that were followed from the pod."""

    kind: str
    """Deployment, StatefulSet, DaemonSet, CronJob, Job, Rollout..., or Pod for a pod without an owner."""
    name: str
    """Name of the workload, in the incident's namespace."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "kind": Bound(max_length=64),
        "name": Bound(max_length=253),
    }


class WorkloadIdentity(Record, frozen=True, kw_only=True):
    """Which object a workload's name stands for: another one of the same name has another uid."""

    api_version: str
    """API group and version, such as apps/v1."""
    uid: str
    """metadata.uid of the workload."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "api_version": Bound(max_length=256),
        "uid": Bound(max_length=128),
    }


class OOMIncidentSpec(Record, frozen=True, kw_only=True):
    """The subject: whose kills this object counts. It never changes."""

    node_name: str
    """Node that the kills happened on."""
    workload: WorkloadReference | None = None
    """The workload whose pods were hit; absent for a host process."""
    container: str | None = None
    """Name of the container; absent if unknown, and for a host process."""
    cgroup: str | None = None
    """Cgroup of a host process, such as /system.slice/sshd.service; absent for a workload."""
    cause: str
    """Why the kernel killed. Part of the subject: another cause is another incident."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "node_name": Bound(max_length=253),
        "container": Bound(max_length=63),
        "cgroup": Bound(max_length=4096),
    }


class AdviceItem(Record, frozen=True, kw_only=True):
    """One remedy."""

    remedy: str
    """Kind of remedy."""
    message: str
    """What to do, with its numbers."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "message": Bound(max_length=1024),
    }


class InvokerFacts(Record, frozen=True, kw_only=True):
    """The task whose allocation failed."""

    comm: str | None = None
    """Name of the task."""
    pid: int | None = None
    """Process id as the kernel prints it."""
    oom_score_adj: int | None = None
    """Its oom_score_adj."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "comm": Bound(max_length=128),
        "pid": Bound(minimum=0),
        "oom_score_adj": Bound(minimum=-1000, maximum=1000),
    }


class ContributorShare(Record, frozen=True, kw_only=True):
    """One part of the memory in use."""

    name: str
    """Kind of memory."""
    bytes: int
    """Its size."""
    share_percent: int
    """Its part of the usage, in percent."""
    detail: str | None = None
    """Name of the slab cache and the like."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "bytes": Bound(minimum=0),
        "share_percent": Bound(minimum=0, maximum=100),
        "detail": Bound(max_length=256),
    }


class VictimFacts(Record, frozen=True, kw_only=True):
    """One killed process."""

    pid: int
    """Process id as the kernel prints it."""
    comm: str
    """Name of the process."""
    uid: int | None = None
    """User id."""
    total_vm_bytes: int | None = None
    """Virtual size."""
    anon_rss_bytes: int | None = None
    """Resident anonymous memory."""
    file_rss_bytes: int | None = None
    """Resident file-backed memory."""
    shmem_rss_bytes: int | None = None
    """Resident shared memory."""
    oom_score_adj: int | None = None
    """Its oom_score_adj."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "pid": Bound(minimum=0),
        "comm": Bound(max_length=128),
        "uid": Bound(minimum=0, maximum=4294967295),
        "total_vm_bytes": Bound(minimum=0),
        "anon_rss_bytes": Bound(minimum=0),
        "file_rss_bytes": Bound(minimum=0),
        "shmem_rss_bytes": Bound(minimum=0),
        "oom_score_adj": Bound(minimum=-1000, maximum=1000),
    }


class Evidence(Record, frozen=True, kw_only=True):
    """What the kernel and kubelet reported about the last kill."""

    limit_bytes: int | None = None
    """Limit in force at the kill, as the kernel printed it."""
    usage_bytes: int | None = None
    """Usage at the kill."""
    binding_counter: str | None = None
    """Which counter was at its limit."""
    spec_limit_bytes: int | None = None
    """Memory limit in the pod's spec: of the container; with level Pod, or without a container, of the pod
    (its own, or the sum of its containers')."""
    status_limit_bytes: int | None = None
    """The same limit as kubelet reports it in force: another one while a resize is not applied."""
    container_id: str | None = None
    """Container id given by the runtime."""
    oom_memcg: str | None = None
    """Cgroup that reached its limit, as the kernel printed it."""
    task_memcg: str | None = None
    """Cgroup of the victim, as the kernel printed it."""
    constraint: str | None = None
    """CONSTRAINT_MEMCG and the like."""
    nodemask: str | None = None
    """NUMA nodes of the allocation."""
    mems_allowed: str | None = None
    """NUMA nodes that the cpuset allows."""
    invoker: InvokerFacts | None = None
    """The task whose allocation failed."""
    gfp: str | None = None
    """Allocation flags as printed."""
    order: int | None = None
    """Allocation order: 2^order pages in one block; -1 for a kill requested by sysrq-f."""
    contributors: tuple[ContributorShare, ...] = ()
    """Memory breakdown, largest first."""
    victims: tuple[VictimFacts, ...] = ()
    """Processes that were killed."""
    victims_omitted: int | None = None
    """Number of victims left out of the list."""
    exit_code: int | None = None
    """Exit code in the container's status."""
    reason: str | None = None
    """Reason in the container's status, such as OOMKilled."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "limit_bytes": Bound(minimum=0),
        "usage_bytes": Bound(minimum=0),
        "spec_limit_bytes": Bound(minimum=0),
        "status_limit_bytes": Bound(minimum=0),
        "container_id": Bound(max_length=128),
        "oom_memcg": Bound(max_length=1024),
        "task_memcg": Bound(max_length=1024),
        "constraint": Bound(max_length=256),
        "nodemask": Bound(max_length=1024),
        "mems_allowed": Bound(max_length=1024),
        "gfp": Bound(max_length=512),
        "order": Bound(minimum=-1, maximum=64),
        "contributors": Bound(max_items=12),
        "victims": Bound(max_items=16),
        "victims_omitted": Bound(minimum=0),
        "reason": Bound(max_length=64),
    }


class RecentKill(Record, frozen=True, kw_only=True):
    """One kill."""

    id: str
    """Boot id and number: the same kill is never counted twice."""
    time: str
    """When."""
    comm: str | None = None
    """Name of the victim."""
    pid: int | None = None
    """Its process id."""
    usage_bytes: int | None = None
    """Usage at the kill."""
    limit_bytes: int | None = None
    """Limit at the kill."""
    anon_rss_bytes: int | None = None
    """Resident anonymous memory of the victim."""
    pod: str | None = None
    """Name of the victim's pod."""
    pod_uid: str | None = field(name="podUID", default=None)
    """metadata.uid of the victim's pod."""
    container_id: str | None = None
    """Container id given by the runtime."""
    started_at: str | None = None
    """When the container started, as kubelet reports it."""
    container_survived: bool | None = None
    """True if the container kept running, because the victim was not its main process; false if it ended
    with the kill. Absent while unknown."""
    visibility: str | None = None
    """Where this kill was reported, as in status.visibility."""
    before_install: bool | None = None
    """True for a kill before the agent's first start on the node; absent for others."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "id": Bound(max_length=128),
        "comm": Bound(max_length=128),
        "pid": Bound(minimum=0),
        "usage_bytes": Bound(minimum=0),
        "limit_bytes": Bound(minimum=0),
        "anon_rss_bytes": Bound(minimum=0),
        "pod": Bound(max_length=253),
        "pod_uid": Bound(max_length=128),
        "container_id": Bound(max_length=128),
    }


class HourCount(Record, frozen=True, kw_only=True):
    """Kills within one hour."""

    hour: str
    """Start of the hour."""
    kills: int
    """Kills in it."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "kills": Bound(minimum=0),
    }


class OOMIncidentStatus(Record, frozen=True, kw_only=True):
    """What happened, why, and what to do."""

    workload: WorkloadIdentity | None = None
    """The workload at the last kill; absent for a pod without an owner, and for a host process."""
    container_kind: str | None = None
    """Kind of the container at the last kill."""
    cause: str | None = None
    """Why the kernel killed."""
    level: str | None = None
    """Which cgroup's limit was reached; absent if none was."""
    outcome: str | None = None
    """What happened."""
    visibility: str | None = None
    """Where the last kill was reported. Reported: by the kernel and kubelet; Invisible: only by the
    kernel; ReportedOnly: only by kubelet; Host: the victim belonged to no pod. Absent if unknown: for a
    kill before install whose container's status is gone."""
    confidence: str | None = None
    """How well the evidence supports the cause."""
    count: int | None = None
    """Kills."""
    first_seen: str | None = None
    """The first kill."""
    last_seen: str | None = None
    """The last kill."""
    summary: str | None = None
    """The last kill in one sentence."""
    advice: tuple[AdviceItem, ...] = ()
    """Remedies, best first."""
    uncertain: tuple[str, ...] = ()
    """What the evidence does not show."""
    evidence: Evidence | None = None
    """What the kernel and kubelet reported about the last kill."""
    kills: tuple[RecentKill, ...] = ()
    """The last kills, newest first."""
    history: tuple[HourCount, ...] = ()
    """Kills per hour, at most a week of hours with kills."""
    conditions: tuple[Condition, ...] = ()
    """EvidenceComplete."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "count": Bound(minimum=0),
        "summary": Bound(max_length=1024),
        "advice": Bound(max_items=8),
        "uncertain": Bound(max_length=1024, max_items=8),
        "kills": Bound(max_items=10),
        "history": Bound(max_items=168),
        "conditions": Bound(max_items=8),
    }


class OOMIncident(Record, frozen=True, kw_only=True):
    """An OOMIncident counts and explains the OOM kills of one subject (a container of a workload, or a
    host cgroup) on one node for one cause. It outlives the pods. Incidents of workloads are in their
    namespace, those of host processes in the operator's."""

    api_version: str = "oomkeeper.dev/v1alpha1"
    """Version of this schema: oomkeeper.dev/v1alpha1."""
    metadata: ObjectMeta
    """Standard object metadata."""
    kind: str = "OOMIncident"
    """OOMIncident."""
    spec: OOMIncidentSpec
    """The subject: whose kills this object counts."""
    status: OOMIncidentStatus | None = None
    """What happened, why, and what to do; written by the agent."""
