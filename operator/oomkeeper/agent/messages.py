"""What other threads tell the loop. Each message is handled in the loop's thread, in the order of arrival."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.oomincident import OOMIncident

from .desired import Desired
from .plan.request import PlanRequest
from .pods import Pod
from .records import DesiredNote


@dataclass(frozen=True, slots=True)
class DesiredChanged:
    """The node's OOMNode (or a policy file) asks for this now."""

    desired: Desired
    stored_as: DesiredNote | None = None
    """What is stored of the OOMNode, for a start without the API server."""


@dataclass(frozen=True, slots=True)
class NodeObjectMissing:
    """The API server has no OOMNode of this node."""


@dataclass(frozen=True, slots=True)
class NodeRead:
    """What the Node object says of this node's kubelet."""

    kubelet_version: str | None
    k3s_arguments: tuple[str, ...] | None
    """What k3s was started with (annotation k3s.io/node-args); None on other distributions."""


@dataclass(frozen=True, slots=True)
class PodsListed:
    """All pods of this node."""

    pods: Sequence[Pod]


@dataclass(frozen=True, slots=True)
class PodChanged:
    """One pod was created, changed or deleted."""

    pod: Pod
    deleted: bool


@dataclass(frozen=True, slots=True)
class NamespacesChanged:
    """Labels of a namespace became known or changed."""


@dataclass(frozen=True, slots=True)
class WorkloadFound:
    """The workload of some pods became known."""


@dataclass(frozen=True, slots=True)
class IncidentsListed:
    """The incidents and ContainerKills of this node that an earlier state database left in the cluster."""

    incidents: Sequence[OOMIncident]
    adopted: threading.Event
    """Set when the store counts on from them."""
    container_kills: Sequence[ContainerKill] = ()


@dataclass(frozen=True, slots=True)
class KillsPlaced:
    """The cgroups of kills without a report are known, as far as they can be."""


@dataclass(frozen=True, slots=True)
class SignalsFound:
    """SIGKILLs were traced."""


@dataclass(frozen=True, slots=True)
class EventsRead:
    """The Events of a pod were read."""


@dataclass(frozen=True, slots=True)
class PublishingChanged:
    """The API server rejects a document, or takes it now."""


@dataclass(frozen=True, slots=True)
class PlanAsked:
    """The node's OOMNode asks what a change would do; None: it does not any more."""

    request: PlanRequest | None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the loop after what has been read is stored."""


Message = (
    DesiredChanged
    | NodeObjectMissing
    | NodeRead
    | PodsListed
    | PodChanged
    | NamespacesChanged
    | WorkloadFound
    | IncidentsListed
    | KillsPlaced
    | SignalsFound
    | EventsRead
    | PublishingChanged
    | PlanAsked
    | Stop
)
