"""OOMReport: the OOM kills of the cluster, or a part of it, over a window of time."""

from typing import Annotated, Literal

from pydantic import Field

from oomkeeper.model.cause import Cause, Remedy

from .base import ApiModel
from .meta import AGE, ApiObject, Column, Conditions, Resource
from .oompolicy import CauseCount
from .scalars import Bytes, Count, DurationRange, Name, Namespace, Timestamp, Token
from .selector import LabelSelector


class OOMReportSpec(ApiModel):
    """What to report on."""

    window: Annotated[str, Field(max_length=16), DurationRange("1h", "168h")] = "24h"
    """Time to look back, 1h to 168h, counted to the full hour."""
    refresh_interval: Annotated[str, Field(max_length=16), DurationRange("10s", "1h")] = "1m"
    """How often to count anew, 10s to 1h."""
    namespace_selector: LabelSelector | None = None
    """Only incidents in namespaces with these labels; absent or empty means all."""
    node_selector: LabelSelector | None = None
    """Only incidents on nodes with these labels; absent or empty means all."""
    top: Annotated[int, Field(ge=1, le=50)] = 10
    """Length of each list, 1 to 50."""


class Totals(ApiModel):
    """Sums over the window."""

    kills: Count = 0
    """Kills."""
    without_incident: Count = 0
    """Of these, kills whose incident is gone: dropped by a bound, or deleted with its namespace."""
    incidents: Count = 0
    """OOMIncidents with a kill in the window."""
    nodes: Count = 0
    """Nodes with a kill."""
    workloads: Count = 0
    """Workloads with a kill."""
    unattributed: Count = 0
    """Kills that the kernel counted and no record explains."""
    lost_log_records: Count = 0
    """Kernel log records that were lost."""


class NamespaceKills(ApiModel):
    """Kills of one namespace."""

    namespace: Namespace
    """Namespace."""
    kills: Count
    """Kills."""


class WorkloadReport(ApiModel):
    """Kills of one workload."""

    namespace: Namespace | None = None
    """Namespace; absent for host processes."""
    kind: Token
    """Kind of the workload."""
    name: Name
    """Name of the workload."""
    kills: Count
    """Kills."""
    cause: Cause | None = None
    """Its most frequent cause."""
    limit_bytes: Bytes | None = None
    """Limit at its last kill."""


class NodeKills(ApiModel):
    """Kills of one node."""

    name: Name
    """Node."""
    kills: Count
    """Kills."""


class Bucket(ApiModel):
    """Kills of one part of the window."""

    start: Timestamp
    """Start of the part."""
    kills: Count
    """Kills in it."""


class RankedAdvice(ApiModel):
    """One remedy and the kills that it would have prevented."""

    remedy: Remedy
    """Kind of remedy."""
    message: Annotated[str, Field(max_length=512)]
    """What to do, for the workload that it would help most."""
    kills: Count
    """Kills that it would have prevented."""
    workloads: Count
    """Workloads that it concerns."""


class IncompleteNode(ApiModel):
    """A node whose kill record has gaps."""

    name: Name
    """Node."""
    unattributed: Count = 0
    """Kills without a record."""
    lost_log_records: Count = 0
    """Kernel log records that were lost."""


class Omitted(ApiModel):
    """How many entries the lists leave out."""

    workloads: Count = 0
    """Workloads."""
    namespaces: Count = 0
    """Namespaces."""
    nodes: Count = 0
    """Nodes."""


class OOMReportStatus(ApiModel):
    """The report. Each list has at most spec.top entries, most kills first."""

    observed_generation: Count | None = None
    """metadata.generation that this status was made from."""
    conditions: Conditions = ()
    """Ready; ClocksAgree: no node's clock is off by a minute or more; Complete: no node's kill
    record has gaps."""
    refresh_time: Timestamp | None = None
    """When the counts were made."""
    window_start: Timestamp | None = None
    """Start of the window."""
    totals: Totals | None = None
    """Sums over the window."""
    by_cause: Annotated[tuple[CauseCount, ...], Field(max_length=len(Cause))] = ()
    """Kills by cause."""
    by_namespace: Annotated[tuple[NamespaceKills, ...], Field(max_length=50)] = ()
    """Kills by namespace."""
    by_workload: Annotated[tuple[WorkloadReport, ...], Field(max_length=50)] = ()
    """Kills by workload."""
    by_node: Annotated[tuple[NodeKills, ...], Field(max_length=50)] = ()
    """Kills by node."""
    bucket_seconds: Count | None = None
    """Length of the parts in buckets."""
    buckets: Annotated[tuple[Bucket, ...], Field(max_length=24)] = ()
    """Kills over time: the window in at most 24 equal parts; parts without a kill are left out."""
    advice: Annotated[tuple[RankedAdvice, ...], Field(max_length=len(Remedy))] = ()
    """Remedies, by the kills that they would have prevented."""
    incomplete_nodes: Annotated[tuple[IncompleteNode, ...], Field(max_length=50)] = ()
    """Nodes whose kill record has gaps."""
    omitted: Omitted | None = None
    """How many entries the lists leave out."""


class OOMReport(ApiObject):
    """An OOMReport sums up the OOM kills of the cluster, or of the namespaces and nodes that it selects, over
    a window of time."""

    resource = Resource(
        kind="OOMReport",
        plural="oomreports",
        short="oomr",
        namespaced=False,
        spec_writer="you",
        status_writer="the controller",
        columns=(
            Column(name="Window", path=".spec.window", what="Length of the window."),
            Column(name="Kills", path=".status.totals.kills", type="integer", what="Kills in the window."),
            Column(name="Top-Cause", path=".status.byCause[0].cause", what="The most frequent cause."),
            Column(
                name="Top-Workload",
                path=".status.byWorkload[0].name",
                what="The workload with the most kills.",
            ),
            Column(name="Nodes", path=".status.totals.nodes", type="integer", what="Nodes with a kill."),
            Column(
                name="Refreshed",
                path=".status.refreshTime",
                type="date",
                what="Time since the counts were made.",
            ),
            AGE,
            Column(
                name="Top-Namespace",
                path=".status.byNamespace[0].namespace",
                what="The namespace with the most kills.",
                wide=True,
            ),
            Column(
                name="Workloads",
                path=".status.totals.workloads",
                type="integer",
                what="Workloads with a kill.",
                wide=True,
            ),
            Column(
                name="Complete",
                path='.status.conditions[?(@.type=="Complete")].status',
                what="Whether no node's kill record has gaps.",
                wide=True,
            ),
            Column(
                name="Advice",
                path=".status.advice[0].message",
                what="What would have prevented most kills.",
                wide=True,
            ),
        ),
    )

    kind: Literal["OOMReport"] = "OOMReport"
    """OOMReport."""
    spec: OOMReportSpec = Field(default_factory=OOMReportSpec)
    """What to report on."""
    status: OOMReportStatus | None = None
    """The report; written by the controller."""
