"""Fold incidents into an OOMReport's status and into the OOM part of an OOMPolicy's status.

Pure: incidents, node accounts and a time in; a record of the resource out. What is cut is counted in
`omitted`, and no result is larger than 64 KiB, however large the cluster.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from oomkeeper.model.times import HOUR_SECONDS, format_time
from oomkeeper.resources.oompolicy import CauseCount, LastKill, OOMSummary, WorkloadKills
from oomkeeper.resources.oomreport import (
    Bucket,
    IncompleteNode,
    NamespaceKills,
    NodeKills,
    Omitted,
    OOMReportStatus,
    RankedAdvice,
    Totals,
    WorkloadReport,
)
from oomkeeper.resources.record import Record, bounded, max_items, max_length, to_document

from .counted_kills import (
    Counted,
    NodeAccount,
    count_kills,
    ranked,
    ranked_advice,
    recency,
    sums,
    without_incident,
)
from .incident import Incident, Workload

MAX_BYTES = 64 * 1024
_RESERVED_BYTES = 4 * 1024
"""Left for metadata, spec and conditions."""
_MAX_BUCKETS = max_items(OOMReportStatus, "buckets")
_MAX_MESSAGE = max_length(RankedAdvice, "message")
_SUMMARY_WORKLOADS = max_items(OOMSummary, "top_workloads")
_SHRINKING = ("by_workload", "advice", "by_node", "by_namespace", "incomplete_nodes")
"""Lists that are shortened when a report is too large."""


def fold_report(
    *,
    incidents: Iterable[Incident],
    accounts: Iterable[NodeAccount],
    window_seconds: int,
    now: float,
    top: int,
) -> OOMReportStatus:
    """Return OOMReport.status without observedGeneration and conditions. `now`: seconds since the epoch;
    `top`: entries per list."""
    start = now - window_seconds
    incidents, accounts = list(incidents), list(accounts)
    counted = count_kills(incidents, start=start, end=now)
    unlisted = without_incident(incidents, accounts, start=start)
    namespaces = sums(counted, lambda incident: incident.namespace)
    nodes = sums(counted, lambda incident: incident.node) + unlisted
    workloads = sums(counted, lambda incident: incident.workload)
    status = OOMReportStatus(
        refresh_time=format_time(now),
        window_start=format_time(start),
        totals=Totals(
            kills=sum(item.kills for item in counted) + unlisted.total(),
            without_incident=unlisted.total(),
            incidents=len(counted),
            nodes=len(nodes),
            workloads=len(workloads),
            unattributed=sum(account.unattributed for account in accounts),
            lost_log_records=sum(account.lost_log_records for account in accounts),
        ),
        by_cause=_by_cause(counted)[:top],
        by_namespace=tuple(
            NamespaceKills(namespace=name, kills=kills) for name, kills in ranked(namespaces)[:top]
        ),
        by_workload=_by_workload(counted)[:top],
        by_node=tuple(NodeKills(name=name, kills=kills) for name, kills in ranked(nodes)[:top]),
        bucket_seconds=_bucket_seconds(window_seconds),
        buckets=_buckets(counted, start=start, window_seconds=window_seconds),
        advice=_advice(counted)[:top],
        incomplete_nodes=_incomplete(accounts)[:top],
    )
    return _shortened(bounded(status), workloads=len(workloads), namespaces=len(namespaces), nodes=len(nodes))


def fold_summary(
    *, incidents: Iterable[Incident], window_seconds: int, window: str, now: float
) -> OOMSummary:
    """Return OOMPolicy.status.oom: kills of the policy's nodes within the window. `window`: as written in
    the status (`24h`); `now`: seconds since the epoch."""
    counted = count_kills(incidents, start=now - window_seconds, end=now)
    workloads = sums(counted, lambda incident: incident.workload)
    return bounded(
        OOMSummary(
            window=window,
            kills=sum(item.kills for item in counted),
            by_cause=_by_cause(counted),
            top_workloads=tuple(
                WorkloadKills(
                    namespace=workload.namespace or None, kind=workload.kind, name=workload.name, kills=kills
                )
                for workload, kills in ranked(workloads)[:_SUMMARY_WORKLOADS]
            ),
            last_kill=_last_kill(counted) if counted else None,
        )
    )


def _by_cause(counted: Sequence[Counted]) -> tuple[CauseCount, ...]:
    causes = sums(counted, lambda incident: incident.cause)
    return tuple(CauseCount(cause=cause, kills=kills) for cause, kills in ranked(causes))


def _by_workload(counted: Sequence[Counted]) -> tuple[WorkloadReport, ...]:
    """Return each workload with its most frequent cause, and the limit at its last kill for that cause."""
    groups: dict[Workload, list[Counted]] = {}
    for item in counted:
        groups.setdefault(item.incident.workload, []).append(item)
    rows = []
    for workload, kills in ranked(
        {workload: sum(item.kills for item in items) for workload, items in groups.items()}
    ):
        cause, _ = ranked(sums(groups[workload], lambda incident: incident.cause))[0]
        latest = max(
            (item.incident for item in groups[workload] if item.incident.cause == cause), key=recency
        )
        rows.append(
            WorkloadReport(
                namespace=workload.namespace or None,
                kind=workload.kind,
                name=workload.name,
                kills=kills,
                cause=cause,
                limit_bytes=latest.limit_bytes,
            )
        )
    return tuple(rows)


def _bucket_seconds(window_seconds: int) -> int:
    """Return the length of the equal parts of a window: at most `_MAX_BUCKETS` of them, none shorter than
    the hour to which older kills are known."""
    number = max(1, min(_MAX_BUCKETS, window_seconds // HOUR_SECONDS))
    return window_seconds // number


def _buckets(counted: Sequence[Counted], *, start: float, window_seconds: int) -> tuple[Bucket, ...]:
    """Return the parts of the window that have a kill: a quiet day is no list of zeros."""
    length = _bucket_seconds(window_seconds)
    last = max(window_seconds // length - 1, 0)
    kills: Counter[int] = Counter()
    for item in counted:
        for time, killed in item.placed:
            kills[min(int((time - start) / length), last)] += killed
    return tuple(
        Bucket(start=format_time(start + index * length), kills=killed)
        for index, killed in sorted(kills.items())
    )


def _advice(counted: Sequence[Counted]) -> tuple[RankedAdvice, ...]:
    return tuple(
        RankedAdvice(
            remedy=item.remedy,
            message=f"{item.place}: {item.message}"[:_MAX_MESSAGE],
            kills=item.kills,
            workloads=item.workloads,
        )
        for item in ranked_advice(counted)
    )


def _incomplete(accounts: Sequence[NodeAccount]) -> tuple[IncompleteNode, ...]:
    found = [account for account in accounts if account.unattributed or account.lost_log_records]
    found.sort(key=lambda account: (-account.unattributed, -account.lost_log_records, account.name))
    return tuple(
        IncompleteNode(
            name=account.name,
            unattributed=account.unattributed,
            lost_log_records=account.lost_log_records,
        )
        for account in found
    )


def _last_kill(counted: Sequence[Counted]) -> LastKill:
    latest = max(counted, key=lambda item: recency(item.incident))
    last = latest.incident
    seconds = last.last_seen if last.last_seen is not None else max(time for time, _ in latest.placed)
    return LastKill(
        time=format_time(seconds),
        namespace=last.namespace,
        incident=last.name,
        cause=last.cause,
        workload=f"{last.workload.kind}/{last.workload.name}" if last.workload.namespace else None,
        node=last.node,
    )


def _shortened(status: OOMReportStatus, *, workloads: int, namespaces: int, nodes: int) -> OOMReportStatus:
    """Return the status with its largest lists halved until it fits, and with `omitted`."""
    while True:
        status = replace(
            status,
            omitted=Omitted(
                workloads=workloads - len(status.by_workload),
                namespaces=namespaces - len(status.by_namespace),
                nodes=nodes - len(status.by_node),
            ),
        )
        if size_bytes(to_document(status)) <= MAX_BYTES - _RESERVED_BYTES:
            return status
        lists: dict[str, tuple[Record, ...]] = {name: getattr(status, name) for name in _SHRINKING}
        largest = max(lists, key=lambda name: size_bytes([to_document(item) for item in lists[name]]))
        status = replace(status, **{largest: lists[largest][: len(lists[largest]) // 2]})


def size_bytes(value: object) -> int:
    """Return the length of the value as JSON in UTF-8."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
