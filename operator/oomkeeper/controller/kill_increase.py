"""Whether the nodes that a rollout has changed have more OOM kills than before. Pure.

Kills come in bursts, and most have nothing to do with a policy. So a workload counts once on each node,
however often it was killed, and all of these must hold: at least MORE_WORKLOADS more than expected,
improbable at the nodes' own rate before, improbable beside the nodes that are not changed yet, and more than
in any hour before (docs/decisions/117-a-rollout-halts-on-more-oom-kills.md).
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from oomkeeper.model.times import HOUR_SECONDS, full_hour, parse_time
from oomkeeper.reporting.incident import Incident, Workload

from .clock_skew import corrected
from .objects import Node, OOMNodeState

MORE_WORKLOADS = 5
"""Fewer kills more than expected never halt a rollout."""
ERROR = 0.001
"""How probable the kills may be without an increase."""
WINDOW_SECONDS = HOUR_SECONDS
"""Kills are counted over this time at most, and compared with full hours."""
LATE_SECONDS = 20.0
"""Kills on changed nodes count after this time: by then those of the same moment on other nodes are known.
Agents write an incident at most every 10 s."""
BEFORE_HOURS = 168
"""Hours of kills that OOMNodes and OOMIncidents keep."""
_NAMED = 3


class NodeKills(NamedTuple):
    """The workloads that were killed on one node."""

    now: int
    """Within the window."""
    before: Mapping[int, int]
    """Full hour before the soak, in seconds since the epoch -> workloads. Hours without a kill are absent."""
    hours: int
    """Hours before the soak in which kills would be known."""


class Increase(NamedTuple):
    """Changed nodes have more kills than before."""

    node: str
    """The one with most killed workloads."""
    message: str


def find_increase(
    *,
    changed: Collection[str],
    others: Collection[str],
    incidents: Iterable[Incident],
    nodes: Mapping[str, Node],
    oomnodes: Mapping[str, OOMNodeState],
    since: float,
    now: float,
) -> Increase | None:
    """Return the increase of OOM kills on the changed nodes; None without one.

    `changed`: nodes that have the new values; `others`: nodes of the policy that are to get them and work;
    `since`: when the last batch was in sync; times in seconds since the epoch.
    """
    start = max(since, now - WINDOW_SECONDS)
    changed = frozenset(changed)
    present = changed.union(others)
    incidents = [incident for incident in incidents if incident.node in present]
    killed: dict[str, set[Workload]] = {}
    for incident in incidents:
        end = now - LATE_SECONDS if incident.node in changed else now
        if _has_kill(corrected(incident, nodes), start=start, end=end):
            killed.setdefault(incident.node, set()).add(_counted(incident.workload))
    count = sum(len(killed.get(node, ())) for node in changed)
    beside = sum(len(killed.get(node, ())) for node in others)
    share = len(changed) / (len(present) or 1)
    # The hours before are read only where the rest of the rule holds.
    if count < MORE_WORKLOADS or tail(count, count + beside, share) > ERROR:
        return None
    before = _before(incidents, oomnodes=oomnodes, present=present)
    first, until = full_hour(now) - (BEFORE_HOURS - 1) * HOUR_SECONDS, full_hour(since)

    def kills(node: str) -> NodeKills:
        state = oomnodes.get(node)
        hours = {hour: count for hour, count in before.get(node, {}).items() if first <= hour < until}
        return NodeKills(len(killed.get(node, ())), hours, _hours(state, first=first, end=until))

    return judge(
        changed={node: kills(node) for node in changed},
        others={node: kills(node) for node in others},
        minutes=max(1, math.ceil((now - start) / 60)),
    )


def judge(
    *, changed: Mapping[str, NodeKills], others: Mapping[str, NodeKills], minutes: int
) -> Increase | None:
    """Apply the rule. `minutes`: length of the window, for the message."""
    if not changed or not others:
        return None
    count, beside = _now(changed), _now(others)
    past, past_beside = _past(changed), _past(others)
    hours = sum(one.hours for one in changed.values())
    if not hours:
        return None
    # The window counts as a full hour: a workload that is killed all the time is in both.
    expected = len(changed) * past / hours
    if count - round(expected) < MORE_WORKLOADS:
        return None
    if tail(count, count + past, len(changed) / (len(changed) + hours)) > ERROR:
        return None
    total = len(changed) + len(others)
    by_number = len(changed) / total
    # One more for each node: a few kills in a week say little about a node.
    by_past = (past + len(changed)) / (past + past_beside + total)
    if tail(count, count + beside, max(by_number, by_past)) > ERROR:
        return None
    together: Counter[int] = Counter()
    for one in changed.values():
        together.update(one.before)
    most = max(together.values(), default=0)
    most_alone = max((kills for one in others.values() for kills in one.before.values()), default=0)
    if count <= max(most, most_alone):
        return None
    ranked = sorted((-one.now, node) for node, one in changed.items() if one.now)
    named = ", ".join(f"{node}: {-killed}" for killed, node in ranked[:_NAMED])
    more = f" and {len(ranked) - _NAMED} more" if len(ranked) > _NAMED else ""
    message = (
        f"OOM kills increased: {count} workloads were killed on the changed nodes within {_minutes(minutes)} "
        f"({named}{more}), {f'at most {most}' if most else 'none'} in any of the "
        f"{round(hours / len(changed))} hours before; "
        f"{beside} on {_nodes(len(others))} not changed yet"
    )
    return Increase(ranked[0][1], message)


def tail(count: int, number: int, share: float) -> float:
    """Return the probability of at least `count` of `number` where each has the probability `share`: exact
    above the mean, 1 at most below it."""
    if share >= 1 or count <= number * share:
        return 1.0
    if share <= 0:
        return 0.0
    odds = share / (1 - share)
    term = math.exp(
        math.lgamma(number + 1)
        - math.lgamma(count + 1)
        - math.lgamma(number - count + 1)
        + count * math.log(share)
        + (number - count) * math.log1p(-share)
    )
    total = 0.0
    for index in range(count, number + 1):
        total += term
        term *= (number - index) / (index + 1) * odds
        if term < total * 1e-12:
            break
    return total


def _has_kill(incident: Incident, *, start: float, end: float) -> bool:
    """Return whether one of the times that the incident has is within [start, end]."""
    if incident.last_seen is None or incident.last_seen < start:
        return False
    times = (incident.last_seen, incident.first_seen or 0.0, *incident.kill_times)
    return any(start <= time <= end for time in times)


def _before(
    incidents: Iterable[Incident], *, oomnodes: Mapping[str, OOMNodeState], present: Collection[str]
) -> dict[str, dict[int, int]]:
    """Return node -> full hour -> killed workloads. A kill whose incident is gone counts as one workload."""
    workloads: dict[str, dict[int, set[Workload]]] = {}
    listed: Counter[tuple[str, int]] = Counter()
    for incident in incidents:
        for hour, kills in incident.history:
            workloads.setdefault(incident.node, {}).setdefault(hour, set()).add(_counted(incident.workload))
            listed[incident.node, hour] += kills
    found = {node: {hour: len(killed) for hour, killed in hours.items()} for node, hours in workloads.items()}
    for node in present:
        state = oomnodes.get(node)
        for hour, kills in (state.history if state else {}).items():
            if kills > listed[node, hour]:
                hours = found.setdefault(node, {})
                hours[hour] = hours.get(hour, 0) + kills - listed[node, hour]
    return found


def _hours(state: OOMNodeState | None, *, first: int, end: int) -> int:
    """Return the full hours before the soak in which the node's agent counted."""
    if state is None:
        return 0
    began = parse_time(state.counters.since)
    known = [math.ceil(began / HOUR_SECONDS) * HOUR_SECONDS] if began is not None else []
    known += [min(state.history)] if state.history else []
    return max(0, (end - max(min(known), first)) // HOUR_SECONDS) if known else 0


def _counted(workload: Workload) -> Workload:
    """Return what counts as one workload: pods without an owner of one namespace together. They are those of
    a CI system, for example, one for each job."""
    return workload._replace(name="") if workload.kind == "Pod" else workload


def _now(kills: Mapping[str, NodeKills]) -> int:
    return sum(one.now for one in kills.values())


def _past(kills: Mapping[str, NodeKills]) -> int:
    return sum(sum(one.before.values()) for one in kills.values())


def _nodes(number: int) -> str:
    return "1 node" if number == 1 else f"{number} nodes"


def _minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number} minutes"
