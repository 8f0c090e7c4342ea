"""The fields of a v1 Pod that the agent needs, and no others: what a pod's annotations, environment or
volumes hold is never kept in memory.

Every field may be absent or null: an object being created has few. Names are those of k8s.io/api/core/v1.
"""

import msgspec

from oomkeeper.model.pod import Owner


class _Part(msgspec.Struct, kw_only=True, rename="camel"):
    """A part of the object; fields not named here are skipped."""


class Annotations(_Part):
    """The two annotations of a mirror pod (pkg/kubelet/types/pod_update.go)."""

    config_hash: str | None = msgspec.field(name="kubernetes.io/config.hash", default=None)
    config_mirror: str | None = msgspec.field(name="kubernetes.io/config.mirror", default=None)


class OwnerReference(_Part):
    """An owner of the pod."""

    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    controller: bool | None = None


class Metadata(_Part):
    """ObjectMeta."""

    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: Annotations | None = None
    owner_references: list[OwnerReference] | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None


class Amounts(_Part):
    """A resource list."""

    memory: str | int | None = None
    """A resource.Quantity."""


class Resources(_Part):
    """Limits and requests of a container or a pod."""

    limits: Amounts | None = None
    requests: Amounts | None = None


class Container(_Part):
    """A container of the spec, of any kind."""

    name: str | None = None
    restart_policy: str | None = None
    resources: Resources | None = None


class Spec(_Part):
    """PodSpec."""

    node_name: str | None = None
    runtime_class_name: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None
    resources: Resources | None = None
    overhead: Amounts | None = None


class Running(_Part):
    """ContainerStateRunning."""

    started_at: str | None = None


class Terminated(_Part):
    """ContainerStateTerminated."""

    reason: str | None = None
    exit_code: int | None = None
    container_id: str | None = msgspec.field(name="containerID", default=None)
    started_at: str | None = None
    finished_at: str | None = None


class State(_Part):
    """ContainerState."""

    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Part):
    """ContainerStatus."""

    name: str | None = None
    container_id: str | None = msgspec.field(name="containerID", default=None)
    state: State | None = None
    last_state: State | None = None
    restart_count: int | None = None
    resources: Resources | None = None


class Condition(_Part):
    """PodCondition."""

    type: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


class Status(_Part):
    """PodStatus."""

    qos_class: str | None = None
    reason: str | None = None
    message: str | None = None
    conditions: list[Condition] | None = None
    resize: str | None = None
    """State of a resize, from 1.27 to 1.32; then conditions."""
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None
    resources: Resources | None = None


class PodObject(_Part):
    """A v1 Pod."""

    metadata: Metadata | None = None
    spec: Spec | None = None
    status: Status | None = None


def decode(data: bytes) -> PodObject:
    """Return the Pod of an object in JSON. Raises ValueError for what is no JSON, or has a field of another
    type than the API's."""
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"Pod: {error}") from error


def controller_of(meta: Metadata) -> Owner | None:
    """Return the owner that controls an object (ownerReferences[].controller), if any."""
    for one in meta.owner_references or ():
        if one.controller:
            group, _, version = (one.api_version or "").rpartition("/")
            return Owner(
                group=group, kind=one.kind or "", name=one.name or "", uid=one.uid or "", version=version
            )
    return None


_DECODER = msgspec.json.Decoder(PodObject)
