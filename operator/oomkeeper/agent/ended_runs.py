"""Find the container that a kill ended, where the kernel names only the pod: by the statuses that kubelet
reports at that time.

A sandboxed runtime keeps its processes in the pod's cgroup, or in one that has the sandbox's id, which no
container status has: gVisor's sentry runs all containers of a pod (google/gvisor#2433), Kata's virtual
machine too."""

from dataclasses import dataclass

from oomkeeper.model.escaping import printable
from oomkeeper.resources.killrecord import RecordedKill

from .clock import parse_rfc3339
from .pods import OOM_KILLED, ContainerState, Pod

SIGKILLED = 137
"""Exit code of a process that SIGKILL ended: 128 + 9."""
EARLIER_SECONDS = 2.0
"""finishedAt has whole seconds, and the kernel's clock is converted to wall-clock time."""
LATER_SECONDS = 5.0
"""How long the runtime takes to end a container after its sandbox's process was killed."""


@dataclass(frozen=True, slots=True)
class EndedRun:
    """One run of a container that ended at the time of a kill."""

    container_id: str
    state: ContainerState

    @property
    def how_named(self) -> str:
        """How the container of the kill was found, as a sentence for the incident."""
        reason = printable(self.state.reason or "no reason")[:64]
        return (
            "The victim's cgroup belongs to the pod or to its sandbox and names no container: "
            f"{self.state.container} is named because kubelet reports that it ended at the same time "
            f"({reason}, exit code {self.state.exit_code})."
        )


def is_near(state: ContainerState, *, killed_at: float) -> bool:
    """Return whether a container ended at the time of a kill, in seconds since the epoch."""
    try:
        finished = parse_rfc3339(state.finished_at or "")
    except ValueError:
        return False
    return -EARLIER_SECONDS <= finished - killed_at <= LATER_SECONDS


def runs_ended_by_kill(pod: Pod, *, killed_at: float) -> list[EndedRun]:
    """Return the runs of containers that the kill may have ended: OOMKilled, or ended by SIGKILL."""
    return [
        EndedRun(container_id, state)
        for container_id, state in pod.states.items()
        if not state.running
        and (state.reason == OOM_KILLED or state.exit_code == SIGKILLED)
        and is_near(state, killed_at=killed_at)
    ]


def names_no_container(record: RecordedKill, pod: Pod) -> bool:
    """Return whether the victim's cgroup is the pod's, or has an id that no status of the pod has.

    The pod's pause process has a cgroup of its own, and its end ends no container."""
    if record.outcome == "Panicked" or (
        record.victims and all(victim.comm == "pause" for victim in record.victims)
    ):
        return False
    return record.container_id is None or not any(
        record.container_id in container.container_ids for container in pod.facts.containers
    )
