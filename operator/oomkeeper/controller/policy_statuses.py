"""The status that every policy should have, from the whole cache."""

from typing import Any

from oomkeeper.reporting.fold import fold_summary
from oomkeeper.reporting.incident import Incident

from .cache import ClusterCache
from .node_result import NodeResult, node_result
from .objects import Policy
from .oomscoreadj import adjustment_totals
from .policy_status import Facts, policy_status
from .precedence import Resolution
from .unanswered import UnansweredSince

WINDOW = "24h"
WINDOW_SECONDS = 24 * 3600


def policy_statuses(
    cache: ClusterCache,
    *,
    resolution: Resolution,
    unanswered: UnansweredSince,
    now: float,
) -> list[tuple[Policy, dict[str, Any]]]:
    """Return each policy with its status. `now`: seconds since the epoch."""
    by_node: dict[str, list[Incident]] = {}
    for incident in cache.incidents.values():
        by_node.setdefault(incident.node, []).append(incident)
    unanswered_seconds = {
        name: unanswered.seconds(name, state=cache.oomnodes.get(name), now=now) for name in resolution.desired
    }
    statuses = []
    for policy in cache.policies.values():
        matched = resolution.matched.get(policy.name, ())
        suspended = policy.spec is not None and policy.spec.suspend
        results: list[NodeResult] = (
            []
            if suspended
            else [
                node_result(
                    policy,
                    node=cache.nodes[name],
                    state=cache.oomnodes.get(name),
                    desired=resolution.desired[name],
                    adjustments=resolution.adjustments[name],
                    unanswered_seconds=unanswered_seconds[name],
                )
                for name in matched
                if name in cache.nodes
            ]
        )
        oom = fold_summary(
            incidents=(incident for name in matched for incident in by_node.get(name, ())),
            window=WINDOW,
            window_seconds=WINDOW_SECONDS,
            now=now,
        )
        facts = Facts(
            results=results,
            overrides=resolution.overrides.get(policy.name, {}),
            oom=oom,
            adjustments=adjustment_totals(policy, (cache.oomnodes.get(name) for name in matched)),
        )
        statuses.append((policy, policy_status(policy, facts=facts, now=now)))
    return statuses
