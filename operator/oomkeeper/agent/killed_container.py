"""The container that a kill hit: its kind, when it started, and whether it survived the kill."""

from oomkeeper.model.times import parse_time
from oomkeeper.resources.oomincident import RecentKill

from .attribution import Subject
from .pods import ContainerState

ENDS_WITHIN_SECONDS = 5.0
"""Longest time from a kill to the end of the container that the kill ended."""
PANIC_ID = "pstore-"
"""Prefix of the ids of panics: they leave no container running."""


def container_kind(subject: Subject) -> str | None:
    """Return in which list of the pod's spec the container is; None where the pod or container is unknown."""
    containers = subject.pod.facts.containers if subject.pod is not None else ()
    return next((one.kind for one in containers if one.name == subject.container), None)


def started_at(subject: Subject) -> str | None:
    """Return when the container started; None while kubelet has not reported it."""
    if subject.pod is None or subject.container_id is None:
        return None
    state = subject.pod.states.get(subject.container_id)
    return state.started_at if state is not None else None


def survived(kill: RecentKill, state: ContainerState | None) -> bool | None:
    """Return whether the container kept running after the kill, by its state as kubelet reports it once it
    had the time to notice an end; None where the state does not show it."""
    if state is None or kill.id.startswith(PANIC_ID):
        return None
    if state.running:
        return True
    killed, finished = parse_time(kill.time), parse_time(state.finished_at)
    if killed is not None and finished is not None and finished - killed <= ENDS_WITHIN_SECONDS:
        return False
    return None
