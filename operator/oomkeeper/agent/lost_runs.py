"""Ends of containers in statuses without a container id.

Where the runtime no longer has a container whose end kubelet must report, kubelet writes
ContainerStatusUnknown without a container id and without times (k8s.io/kubernetes, pkg/kubelet/
kubelet_pods.go, convertToAPIContainerStatuses(), and pkg/kubelet/status/status_manager.go). After an eviction
for memory that is the rule. The end is that of the run that the status named before."""

from collections.abc import Mapping
from dataclasses import replace

from oomkeeper.model.killer import STATUS_UNKNOWN

from .pods import ContainerState, Pod


def with_lost_runs(pod: Pod, known: Pod | None) -> Pod:
    """Return the pod with the state of each lost run under the id that the run had in `known`, and under a
    name of our own where no id was ever known."""
    if not pod.lost:
        return pod
    states = dict(pod.states)
    for container, lost in pod.lost.items():
        run = _known_run(container, known.states if known is not None else {}, reported=pod.states)
        if run is None:
            states[f"{pod.facts.uid}-{container}"] = lost
        else:
            container_id, state = run
            states[container_id] = replace(lost, started_at=state.started_at)
    return replace(pod, states=states)


def _known_run(
    container: str, known: Mapping[str, ContainerState], *, reported: Mapping[str, ContainerState]
) -> tuple[str, ContainerState] | None:
    """Return the container's run that was last known to run, else one that is lost already."""
    runs = [
        (container_id, state)
        for container_id, state in known.items()
        if state.container == container and container_id not in reported
    ]
    lost = [run for run in runs if run[1].reason == STATUS_UNKNOWN]
    return next((run for run in runs if run[1].running), None) or next(iter(lost), None)
