"""Fold incidents into an OOMReport's status and into the OOM part of an OOMPolicy's status.

Pure: incidents, node accounts and a moment in; a plain object in the API's spelling out. Whatever is cut is
counted in `omitted`, and no result is larger than 64 KiB, however large the cluster.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from oomkeeper.model.times import format_time

from .incident import Incident, Workload
from .window import HOUR_SECONDS, placed_kills

_Key = TypeVar("_Key", str, Workload)

MAX_BYTES = 64 * 1024
_ROOM_BYTES = 4 * 1024
"""Left for metadata, spec and conditions."""
_MAX_BUCKETS = 24
_MESSAGE_MAX = 512
_SUMMARY_WORKLOADS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccount:
    """What a node's agent could not account for, since its account began."""

    name: str
    unattributed: int = 0
    lost_log_records: int = 0


@dataclass(frozen=True, slots=True)
class _Counted:
    """An incident with what falls into the window: at least one kill."""

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
) -> dict[str, Any]:
    """OOMReport.status without observedGeneration and conditions. `now` in seconds since the epoch."""
    start = now - window_seconds
    counted = _count(incidents, start=start, end=now)
    accounts = list(accounts)
    namespaces = _sums(counted, lambda incident: incident.namespace)
    nodes = _sums(counted, lambda incident: incident.node)
    workloads = _sums(counted, lambda incident: incident.workload)
    status = {
        "refreshTime": format_time(now),
        "windowStart": format_time(start),
        "totals": {
            "kills": sum(item.kills for item in counted),
            "incidents": len(counted),
            "nodes": len(nodes),
            "workloads": len(workloads),
            "unattributed": sum(account.unattributed for account in accounts),
            "lostLogRecords": sum(account.lost_log_records for account in accounts),
        },
        "byCause": _by_cause(counted)[:top],
        "byNamespace": [{"namespace": name, "kills": kills} for name, kills in _ranked(namespaces)[:top]],
        "byWorkload": _by_workload(counted)[:top],
        "byNode": [{"name": name, "kills": kills} for name, kills in _ranked(nodes)[:top]],
        "buckets": _buckets(counted, start=start, window_seconds=window_seconds),
        "advice": _advice(counted)[:top],
        "incompleteNodes": _incomplete(accounts)[:top],
    }
    return _bounded(status, workloads=len(workloads), namespaces=len(namespaces), nodes=len(nodes))


def fold_summary(
    *, incidents: Iterable[Incident], window_seconds: int, window: str, now: float
) -> dict[str, Any]:
    """OOMPolicy.status.oom: kills of the policy's nodes within the window. `window` is its spelling
    (`24h`)."""
    counted = _count(incidents, start=now - window_seconds, end=now)
    workloads = _sums(counted, lambda incident: incident.workload)
    summary: dict[str, Any] = {
        "window": window,
        "kills": sum(item.kills for item in counted),
        "byCause": _by_cause(counted),
        "topWorkloads": [
            {**_named(workload), "kills": kills}
            for workload, kills in _ranked(workloads)[:_SUMMARY_WORKLOADS]
        ],
    }
    if counted:
        summary["lastKill"] = _last_kill(counted)
    return summary


def _count(incidents: Iterable[Incident], *, start: float, end: float) -> list[_Counted]:
    counted = []
    for incident in incidents:
        if incident.last_seen is not None and incident.last_seen < start:
            continue
        placed = tuple(placed_kills(incident, start=start, end=end))
        if placed:
            counted.append(_Counted(incident, sum(kills for _, kills in placed), placed))
    return counted


def _sums(counted: Sequence[_Counted], of: Callable[[Incident], _Key]) -> Counter[_Key]:
    sums: Counter[_Key] = Counter()
    for item in counted:
        sums[of(item.incident)] += item.kills
    return sums


def _ranked(sums: Mapping[_Key, int]) -> list[tuple[_Key, int]]:
    """Largest first, and by name where equal, so that the same facts always give the same object."""
    return sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))


def _by_cause(counted: Sequence[_Counted]) -> list[dict[str, Any]]:
    causes = _sums(counted, lambda incident: incident.cause)
    return [{"cause": cause, "kills": kills} for cause, kills in _ranked(causes)]


def _by_workload(counted: Sequence[_Counted]) -> list[dict[str, Any]]:
    """With the cause that killed most of it, and the limit that its last kill of that cause met."""
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
        row: dict[str, Any] = {**_named(workload), "kills": kills, "cause": cause}
        if latest.limit_bytes is not None:
            row["limitBytes"] = latest.limit_bytes
        rows.append(row)
    return rows


def _named(workload: Workload) -> dict[str, Any]:
    named = {"kind": workload.kind, "name": workload.name}
    return {"namespace": workload.namespace} | named if workload.namespace else named


def _recency(incident: Incident) -> tuple[float, str, str]:
    return (incident.last_seen or 0.0, incident.namespace, incident.name)


def _buckets(counted: Sequence[_Counted], *, start: float, window_seconds: int) -> list[dict[str, Any]]:
    """Equal parts of the window, none shorter than the hour in which older kills are known."""
    number = max(1, min(_MAX_BUCKETS, window_seconds // HOUR_SECONDS))
    length = window_seconds / number
    kills = [0] * number
    for item in counted:
        for time, killed in item.placed:
            kills[min(int((time - start) / length), number - 1)] += killed
    return [
        {"start": format_time(start + index * length), "kills": killed} for index, killed in enumerate(kills)
    ]


def _advice(counted: Sequence[_Counted]) -> list[dict[str, Any]]:
    """Each remedy with the kills it would have prevented, worded for the workload that it would have
    helped most."""
    prevented: Counter[str] = Counter()
    helped: dict[str, Counter[Workload]] = {}
    words: dict[tuple[str, Workload], tuple[tuple[float, str, str], str]] = {}
    for item in counted:
        for remedy, message in dict(
            reversed(item.incident.advice)
        ).items():  # one count per remedy, the first wording
            workload = item.incident.workload
            prevented[remedy] += item.kills
            helped.setdefault(remedy, Counter())[workload] += item.kills
            candidate = (_recency(item.incident), message)
            words[remedy, workload] = max(words.get((remedy, workload), candidate), candidate)
    rows = []
    for remedy, kills in _ranked(prevented):
        workload, most = _ranked(helped[remedy])[0]
        message = words[remedy, workload][1]
        where = (
            f"{workload.kind} {workload.namespace}/{workload.name}" if workload.namespace else workload.name
        )
        whole = f"{where}: {message}" if most == kills else f"{where} ({most} of {kills}): {message}"
        rows.append(
            {
                "remedy": remedy,
                "message": whole[:_MESSAGE_MAX],
                "kills": kills,
                "workloads": len(helped[remedy]),
            }
        )
    return rows


def _incomplete(accounts: Sequence[NodeAccount]) -> list[dict[str, Any]]:
    found = [account for account in accounts if account.unattributed or account.lost_log_records]
    found.sort(key=lambda account: (-account.unattributed, -account.lost_log_records, account.name))
    return [
        {
            "name": account.name,
            "unattributed": account.unattributed,
            "lostLogRecords": account.lost_log_records,
        }
        for account in found
    ]


def _last_kill(counted: Sequence[_Counted]) -> dict[str, Any]:
    last = max((item.incident for item in counted), key=_recency)
    kill: dict[str, Any] = {
        "namespace": last.namespace,
        "incident": last.name,
        "cause": last.cause,
        "node": last.node,
    }
    if last.pod_name:
        kill["workload"] = f"{last.workload.kind}/{last.workload.name}"
    if last.last_seen is not None:
        kill["time"] = format_time(last.last_seen)
    return kill


def _bounded(status: dict[str, Any], *, workloads: int, namespaces: int, nodes: int) -> dict[str, Any]:
    """The status with its longest lists halved until it fits; what is left out is counted."""
    lists = ("byWorkload", "advice", "byNode", "byNamespace", "incompleteNodes")
    while True:
        status["omitted"] = {
            "workloads": workloads - len(status["byWorkload"]),
            "namespaces": namespaces - len(status["byNamespace"]),
            "nodes": nodes - len(status["byNode"]),
        }
        if size_bytes(status) <= MAX_BYTES - _ROOM_BYTES:
            return status
        longest = max(lists, key=lambda name: size_bytes(status[name]))
        status[longest] = status[longest][: len(status[longest]) // 2]


def size_bytes(value: object) -> int:
    """Length of the value as JSON in UTF-8."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
