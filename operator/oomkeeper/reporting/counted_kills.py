"""Incidents with their kills within a window, summed and ranked: what a report's lists have in common.

Pure: no report's form and no Kubernetes."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from oomkeeper.model.sharing import shared
from oomkeeper.model.times import HOUR_SECONDS, parse_time
from oomkeeper.resources.oomnode import KillHistory

from .incident import Incident, Workload
from .window import placed_kills

Key = TypeVar("Key", str, Workload)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccount:
    """What a node's agent could not attribute since its account began."""

    name: str
    unattributed: int = 0
    lost_log_records: int = 0
    history: Mapping[int, int] = field(default_factory=dict)
    """Full hour, in seconds since the epoch -> kills recorded; empty where only some of them are reported."""


@dataclass(frozen=True, slots=True)
class Counted:
    """An incident with its kills within the window: at least one."""

    incident: Incident
    kills: int
    placed: tuple[tuple[float, int], ...]


def hourly_kills(history: KillHistory | None) -> dict[int, int]:
    """Return the kills that a node recorded: full hour, in seconds since the epoch -> kills."""
    first = parse_time(history.first_hour) if history else None
    if history is None or first is None:
        return {}
    return {
        shared(int(first) + index * HOUR_SECONDS): kills
        for index, kills in enumerate(history.kills)
        if kills > 0
    }


def count_kills(incidents: Iterable[Incident], *, start: float, end: float) -> list[Counted]:
    """Return the incidents that have a kill within [start, end], with those kills."""
    counted = []
    for incident in incidents:
        if incident.last_seen is not None and incident.last_seen < start:
            continue
        placed = tuple(placed_kills(incident, start=start, end=end))
        if placed:
            counted.append(Counted(incident, sum([kills for _, kills in placed]), placed))
    return counted


def without_incident(
    incidents: Iterable[Incident], accounts: Iterable[NodeAccount], *, start: float
) -> Counter[str]:
    """Return the kills of each node that no incident holds any more: it was dropped by a bound, or deleted
    with its namespace. Compared by the hour, in which nodes and incidents count the same kills."""
    accounts = [account for account in accounts if account.history]
    missing: Counter[str] = Counter()
    if not accounts:
        return missing
    listed: Counter[tuple[str, int]] = Counter()
    for incident in incidents:
        for hour, kills in incident.history:
            listed[incident.node, hour] += kills
    for account in accounts:
        for hour, kills in account.history.items():
            if hour + HOUR_SECONDS > start and kills > listed[account.name, hour]:
                missing[account.name] += kills - listed[account.name, hour]
    return missing


def sums(counted: Sequence[Counted], of: Callable[[Incident], Key]) -> Counter[Key]:
    """Return the kills by a property of their incident."""
    kills: Counter[Key] = Counter()
    for item in counted:
        kills[of(item.incident)] += item.kills
    return kills


def ranked(kills: Mapping[Key, int]) -> list[tuple[Key, int]]:
    """Return the largest first, equal ones by name, so that the same facts always give the same object."""
    return sorted(kills.items(), key=lambda pair: (-pair[1], pair[0]))


def recency(incident: Incident) -> tuple[float, str, str]:
    """Return a key that orders incidents by their last kill, always in the same way."""
    return (incident.last_seen or 0.0, incident.namespace, incident.name)


class HelpfulAdvice(NamedTuple):
    """One remedy and the kills that it would have prevented."""

    remedy: str
    kills: int
    workloads: int
    """Workloads that it concerns."""
    workload: Workload
    """The one that it would have helped most."""
    workload_kills: int
    """Kills of that one."""
    message: str
    """What to do, for that one."""

    @property
    def place(self) -> str:
        """Return the workload, with its part of the kills where others have some too."""
        name = workload_text(self.workload)
        return (
            name if self.workload_kills == self.kills else f"{name} ({self.workload_kills} of {self.kills})"
        )


def workload_text(workload: Workload) -> str:
    """Return `Deployment shop/web`, or the cgroup of a host process."""
    if not workload.namespace:
        return workload.name
    return f"{workload.kind} {workload.namespace}/{workload.name}"


def ranked_advice(counted: Sequence[Counted]) -> tuple[HelpfulAdvice, ...]:
    """Return each remedy with the kills that it would have prevented, worded for the workload that it would
    have helped most; the remedy that prevents most first."""
    prevented: Counter[str] = Counter()
    helped: dict[str, Counter[Workload]] = {}
    words: dict[tuple[str, Workload], tuple[tuple[float, str, str], str]] = {}
    for item in counted:
        # One count per remedy and incident, with its first wording.
        for remedy, message in dict(reversed(item.incident.advice)).items():
            workload = item.incident.workload
            prevented[remedy] += item.kills
            helped.setdefault(remedy, Counter())[workload] += item.kills
            candidate = (recency(item.incident), message)
            words[remedy, workload] = max(words.get((remedy, workload), candidate), candidate)
    rows = []
    for remedy, kills in ranked(prevented):
        workload, most = ranked(helped[remedy])[0]
        message = words[remedy, workload][1]
        rows.append(HelpfulAdvice(remedy, kills, len(helped[remedy]), workload, most, message))
    return tuple(rows)
