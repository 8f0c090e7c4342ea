"""Cached objects: the fields that the controller decides on, and nothing else.

If an object's new state equals the cached one, nothing happened that needs a reconciliation; an example is a
node's heartbeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from oomkeeper.api.oompolicy import OOMPolicySpec
from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.api.selector import LabelSelector


class DesiredSysctl(NamedTuple):
    """One entry of OOMNode.spec.sysctls."""

    name: str
    value: int
    policy: str
    mode: str = "Enforce"
    persistence: str = "Runtime"
    on_release: str = "Restore"
    acknowledge: tuple[str, ...] = ()


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
    """None if the content is invalid."""
    invalid: str | None
    """The problem, if spec is None."""
    status: Mapping[str, Any] = field(compare=False)
    """As in the API server: the controller writes only differences."""


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
    boot_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlReport:
    """One entry of OOMNode.status.sysctls."""

    desired: int | None
    actual: int | None
    policy: str | None
    state: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentReport:
    """One entry of OOMNode.status.oomScoreAdjustments."""

    value: int | None
    state: str
    reason: str
    message: str
    pods: int
    in_force: int
    failed: int
    overridden: int
    overridden_by: str
    """One of the entries that decide, as `<policy>/<name>`."""
    differing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OOMNodeState:
    """An OOMNode: its present spec, and what its agent reported."""

    name: str
    uid: str
    version: int = field(compare=False)
    generation: int
    owner_uids: tuple[str, ...]
    sysctls: tuple[DesiredSysctl, ...]
    adjustments: tuple[Mapping[str, Any], ...]
    """spec.oomScoreAdjustments, for comparison."""
    host_kills: bool
    """Whether its agent publishes the kills of host processes."""
    extras: bool
    """Whether spec holds fields that this controller does not write."""
    observed_generation: int
    """0 before the agent's first report."""
    reports: Mapping[str, SysctlReport]
    adjusted: Mapping[tuple[str, str], AdjustmentReport]
    """By policy and name of the entry."""
    boot_id: str | None
    unattributed: int
    lost_log_records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An OOMReport."""

    name: str
    uid: str
    version: int = field(compare=False)
    generation: int
    spec: OOMReportSpec | None
    invalid: str | None
    status: Mapping[str, Any] = field(compare=False)


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
