"""Generated from `oomkeeper.api.oomreport` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from .meta import Condition, ObjectMeta
from .oompolicy import CauseCount
from .record import Bound, Record
from .selector import LabelSelector


class OOMReportSpec(Record, frozen=True, kw_only=True):
    """What to report on."""

    window: str = "24h"
    """Time to look back, 1h to 168h, counted to the full hour."""
    refresh_interval: str = "1m"
    """How often to count anew, 10s to 1h."""
    namespace_selector: LabelSelector | None = None
    """Only incidents in namespaces with these labels; absent or empty means all."""
    node_selector: LabelSelector | None = None
    """Only incidents on nodes with these labels; absent or empty means all."""
    top: int = 10
    """Length of each list, 1 to 50."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "window": Bound(max_length=16),
        "refresh_interval": Bound(max_length=16),
        "top": Bound(minimum=1, maximum=50),
    }


class Totals(Record, frozen=True, kw_only=True):
    """Sums over the window."""

    kills: int = 0
    """Kills."""
    without_incident: int = 0
    """Of these, kills whose incident is gone: dropped by a bound, or deleted with its namespace."""
    incidents: int = 0
    """OOMIncidents with a kill in the window."""
    nodes: int = 0
    """Nodes with a kill."""
    workloads: int = 0
    """Workloads with a kill."""
    unattributed: int = 0
    """Kills that the kernel counted and no record explains."""
    lost_log_records: int = 0
    """Kernel log records that were lost."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "kills": Bound(minimum=0),
        "without_incident": Bound(minimum=0),
        "incidents": Bound(minimum=0),
        "nodes": Bound(minimum=0),
        "workloads": Bound(minimum=0),
        "unattributed": Bound(minimum=0),
        "lost_log_records": Bound(minimum=0),
    }


class NamespaceKills(Record, frozen=True, kw_only=True):
    """Kills of one namespace."""

    namespace: str
    """Namespace."""
    kills: int
    """Kills."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "namespace": Bound(max_length=63),
        "kills": Bound(minimum=0),
    }


class WorkloadReport(Record, frozen=True, kw_only=True):
    """Kills of one workload."""

    namespace: str | None = None
    """Namespace; absent for host processes."""
    kind: str
    """Kind of the workload."""
    name: str
    """Name of the workload."""
    kills: int
    """Kills."""
    cause: str | None = None
    """Its most frequent cause."""
    limit_bytes: int | None = None
    """Limit at its last kill."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "namespace": Bound(max_length=63),
        "kind": Bound(max_length=64),
        "name": Bound(max_length=253),
        "kills": Bound(minimum=0),
        "limit_bytes": Bound(minimum=0),
    }


class NodeKills(Record, frozen=True, kw_only=True):
    """Kills of one node."""

    name: str
    """Node."""
    kills: int
    """Kills."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "name": Bound(max_length=253),
        "kills": Bound(minimum=0),
    }


class Bucket(Record, frozen=True, kw_only=True):
    """Kills of one part of the window."""

    start: str
    """Start of the part."""
    kills: int
    """Kills in it."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "kills": Bound(minimum=0),
    }


class RankedAdvice(Record, frozen=True, kw_only=True):
    """One remedy and the kills that it would have prevented."""

    remedy: str
    """Kind of remedy."""
    message: str
    """What to do, for the workload that it would help most."""
    kills: int
    """Kills that it would have prevented."""
    workloads: int
    """Workloads that it concerns."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "message": Bound(max_length=512),
        "kills": Bound(minimum=0),
        "workloads": Bound(minimum=0),
    }


class IncompleteNode(Record, frozen=True, kw_only=True):
    """A node whose kill record has gaps."""

    name: str
    """Node."""
    unattributed: int = 0
    """Kills without a record."""
    lost_log_records: int = 0
    """Kernel log records that were lost."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "name": Bound(max_length=253),
        "unattributed": Bound(minimum=0),
        "lost_log_records": Bound(minimum=0),
    }


class Omitted(Record, frozen=True, kw_only=True):
    """How many entries the lists leave out."""

    workloads: int = 0
    """Workloads."""
    namespaces: int = 0
    """Namespaces."""
    nodes: int = 0
    """Nodes."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "workloads": Bound(minimum=0),
        "namespaces": Bound(minimum=0),
        "nodes": Bound(minimum=0),
    }


class OOMReportStatus(Record, frozen=True, kw_only=True):
    """The report. Each list has at most spec.top entries, most kills first."""

    observed_generation: int | None = None
    """metadata.generation that this status was made from."""
    conditions: tuple[Condition, ...] = ()
    """Ready; ClocksAgree: no node's clock is off by a minute or more; Complete: no node's kill record has
    gaps."""
    refresh_time: str | None = None
    """When the counts were made."""
    window_start: str | None = None
    """Start of the window."""
    totals: Totals | None = None
    """Sums over the window."""
    by_cause: tuple[CauseCount, ...] = ()
    """Kills by cause."""
    by_namespace: tuple[NamespaceKills, ...] = ()
    """Kills by namespace."""
    by_workload: tuple[WorkloadReport, ...] = ()
    """Kills by workload."""
    by_node: tuple[NodeKills, ...] = ()
    """Kills by node."""
    bucket_seconds: int | None = None
    """Length of the parts in buckets."""
    buckets: tuple[Bucket, ...] = ()
    """Kills over time: the window in at most 24 equal parts; parts without a kill are left out."""
    advice: tuple[RankedAdvice, ...] = ()
    """Remedies, by the kills that they would have prevented."""
    incomplete_nodes: tuple[IncompleteNode, ...] = ()
    """Nodes whose kill record has gaps."""
    omitted: Omitted | None = None
    """How many entries the lists leave out."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "observed_generation": Bound(minimum=0),
        "conditions": Bound(max_items=8),
        "by_cause": Bound(max_items=18),
        "by_namespace": Bound(max_items=50),
        "by_workload": Bound(max_items=50),
        "by_node": Bound(max_items=50),
        "bucket_seconds": Bound(minimum=0),
        "buckets": Bound(max_items=24),
        "advice": Bound(max_items=13),
        "incomplete_nodes": Bound(max_items=50),
    }


class OOMReport(Record, frozen=True, kw_only=True):
    """An OOMReport sums up the OOM kills of the cluster, or of the namespaces and nodes that it selects,
    over a window of time."""

    api_version: str = "oomkeeper.dev/v1alpha1"
    """Version of this schema: oomkeeper.dev/v1alpha1."""
    metadata: ObjectMeta
    """Standard object metadata."""
    kind: str = "OOMReport"
    """OOMReport."""
    spec: OOMReportSpec = field(default_factory=OOMReportSpec)
    """What to report on."""
    status: OOMReportStatus | None = None
    """The report; written by the controller."""
