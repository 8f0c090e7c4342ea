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
    request_bytes: int | None = None
    restart_count: int = 0


class Owner(NamedTuple):
    """The controller that an object names in metadata.ownerReferences."""

    group: str
    """API group; "" for the core group."""
    kind: str
    name: str
    uid: str


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
    """spec.resources.limits.memory of the pod itself (pod-level resources), where set."""
    runtime_class: str | None = None
    """spec.runtimeClassName; None for the node's default runtime."""
