"""What ends a container by SIGKILL, and the facts that tell.

Text that a process or a tenant chose (a comm, an Event's message) is escaped and cut before it gets here."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

SIGKILLED = 137
"""Exit code of a process that SIGKILL ended: 128 + 9."""
STATUS_UNKNOWN = "ContainerStatusUnknown"
"""The reason in kubelet's status of a container that the runtime no longer has."""
EVICTED_BY_API = "EvictionByEvictionAPI"
"""Reason of the condition DisruptionTarget of a pod that was evicted through the API (kubectl drain)."""
KOORDLET = "koordlet-qosManager"
"""Source of the Events of Koordinator's node agent."""
KOORDLET_EVICTED = "evictPodSuccess"
"""Reason of its Event on a pod that it has evicted."""


class Killer(StrEnum):
    """What killed a container."""

    KERNEL_OOM = "KernelOOM"
    """The kernel's OOM killer."""
    EVICTION = "Eviction"
    """kubelet evicted the pod to reclaim memory, disk or pids, or for a limit on ephemeral storage."""
    PROBE = "Probe"
    """kubelet stopped the container for a failed liveness or startup probe."""
    GRACE_PERIOD = "GracePeriod"
    """The container was asked to stop and still ran when its termination grace period expired."""
    PREEMPTION = "Preemption"
    """The pod made room for one of a higher priority."""
    RUNTIME = "Runtime"
    """The container runtime; no reason of kubelet's is known."""
    SYSTEMD_OOMD = "SystemdOOMD"
    """systemd-oomd."""
    USER_SPACE_OOM = "UserSpaceOOM"
    """Another OOM killer in user space, such as earlyoom."""
    CONTAINER = "Container"
    """A process of the container itself."""
    OTHER_CONTAINER = "OtherContainer"
    """A process in another container, of the same pod or another one."""
    HOST_PROCESS = "HostProcess"
    """A process of the node."""
    VM_RUNTIME = "VMRuntime"
    """Something inside the virtual machine or sandbox that the pod runs in."""
    NODE_LOST = "NodeLost"
    """The node was rebooted or lost."""
    UNKNOWN = "Unknown"
    """The evidence does not tell."""


class Certainty(StrEnum):
    """What the killer rests on."""

    PROVED = "Proved"
    """The kernel recorded it: the sender of the signal, its own OOM kill, or a reboot."""
    INFERRED = "Inferred"
    """It follows from times and states that the kernel or kubelet recorded, and nothing contradicts it."""
    CLAIMED = "Claimed"
    """A component reports it: a status, an Event, the name of a process that was gone."""
    UNKNOWN = "Unknown"
    """Nothing is known."""


class SenderPlace(StrEnum):
    """Where the sender of a signal was, by its cgroup."""

    CONTAINER = "Container"
    """In the container that was hit."""
    SAME_POD = "SamePod"
    """In another container of the same pod."""
    OTHER_POD = "OtherPod"
    """In another pod."""
    RUNTIME = "Runtime"
    """A container runtime's process, outside of all containers."""
    HOST = "Host"
    """Any other process outside of all containers."""
    OOM_KILLER = "OOMKiller"
    """The kernel's OOM killer."""
    KERNEL = "Kernel"
    """The kernel itself, for another reason."""
    UNKNOWN = "Unknown"
    """The sender was gone before its cgroup could be read."""


class Trace(StrEnum):
    """Whether the kernel's trace of SIGKILLs covers the end of a container."""

    COMPLETE = "Complete"
    PARTIAL = "Partial"
    """Records were lost, or belong to no container that could be named."""
    ABSENT = "Absent"


class KillSignal(NamedTuple):
    """One SIGKILL to a process of the container. Times in seconds since the epoch."""

    at: float
    pid: int
    """The process that was hit."""
    comm: str
    main: bool | None
    """Whether it was the container's first process, whose end ends the container; None if unknown."""
    sender_pid: int
    sender_place: SenderPlace
    sender_comm: str | None = None
    sender_exe: str | None = None
    sender_cgroup: str | None = None
    sender_pod: str | None = None
    """NAMESPACE/NAME of the pod that the sender was in; its uid where the API server never showed it."""
    sender_container: str | None = None
    sender_gone: bool = False
    """The sender had ended when its name was read: the name is what the kernel last noted for the pid."""


class OOMKillFact(NamedTuple):
    """A kill by the kernel's OOM killer in the container."""

    at: float
    incident: str | None = None
    """Name of the OOMIncident in the pod's namespace; None while it is not counted."""
    pid: int | None = None
    comm: str | None = None


class EventFact(NamedTuple):
    """An Event about the pod."""

    reason: str
    message: str
    container: str | None
    """The container that it names; None for one about the pod."""
    first_at: float | None
    last_at: float | None


class KillClaim(NamedTuple):
    """A line of the kernel log in which an OOM killer in user space reports a kill of the container or of one
    of its processes. Any process with access to /dev/kmsg can write one."""

    at: float
    program: str
    """The OOM killer that the line names."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFacts:
    """Everything that is known about the end of one container. Times in seconds since the epoch."""

    container: str
    exit_code: int | None
    reason: str | None
    finished_at: float | None
    """In whole seconds: the end was up to a second later."""
    started_at: float | None = None
    oom_kills: tuple[OOMKillFact, ...] = ()
    reported_incident: str | None = None
    """Name of the OOMIncident that counts an OOM kill that only kubelet reports."""
    signals: tuple[KillSignal, ...] = ()
    """In order."""
    claims: tuple[KillClaim, ...] = ()
    """In order."""
    trace: Trace = Trace.ABSENT
    trace_problem: str | None = None
    """Why the trace is not complete, as a sentence."""
    pod_reason: str | None = None
    """status.reason of the pod."""
    pod_message: str | None = None
    disruption: str | None = None
    """Reason of the condition DisruptionTarget."""
    disruption_message: str | None = None
    disruption_at: float | None = None
    """When that condition became true."""
    deletion_at: float | None = None
    """metadata.deletionTimestamp: when the grace period of a pod that is being deleted expires."""
    grace_seconds: int | None = None
    """metadata.deletionGracePeriodSeconds."""
    events: tuple[EventFact, ...] | None = None
    """None: not read."""
    events_problem: str | None = None
    """Why they were not read, as a sentence."""
    runtime_class: str | None = None
    sandboxed: bool = False
    """Whether the name of the runtime class is one of a virtual machine or a kernel in user space."""
    boot_began_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What killed a container, and what shows it."""

    killer: Killer
    certainty: Certainty
    summary: str
    """One sentence."""
    signal: KillSignal | None = None
    """The SIGKILL that ended the container."""
    oom_kill: OOMKillFact | None = None
    event: EventFact | None = None
    """The Event that tells why kubelet stopped the container."""
    claim: KillClaim | None = None
    """The line in the kernel log in which the killer reports it."""
    uncertain: tuple[str, ...] = ()
    """What the evidence does not show, or what contradicts it."""
