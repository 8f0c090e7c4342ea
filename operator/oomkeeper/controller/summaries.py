"""The status of every policy, from the whole state."""

from typing import Any

from oomkeeper.reporting.fold import fold_summary
from oomkeeper.reporting.incident import Incident

from .adjustments import summed
from .nodestates import NodeOutcome, outcome
from .policystatus import Facts, policy_status
from .records import NodeState, Policy
from .resolution import Resolution
from .state import ClusterState

WINDOW = "24h"
WINDOW_SECONDS = 24 * 3600


class Silence:
    """For how long each agent has not answered to the present spec."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}

    def seconds(self, name: str, *, state: NodeState | None, now: float) -> float:
        """0 for an agent that is up to date."""
        generation = state.generation if state else 0
        if state is not None and state.observed_generation >= state.generation:
            self._since.pop(name, None)
            return 0.0
        known, since = self._since.get(name, (generation, now))
        self._since[name] = (generation, since if known == generation else now)
        return now - self._since[name][1]


def policy_statuses(
    state: ClusterState,
    *,
    resolution: Resolution,
    silence: Silence,
    now: float,
) -> list[tuple[Policy, dict[str, Any]]]:
    """Each policy with the status that it should have."""
    by_node: dict[str, list[Incident]] = {}
    for incident in state.incidents.values():
        by_node.setdefault(incident.node, []).append(incident)
    behind = {
        name: silence.seconds(name, state=state.node_states.get(name), now=now) for name in resolution.desired
    }
    statuses = []
    for policy in state.policies.values():
        matched = resolution.matched.get(policy.name, ())
        suspended = policy.spec is not None and policy.spec.suspend
        outcomes: list[NodeOutcome] = (
            []
            if suspended
            else [
                outcome(
                    policy,
                    node=state.nodes[name],
                    state=state.node_states.get(name),
                    desired=resolution.desired[name],
                    adjustments=resolution.adjustments[name],
                    behind_seconds=behind[name],
                )
                for name in matched
                if name in state.nodes
            ]
        )
        oom = fold_summary(
            incidents=(incident for name in matched for incident in by_node.get(name, ())),
            window=WINDOW,
            window_seconds=WINDOW_SECONDS,
            now=now,
        )
        facts = Facts(
            outcomes=outcomes,
            defeats=resolution.defeats.get(policy.name, {}),
            oom=oom,
            adjustments=summed(policy, (state.node_states.get(name) for name in matched)),
        )
        statuses.append((policy, policy_status(policy, facts=facts, now=now)))
    return statuses
