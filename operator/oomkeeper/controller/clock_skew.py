"""How far a node's clock differs from the API server's, and times corrected for it.

kubelet writes the time of its heartbeat by the node's clock, and the API server notes its own time of that
write in managedFields. Kills are dated by the node's clock too, so windows and ages would be wrong by the
difference.
"""

from collections.abc import Mapping
from dataclasses import replace

from oomkeeper.model.times import HOUR_SECONDS, full_hour
from oomkeeper.reporting.incident import Incident

from .objects import Node

_LISTED = 3


def corrected(incident: Incident, nodes: Mapping[str, Node]) -> Incident:
    """Return the incident with its times by the API server's clock, as far as its node's skew is known, and
    none of them after the write that brought it."""
    node = nodes.get(incident.node)
    skew = node.clock_skew_seconds if node else 0
    latest = incident.written_at if incident.written_at is not None else float("inf")
    if not skew and max(incident.last_seen or 0.0, *incident.kill_times, 0.0) <= latest:
        return incident
    return replace(
        incident,
        first_seen=_moved(incident.first_seen, skew, latest),
        last_seen=_moved(incident.last_seen, skew, latest),
        kill_times=tuple(min(time - skew, latest) for time in incident.kill_times),
        pods=tuple(
            pod._replace(
                first_seen=min(pod.first_seen - skew, latest), last_seen=min(pod.last_seen - skew, latest)
            )
            for pod in incident.pods
        ),
        history=_moved_history(incident, skew, latest),
    )


def _moved_history(incident: Incident, skew_seconds: int, latest: float) -> tuple[tuple[int, int], ...]:
    """Return the kills by the hour. Those whose time is known go to the hour of their corrected time, others
    to the hour that holds most of their corrected hour; so none is counted twice beside `kill_times`."""
    moved: dict[int, int] = {}

    def add(time: float, kills: int) -> None:
        hour = full_hour(min(time - skew_seconds, latest))
        moved[hour] = moved.get(hour, 0) + kills

    for hour, kills in incident.history:
        known = [time for time in incident.kill_times if full_hour(time) == hour]
        for time in known:
            add(time, 1)
        if kills > len(known):
            add(hour + HOUR_SECONDS / 2, kills - len(known))
    return tuple(sorted(moved.items()))


def _moved(time: float | None, skew_seconds: int, latest: float) -> float | None:
    return None if time is None else min(time - skew_seconds, latest)


def skewed_nodes(nodes: Mapping[str, Node]) -> str | None:
    """Return a sentence about the nodes whose clock is wrong, None if there are none."""
    wrong = sorted((node for node in nodes.values() if node.clock_skew_seconds), key=lambda node: node.name)
    if not wrong:
        return None
    named = ", ".join(f"{node.name} ({_described(node.clock_skew_seconds)})" for node in wrong[:_LISTED])
    more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
    return f"clocks differ from the API server's on {named}{more}; times of their kills are corrected"


def _described(skew_seconds: int) -> str:
    minutes = abs(skew_seconds) // 60
    amount = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    return f"{amount} {'behind' if skew_seconds < 0 else 'ahead'}"
