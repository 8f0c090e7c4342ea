"""What the controller remembers of each object: the fields that decide, and nothing else.

A record equal to the one before means that nothing worth a reconciliation happened: a node's heartbeat, for
one.
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
    """Seconds since the epoch; ties of priority go to the older."""
    deleting: bool
    spec: OOMPolicySpec | None
    """None where the content is invalid."""
    invalid: str | None
    """What is wrong, where spec is None."""
    status: Mapping[str, Any] = field(compare=False)
    """As in the API server: the controller writes only what differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A core/v1 Node."""

    name: str
    uid: str
    version: int = field(compare=False)
    labels: Mapping[str, str]
    linux: bool
    ready: bool | None
    """The Ready condition; None where the node has none (yet)."""
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
    """One of those that decide, as `<policy>/<name>`."""
    differing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """An OOMNode: what its spec says now, and what its agent answered."""

    name: str
    uid: str
    version: int = field(compare=False)
    generation: int
    owner_uids: tuple[str, ...]
    sysctls: tuple[DesiredSysctl, ...]
    adjustments: tuple[Mapping[str, Any], ...]
    """spec.oomScoreAdjustments as it stands, for comparison."""
    host_kills: bool
    """Whether its agent publishes the kills of the host's own processes."""
    extras: bool
    """Whether spec holds something that this controller does not write."""
    observed_generation: int
    """0 before the agent's first answer."""
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
    """Whether the selector takes an object with these labels. An absent one takes every object."""
    return selector is None or selector.matches(labels)


def is_empty(selector: LabelSelector | None) -> bool:
    """Whether the selector asks for nothing."""
    return selector is None or not (selector.match_labels or selector.match_expressions)
