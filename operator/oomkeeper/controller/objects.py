"""Cached objects: the fields that the controller decides on, and nothing else.

If an object's new state equals the cached one, nothing happened that needs a reconciliation; an example is a
node's heartbeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from oomkeeper.api.oompolicy import OOMPolicySpec
from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.api.selector import LabelSelector
from oomkeeper.resources.oomnode import Counters, ObservedAdjustment, ObservedSysctl, OOMNodeSpec
from oomkeeper.resources.oompolicy import OOMPolicyStatus, PanicBreakerStatus
from oomkeeper.resources.oomreport import OOMReportStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An OOMPolicy."""

    name: str
    uid: str
    version: int = field(compare=False)
    generation: int
    created: float
    """Seconds since the epoch; of equal priorities the older wins."""
    deleting: bool
    spec: OOMPolicySpec | None
    """The last valid one that was seen. None if there is none: the nodes then keep what they have."""
    spec_generation: int
    """metadata.generation of `spec`; older than `generation` if the present content is invalid."""
    invalid: str | None
    """The problem, if the present content is invalid."""
    unknown_fields: tuple[str, ...] = ()
    """Fields of a newer version, which are ignored."""
    priority: int
    """spec.priority, if that much can be read of an invalid spec; else the default."""
    rollout_request: str | None = None
    """The annotation oomkeeper.dev/rollout."""
    breaker_request: str | None = None
    """The annotation oomkeeper.dev/panic-breaker."""
    breaker: PanicBreakerStatus | None = None
    """Its panic breaker, where it is in effect; not of the object itself (panic_breaker.py)."""
    status: OOMPolicyStatus | None = field(compare=False)
    """As in the API server: the controller writes only differences. None if absent or malformed."""


def with_last_valid_spec(policy: Policy, before: Policy | None) -> Policy:
    """Return the policy with the spec of its earlier state, if its present content is invalid."""
    if policy.spec is not None or before is None or before.spec is None or before.uid != policy.uid:
        return policy
    return replace(policy, spec=before.spec, spec_generation=before.spec_generation, priority=before.priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A core/v1 Node."""

    name: str
    uid: str
    version: int = field(compare=False)
    labels: Mapping[str, str]
    linux: bool
    ready: bool | None
    """The Ready condition; None if the node has none (yet)."""
    ready_since: float | None = None
    """When that condition last changed, in seconds since the epoch."""
    unschedulable: bool = False
    """Whether it is cordoned, by anyone."""
    cordoned_by_us: bool = False
    """Whether the controller's own cordon is in force."""
    cordon_note: str | None = None
    """The annotation oomkeeper.dev/panic-cordon."""
    boot_id: str | None
    clock_skew_seconds: int = 0
    """The node's clock minus the API server's, in whole minutes; 0 if below a minute or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OOMNodeState:
    """An OOMNode: its present spec, and what its agent reported."""

    name: str
    uid: str
    version: int = field(compare=False)
    generation: int
    owner_uids: tuple[str, ...]
    spec: OOMNodeSpec
    foreign: bool
    """Whether spec is malformed or holds fields that this controller does not write."""
    observed_generation: int
    """0 before the agent's first report, and if the status is malformed."""
    sysctls: Mapping[str, ObservedSysctl]
    """By name."""
    adjustments: Mapping[tuple[str, str], ObservedAdjustment]
    """By policy and name of the entry."""
    boot_id: str | None
    counters: Counters
    recent_panics: tuple[float, ...] = ()
    """Times of its last OOM panics, in seconds since the epoch."""
    history: Mapping[int, int]
    """Full hour, in seconds since the epoch -> kills recorded."""
    malformed: str | None = None
    """The problem, if spec or status could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An OOMReport."""

    name: str
    uid: str
    version: int = field(compare=False)
    generation: int
    spec: OOMReportSpec | None
    invalid: str | None
    status: OOMReportStatus | None = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KilledContainer:
    """A ContainerKill, as far as its bounds need it. The controller shows it nowhere."""

    namespace: str
    name: str
    uid: str
    version: int = field(compare=False)
    last_seen: float | None
    """The last end, in seconds since the epoch, and not later than the object was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A core/v1 Namespace: its labels, for a report's namespaceSelector."""

    name: str
    uid: str
    version: int = field(compare=False)
    labels: Mapping[str, str]


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Return whether the selector selects an object with these labels. None selects every object."""
    return selector is None or selector.matches(labels)


def is_empty(selector: LabelSelector | None) -> bool:
    """Return whether the selector has no requirement."""
    return selector is None or not (selector.match_labels or selector.match_expressions)
