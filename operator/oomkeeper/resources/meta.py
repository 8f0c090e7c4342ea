"""Generated from `oomkeeper.api.meta` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import Any, ClassVar

from .record import Bound, Record


class ObjectMeta(Record, frozen=True, kw_only=True):
    """metav1.ObjectMeta. The API server knows its schema; here it is only told apart from a typing error."""

    name: str | None = None
    """Name of the object."""
    generate_name: str | None = None
    """Prefix of a name that the API server completes."""
    namespace: str | None = None
    """Namespace of the object; none for cluster-scoped kinds."""
    labels: dict[str, str] | None = None
    """Labels."""
    annotations: dict[str, str] | None = None
    """Annotations."""
    uid: str | None = None
    """Set by the API server."""
    resource_version: str | None = None
    """Set by the API server."""
    generation: int | None = None
    """Counts changes of the spec."""
    creation_timestamp: str | None = None
    """Set by the API server."""
    deletion_timestamp: str | None = None
    """Set by the API server."""
    deletion_grace_period_seconds: int | None = None
    """Set by the API server."""
    owner_references: tuple[dict[str, Any], ...] | None = None
    """Objects with which this one is deleted."""
    finalizers: tuple[str, ...] | None = None
    """What must be done before the object is deleted."""


class Condition(Record, frozen=True, kw_only=True):
    """One aspect of the object's state, as the Kubernetes API conventions define it."""

    type: str
    """Name of the aspect, CamelCase."""
    status: str
    """True, False or Unknown."""
    observed_generation: int | None = None
    """metadata.generation that the condition was made from."""
    last_transition_time: str
    """When the status last changed."""
    reason: str
    """Why, as one CamelCase word for programs."""
    message: str
    """Why, for people. May be empty."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "type": Bound(max_length=64),
        "observed_generation": Bound(minimum=0),
        "reason": Bound(max_length=128),
        "message": Bound(max_length=1024),
    }


class ApiObject(Record, frozen=True, kw_only=True):
    """A whole object: kind, metadata, spec, status."""

    api_version: str = "oomkeeper.dev/v1alpha1"
    """Version of this schema: oomkeeper.dev/v1alpha1."""
    metadata: ObjectMeta
    """Standard object metadata."""
