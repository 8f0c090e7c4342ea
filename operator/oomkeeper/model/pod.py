"""What the agent knows about a pod, its containers, and a path under kubepods."""

from collections.abc import Mapping
from typing import NamedTuple


class KubeCgroup(NamedTuple):
    """A cgroup path read as kubelet's: which pod and container it belongs to.

    Shapes: research of kubelet's pkg/kubelet/cm (cgroupfs and systemd drivers), containerd, CRI-O, docker,
    kind.
    """

    prefix: str
    """The path before kubelet's node root; "" on an ordinary node, `/docker/<id>` and the like inside
    kind."""
    segment: str
    """What the path's last part is: `node` (kubepods), `qos`, `pod`, `container`, `inner` (below a
    container), or `sandbox` (the pod's, but no container's: CRI-O's monitor, Kata's virtual machine)."""
    qos: str | None
    """`Guaranteed`, `Burstable`, `BestEffort`; None at the node level."""
    pod_uid: str | None
    """Dashed, as in metadata.uid; a static pod's 32 hex digits (its config hash) stay as they are."""
    container_id: str | None
    """64 hex digits, without the runtime's scheme."""


class ContainerFacts(NamedTuple):
    """One container of a pod: spec and status together."""

    name: str
    kind: str = "Container"
    """Container, InitContainer, EphemeralContainer."""
    container_ids: tuple[str, ...] = ()
    """Newest first; the one before is kept, for after a restart only lastState has it."""
    limit_bytes: int | None = None
    """The memory limit in force as kubelet reports it; the one in the spec where it reports none."""
    request_bytes: int | None = None
    restart_count: int = 0
    spec_limit_bytes: int | None = None
    status_limit_bytes: int | None = None
    """status.containerStatuses[].resources, since 1.27."""
    sidecar: bool = False
    """An init container with restartPolicy Always."""


class Owner(NamedTuple):
    """The controller that an object names in metadata.ownerReferences."""

    group: str
    """API group; "" for the core group."""
    kind: str
    name: str
    uid: str
    version: str = ""
    """API version without the group."""


class LimitChange(NamedTuple):
    """A memory limit in a pod's spec that was changed (in-place resize)."""

    at: str
    """When the agent saw it, RFC 3339."""
    container: str | None
    """None for the limit of the pod itself."""
    before_bytes: int
    after_bytes: int


class PodFacts(NamedTuple):
    """One pod of the agent's node, as far as OOM kills need it."""

    namespace: str
    name: str
    uid: str
    node: str
    cgroup_uid: str
    """The uid in the cgroup's name: metadata.uid, or for a static pod the config hash."""
    owner: Owner | None = None
    """The pod's controller, such as its ReplicaSet; None for a pod without one."""
    qos: str = ""
    labels: Mapping[str, str] = {}
    containers: tuple[ContainerFacts, ...] = ()
    limit_bytes: int | None = None
    """The limit of the pod itself (pod-level resources), where set; in force, as that of a container."""
    runtime_class: str | None = None
    """spec.runtimeClassName; None for the node's default runtime."""
    spec_limit_bytes: int | None = None
    """spec.resources.limits.memory of the pod itself."""
    status_limit_bytes: int | None = None
    """status.resources.limits.memory of the pod, since 1.34."""
    overhead_bytes: int = 0
    """spec.overhead.memory, which kubelet adds to the limit of the pod's cgroup."""
    resize: str | None = None
    """The condition of a resize that kubelet has not finished: `PodResizePending (Deferred)`."""
    limit_changes: tuple[LimitChange, ...] = ()
    """The last changes of limits in the spec, oldest first."""
