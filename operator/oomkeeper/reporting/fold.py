"""Fold incidents into an OOMReport's status and into the OOM part of an OOMPolicy's status.

Pure: incidents, node accounts and a time in; a record of the resource out. What is cut is counted in
`omitted`, and no result is larger than 64 KiB, however large the cluster.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

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

from .incident import Incident, Workload
from .window import placed_kills

_Key = TypeVar("_Key", str, Workload)

MAX_BYTES = 64 * 1024
_RESERVED_BYTES = 4 * 1024
"""Left for metadata, spec and conditions."""
_MAX_BUCKETS = max_items(OOMReportStatus, "buckets")
_MAX_MESSAGE = max_length(RankedAdvice, "message")
_SUMMARY_WORKLOADS = max_items(OOMSummary, "top_workloads")
_SHRINKING = ("by_workload", "advice", "by_node", "by_namespace", "incomplete_nodes")
"""Lists that are shortened when a report is too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccount:
    """What a node's agent could not attribute since its account began."""

    name: str
    unattributed: int = 0
    lost_log_records: int = 0
    history: Mapping[int, int] = field(default_factory=dict)
    """Full hour, in seconds since the epoch -> kills recorded; empty where only some of them are reported."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """An incident with its kills within the window: at least one."""

    incident: Incident
    kills: int
    placed: tuple[tuple[float, int], ...]


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
    counted = _count(incidents, start=start, end=now)
    unlisted = _without_incident(incidents, accounts, start=start)
    namespaces = _sums(counted, lambda incident: incident.namespace)
    nodes = _sums(counted, lambda incident: incident.node) + unlisted
    workloads = _sums(counted, lambda incident: incident.workload)
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
            NamespaceKills(namespace=name, kills=kills) for name, kills in _ranked(namespaces)[:top]
        ),
        by_workload=_by_workload(counted)[:top],
        by_node=tuple(NodeKills(name=name, kills=kills) for name, kills in _ranked(nodes)[:top]),
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
    counted = _count(incidents, start=now - window_seconds, end=now)
    workloads = _sums(counted, lambda incident: incident.workload)
    return bounded(
        OOMSummary(
            window=window,
            kills=sum(item.kills for item in counted),
            by_cause=_by_cause(counted),
            top_workloads=tuple(
                WorkloadKills(
                    namespace=workload.namespace or None, kind=workload.kind, name=workload.name, kills=kills
                )
                for workload, kills in _ranked(workloads)[:_SUMMARY_WORKLOADS]
            ),
            last_kill=_last_kill(counted) if counted else None,
        )
    )


def _count(incidents: Iterable[Incident], *, start: float, end: float) -> list[_Counted]:
    counted = []
    for incident in incidents:
        if incident.last_seen is not None and incident.last_seen < start:
            continue
        placed = tuple(placed_kills(incident, start=start, end=end))
        if placed:
            counted.append(_Counted(incident, sum(kills for _, kills in placed), placed))
    return counted


def _without_incident(
    incidents: Iterable[Incident], accounts: Iterable[NodeAccount], *, start: float
) -> Counter[str]:
    """Return the kills of each node that no incident holds any more: it was dropped by a bound, or deleted
    with its namespace. Compared by the hour, in which nodes and incidents count the same kills."""
    listed: Counter[tuple[str, int]] = Counter()
    for incident in incidents:
        for hour, kills in incident.history:
            listed[incident.node, hour] += kills
    missing: Counter[str] = Counter()
    for account in accounts:
        for hour, kills in account.history.items():
            if hour + HOUR_SECONDS > start and kills > listed[account.name, hour]:
                missing[account.name] += kills - listed[account.name, hour]
    return missing


def _sums(counted: Sequence[_Counted], of: Callable[[Incident], _Key]) -> Counter[_Key]:
    sums: Counter[_Key] = Counter()
    for item in counted:
        sums[of(item.incident)] += item.kills
    return sums


def _ranked(sums: Mapping[_Key, int]) -> list[tuple[_Key, int]]:
    """Return the largest first, equal ones by name, so that the same facts always give the same object."""
    return sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))


def _by_cause(counted: Sequence[_Counted]) -> tuple[CauseCount, ...]:
    causes = _sums(counted, lambda incident: incident.cause)
    return tuple(CauseCount(cause=cause, kills=kills) for cause, kills in _ranked(causes))


def _by_workload(counted: Sequence[_Counted]) -> tuple[WorkloadReport, ...]:
    """Return each workload with its most frequent cause, and the limit at its last kill for that cause."""
    groups: dict[Workload, list[_Counted]] = {}
    for item in counted:
        groups.setdefault(item.incident.workload, []).append(item)
    rows = []
    for workload, kills in _ranked(
        {workload: sum(item.kills for item in items) for workload, items in groups.items()}
    ):
        cause, _ = _ranked(_sums(groups[workload], lambda incident: incident.cause))[0]
        latest = max(
            (item.incident for item in groups[workload] if item.incident.cause == cause), key=_recency
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


def _recency(incident: Incident) -> tuple[float, str, str]:
    return (incident.last_seen or 0.0, incident.namespace, incident.name)


def _buckets(counted: Sequence[_Counted], *, start: float, window_seconds: int) -> tuple[Bucket, ...]:
    """Return equal parts of the window, none shorter than the hour to which older kills are known."""
    number = max(1, min(_MAX_BUCKETS, window_seconds // HOUR_SECONDS))
    length = window_seconds / number
    kills = [0] * number
    for item in counted:
        for time, killed in item.placed:
            kills[min(int((time - start) / length), number - 1)] += killed
    return tuple(
        Bucket(start=format_time(start + index * length), kills=killed) for index, killed in enumerate(kills)
    )


def _advice(counted: Sequence[_Counted]) -> tuple[RankedAdvice, ...]:
    """Return each remedy with the kills that it would have prevented, worded for the workload that it would
    have helped most."""
    prevented: Counter[str] = Counter()
    helped: dict[str, Counter[Workload]] = {}
    words: dict[tuple[str, Workload], tuple[tuple[float, str, str], str]] = {}
    for item in counted:
        # One count per remedy and incident, with its first wording.
        for remedy, message in dict(reversed(item.incident.advice)).items():
            workload = item.incident.workload
            prevented[remedy] += item.kills
            helped.setdefault(remedy, Counter())[workload] += item.kills
            candidate = (_recency(item.incident), message)
            words[remedy, workload] = max(words.get((remedy, workload), candidate), candidate)
    rows = []
    for remedy, kills in _ranked(prevented):
        workload, most = _ranked(helped[remedy])[0]
        message = words[remedy, workload][1]
        place = (
            f"{workload.kind} {workload.namespace}/{workload.name}" if workload.namespace else workload.name
        )
        share = place if most == kills else f"{place} ({most} of {kills})"
        rows.append(
            RankedAdvice(
                remedy=remedy,
                message=f"{share}: {message}"[:_MAX_MESSAGE],
                kills=kills,
                workloads=len(helped[remedy]),
            )
        )
    return tuple(rows)


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


def _last_kill(counted: Sequence[_Counted]) -> LastKill:
    latest = max(counted, key=lambda item: _recency(item.incident))
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
