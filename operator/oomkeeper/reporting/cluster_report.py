"""The report of `kubectl oom report`: the OOM kills of a cluster or a namespace over a window of time.

Pure: OOMIncidents, OOMNodes and OOMReports in, one record out that text, Markdown, CSV and HTML render. Its
JSON is the record itself. Counts follow the rules of OOMReport.status (`counted_kills.py`); other than there,
no list is cut.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from oomkeeper.model.names import wire_name
from oomkeeper.model.times import format_time, full_hour
from oomkeeper.resources.oomincident import OOMIncident

from .cluster_coverage import ClusterFacts, Coverage, coverage_of
from .counted_kills import (
    Counted,
    Key,
    count_kills,
    ranked,
    ranked_advice,
    recency,
    sums,
    without_incident,
    workload_text,
)
from .incident import HOST_KIND, Incident, Workload, incident_of
from .workload_memory import memory_at_kills


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """Base of the report's records: camelCase on the wire."""


class Totals(_Part, frozen=True, kw_only=True):
    """Sums over the window."""

    kills: int = 0
    without_incident: int = 0
    """Of these, kills whose incident is gone: dropped by a bound, or deleted with its namespace."""
    incidents: int = 0
    workloads: int = 0
    namespaces: int = 0
    nodes: int = 0


class HourRow(_Part, frozen=True, kw_only=True):
    """Kills of one hour; hours without a kill are left out."""

    start: str
    kills: int
    causes: dict[str, int]


class CauseRow(_Part, frozen=True, kw_only=True):
    """Kills of one cause."""

    cause: str
    kills: int
    workloads: int


class WorkloadRow(_Part, frozen=True, kw_only=True):
    """Kills of one workload, or of one cgroup of host processes."""

    namespace: str | None
    """None for host processes."""
    kind: str
    name: str
    containers: tuple[str, ...]
    kills: int
    cause: str
    """Its most frequent cause."""
    nodes: int
    limit_bytes: int | None
    """Limit at its last kill for that cause."""
    usage_bytes: int | None
    """Usage at that kill."""
    last_kill: str | None
    victim: str | None
    """Name of the process that was killed last."""
    remedy: str | None
    advice: str | None
    """What to do first, of its last kill for that cause."""
    began: str | None = None
    """How its kills began: after a quiet time, with a rollout. None where that is not known."""

    @property
    def place(self) -> str:
        """Return `Deployment shop/web`, or the cgroup of host processes."""
        return workload_text(Workload(self.namespace or "", self.kind, self.name))


class NamespaceRow(_Part, frozen=True, kw_only=True):
    """Kills in one namespace; those of host processes are in none."""

    namespace: str
    kills: int
    workloads: int
    cause: str


class NodeRow(_Part, frozen=True, kw_only=True):
    """Kills on one node."""

    node: str
    kills: int
    workloads: int
    cause: str | None
    """Its most frequent cause; None where no incident is left."""
    without_incident: int = 0


class AdviceRow(_Part, frozen=True, kw_only=True):
    """One remedy and the kills that it would have prevented."""

    remedy: str
    kills: int
    workloads: int
    workload: str
    """The one that it would have helped most."""
    message: str


class ClusterReport(_Part, frozen=True, kw_only=True):
    """Everything that is shown. Text in it may be hostile: renderers escape it."""

    start: str
    end: str
    namespace: str | None
    """None: all namespaces."""
    selector: str | None
    totals: Totals
    timeline: tuple[HourRow, ...]
    causes: tuple[CauseRow, ...]
    workloads: tuple[WorkloadRow, ...]
    namespaces: tuple[NamespaceRow, ...]
    nodes: tuple[NodeRow, ...]
    advice: tuple[AdviceRow, ...]
    coverage: Coverage


def cluster_report(
    incidents: Iterable[OOMIncident],
    *,
    facts: ClusterFacts,
    start: float,
    end: float,
    namespace: str | None = None,
    selector: str | None = None,
    malformed: Callable[[], int] = lambda: 0,
) -> ClusterReport:
    """Return the report over [start, end], in seconds since the epoch. `namespace` and `selector`: what the
    incidents were restricted to. They are counted as they arrive; after the last one, `malformed` returns how
    many could not be read."""
    decoded: list[Incident] = []
    objects: dict[int, OOMIncident] = {}

    def arriving() -> Iterator[Incident]:
        for obj in incidents:
            incident = incident_of(obj)
            decoded.append(incident)
            objects[id(incident)] = obj
            yield incident

    counted = count_kills(arriving(), start=start, end=end)
    whole = namespace is None and selector is None
    # What nodes recorded beyond the incidents belongs to no namespace and has no labels.
    gone = without_incident(decoded, facts.accounts() if whole else (), start=start)
    workloads = _workloads(counted, objects)
    namespaces = _namespaces(counted)
    nodes = _nodes(counted, gone)
    return ClusterReport(
        start=format_time(start),
        end=format_time(end),
        namespace=namespace,
        selector=selector,
        totals=Totals(
            kills=sum(item.kills for item in counted) + gone.total(),
            without_incident=gone.total(),
            incidents=len(counted),
            workloads=len(workloads),
            namespaces=len(namespaces),
            nodes=len(nodes),
        ),
        timeline=_timeline(counted),
        causes=_causes(counted),
        workloads=workloads,
        namespaces=namespaces,
        nodes=nodes,
        advice=tuple(
            AdviceRow(
                remedy=item.remedy,
                kills=item.kills,
                workloads=item.workloads,
                workload=item.place,
                message=item.message,
            )
            for item in ranked_advice(counted)
        ),
        coverage=coverage_of(
            facts,
            namespace=namespace,
            selector=selector,
            without_incident=gone.total(),
            malformed=malformed(),
        ),
    )


def incidents_of_workloads(
    incidents: Iterable[OOMIncident], rows: Sequence[WorkloadRow]
) -> list[list[OOMIncident]]:
    """Return the incidents of each workload of `rows`."""
    found: dict[tuple[str | None, str, str], list[OOMIncident]] = {
        (row.namespace, row.kind, row.name): [] for row in rows
    }
    for obj in incidents:
        if (workload := obj.spec.workload) is not None:
            key = (obj.metadata.namespace, workload.kind, workload.name)
            if key in found:
                found[key].append(obj)
    return list(found.values())


def with_beginnings(report: ClusterReport, sentences: Sequence[str | None]) -> ClusterReport:
    """Return the report with `began` of its first workloads."""
    first = tuple(
        replace(row, began=sentence) for row, sentence in zip(report.workloads, sentences, strict=False)
    )
    return replace(report, workloads=first + report.workloads[len(first) :])


def most_frequent(
    incidents: Sequence[OOMIncident], *, start: float, end: float, top: int
) -> list[tuple[OOMIncident, int]]:
    """Return the incidents with most kills within [start, end] and their kills, at most `top` of them."""
    pairs = [(incident_of(obj), obj) for obj in incidents]
    objects = {id(incident): obj for incident, obj in pairs}
    counted = count_kills((incident for incident, _ in pairs), start=start, end=end)
    counted.sort(key=lambda item: (item.kills, recency(item.incident)), reverse=True)
    return [(objects[id(item.incident)], item.kills) for item in counted[:top]]


def _timeline(counted: Sequence[Counted]) -> tuple[HourRow, ...]:
    by_cause: dict[str, dict[int, int]] = {}
    for item in counted:
        kills_of = by_cause.setdefault(item.incident.cause, {})
        for time, kills in item.placed:
            hour = time if type(time) is int else full_hour(time)
            kills_of[hour] = kills_of.get(hour, 0) + kills
    hours: dict[int, Counter[str]] = {}
    for cause, kills_of in by_cause.items():
        for hour, kills in kills_of.items():
            hours.setdefault(hour, Counter())[cause] = kills
    return tuple(
        HourRow(start=format_time(hour), kills=causes.total(), causes=dict(ranked(causes)))
        for hour, causes in sorted(hours.items())
    )


def _causes(counted: Sequence[Counted]) -> tuple[CauseRow, ...]:
    groups = _groups(counted, lambda incident: incident.cause)
    return tuple(
        CauseRow(cause=cause, kills=kills, workloads=_distinct_workloads(groups[cause]))
        for cause, kills in ranked(sums(counted, lambda incident: incident.cause))
    )


def _workloads(counted: Sequence[Counted], objects: dict[int, OOMIncident]) -> tuple[WorkloadRow, ...]:
    groups = _groups(counted, lambda incident: incident.workload)
    return tuple(
        _workload(workload, groups[workload], kills, objects)
        for workload, kills in ranked(sums(counted, lambda incident: incident.workload))
    )


def _workload(
    workload: Workload, items: Sequence[Counted], kills: int, objects: dict[int, OOMIncident]
) -> WorkloadRow:
    cause = _main_cause(items)
    latest = max((item.incident for item in items if item.incident.cause == cause), key=recency)
    memory = memory_at_kills(objects[id(latest)])
    last = max((item.incident.last_seen or 0.0 for item in items), default=0.0)
    remedy, advice = latest.advice[0] if latest.advice else (None, None)
    return WorkloadRow(
        namespace=workload.namespace or None,
        kind=workload.kind,
        name=workload.name,
        containers=tuple(sorted({item.incident.container for item in items if item.incident.container})),
        kills=kills,
        cause=cause,
        nodes=len({item.incident.node for item in items}),
        limit_bytes=memory.limit_bytes,
        usage_bytes=memory.usage_bytes,
        last_kill=format_time(last) if last else None,
        victim=memory.victim,
        remedy=remedy,
        advice=advice,
    )


def _namespaces(counted: Sequence[Counted]) -> tuple[NamespaceRow, ...]:
    inside = [item for item in counted if item.incident.workload.kind != HOST_KIND]
    groups = _groups(inside, lambda incident: incident.namespace)
    return tuple(
        NamespaceRow(
            namespace=name,
            kills=kills,
            workloads=_distinct_workloads(groups[name]),
            cause=_main_cause(groups[name]),
        )
        for name, kills in ranked(sums(inside, lambda incident: incident.namespace))
    )


def _nodes(counted: Sequence[Counted], gone: Counter[str]) -> tuple[NodeRow, ...]:
    groups = _groups(counted, lambda incident: incident.node)
    return tuple(
        NodeRow(
            node=name,
            kills=kills,
            workloads=_distinct_workloads(groups.get(name, ())),
            cause=_main_cause(groups[name]) if name in groups else None,
            without_incident=gone[name],
        )
        for name, kills in ranked(sums(counted, lambda incident: incident.node) + gone)
    )


def _groups(counted: Sequence[Counted], of: Callable[[Incident], Key]) -> dict[Key, list[Counted]]:
    groups: dict[Key, list[Counted]] = {}
    for item in counted:
        groups.setdefault(of(item.incident), []).append(item)
    return groups


def _main_cause(items: Sequence[Counted]) -> str:
    first = items[0].incident.cause
    if all(item.incident.cause == first for item in items):  # nearly always, and much faster
        return first
    return ranked(sums(items, lambda incident: incident.cause))[0][0]


def _distinct_workloads(items: Sequence[Counted]) -> int:
    return len({item.incident.workload for item in items})
