"""metadata, conditions, and what a CRD needs beside the schema."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from oomkeeper.model.names import API_VERSION
from oomkeeper.model.policy import ConditionStatus

from .base import ApiModel
from .rules import Checked, ListMap, Rule
from .scalars import Count, Timestamp, matching

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class ObjectMeta(ApiModel):
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
    creation_timestamp: Timestamp | None = None
    """Set by the API server."""
    deletion_timestamp: Timestamp | None = None
    """Set by the API server."""
    deletion_grace_period_seconds: int | None = None
    """Set by the API server."""
    owner_references: tuple[dict[str, Any], ...] | None = None
    """Objects with which this one is deleted."""
    finalizers: tuple[str, ...] | None = None
    """What must be done before the object is deleted."""
    managed_fields: tuple[dict[str, Any], ...] | None = None
    """Which manager wrote which field by server-side apply."""
    self_link: str | None = None
    """No longer set."""

    rules = (
        Rule(
            cel=None,
            message="is missing: write a name",
            holds=lambda self: bool(self.name or self.generate_name),
            field=("name",),
        ),
        Rule(
            cel=None,
            message="write at most 253 lower-case letters, digits, '-' and '.', "
            "beginning and ending with a letter or digit",
            holds=lambda self: (
                not self.name or (len(self.name) < 254 and _SUBDOMAIN.fullmatch(self.name) is not None)
            ),
            field=("name",),
        ),
    )


class Condition(ApiModel):
    """One aspect of the object's state, as the Kubernetes API conventions define it."""

    type: Annotated[str, Field(min_length=1, max_length=64)]
    """Name of the aspect, CamelCase."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Count | None = None
    """metadata.generation that the condition was made from."""
    last_transition_time: Timestamp
    """When the status last changed."""
    reason: Annotated[
        str,
        Field(min_length=1, max_length=128),
        Checked(matching("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", "write one CamelCase word")),
    ]
    """Why, as one CamelCase word for programs."""
    message: Annotated[str, Field(max_length=1024)]
    """Why, for people. May be empty."""


Conditions = Annotated[tuple[Condition, ...], Field(max_length=8), ListMap("type")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    path: str
    """JSONPath."""
    type: Literal["string", "integer", "date", "boolean"] = "string"
    what: str
    wide: bool = False
    """Only with -o wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a CRD contains beside its schema."""

    kind: str
    plural: str
    short: str
    namespaced: bool
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    """JSON paths that a field selector may use."""
    spec_writer: str
    """Who writes the spec, for the documentation."""
    status_writer: str

    @property
    def singular(self) -> str:
        """The kind in lower case, as kubectl takes it."""
        return self.kind.lower()


class ApiObject(ApiModel):
    """A whole object: kind, metadata, spec, status."""

    resource: ClassVar[Resource]

    api_version: Literal["oomkeeper.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    """Version of this schema: oomkeeper.dev/v1alpha1."""
    metadata: ObjectMeta
    """Standard object metadata."""


def condition_column(name: str) -> Column:
    """The column that shows a condition's status."""
    return Column(
        name=name,
        path=f'.status.conditions[?(@.type=="{name}")].status',
        what=f"Status of the condition {name}.",
    )


AGE = Column(
    name="Age", path=".metadata.creationTimestamp", type="date", what="Time since the object was created."
)
