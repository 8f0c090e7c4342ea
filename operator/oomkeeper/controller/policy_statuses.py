"""The status of every policy, recomputed only as far as something changed.

A kill changes the policies of its node, an OOMNode the policies that select it; only a new resolution changes
everything. Each policy is recomputed at most every few seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from oomkeeper.reporting.fold import fold_summary
from oomkeeper.reporting.incident import Incident
from oomkeeper.resources.oompolicy import OOMPolicyStatus, OOMSummary

from .agent_health import UNKNOWN, AgentHealth
from .cache import ClusterCache
from .node_result import NodeResult, node_result
from .objects import Policy
from .oomscoreadj import adjustment_totals
from .panic_breaker import PanicBreakers
from .policy_status import Facts, policy_status
from .precedence import Resolution
from .rollouts import Rollouts
from .unanswered import UnansweredSince

WINDOW = "24h"
WINDOW_SECONDS = 24 * 3600
_RECOUNT_SECONDS = 60.0
"""How often the kills are counted anew without any change: they leave the window."""
_PENDING_SECONDS = 15.0
"""How often nodes that wait for their agent are looked at again without any change."""


_WITH_EARLIER_VALUES = ("InSync", "Overridden", "Pending")
"""States of a node that a rollout has not reached yet which say nothing about the present values."""


@dataclass(slots=True)
class _Computed:
    """What is known of one policy's nodes."""

    failing: dict[str, NodeResult] = field(default_factory=dict)
    """Node -> result, for nodes that are not in sync."""
    outdated: set[str] = field(default_factory=set)
    """Nodes whose result must be computed."""
    dirty: bool = True
    computed_at: float = float("-inf")


class PolicyStatuses:
    """Keeps the results per policy and node."""

    def __init__(
        self,
        cache: ClusterCache,
        *,
        agents: Mapping[str, AgentHealth],
        rollouts: Rollouts,
        breakers: PanicBreakers,
        cordons_nodes: bool,
        interval_seconds: float,
    ) -> None:
        """`agents`: node -> present health of its agent; `cordons_nodes`: whether the controller
        may cordon Nodes; `interval_seconds`: shortest time between two
        computations of one policy."""
        self._agents = agents
        self._rollouts = rollouts
        self._breakers = breakers
        self._cordons_nodes = cordons_nodes
        self._cache = cache
        self._interval_seconds = interval_seconds
        self._resolution: Resolution | None = None
        self._policies: dict[str, _Computed] = {}
        self._policies_of_node: dict[str, list[str]] = {}
        self._unanswered = UnansweredSince()

    def resolved(self, resolution: Resolution) -> None:
        """Start anew with a new resolution."""
        self._resolution = resolution
        self._policies_of_node = {}
        before = self._policies
        self._policies = {}
        for name in self._cache.policies:
            matched = resolution.matched.get(name, ())
            computed = self._policies[name] = _Computed(outdated=set(matched))
            if name in before:
                computed.computed_at = before[name].computed_at
            for node in matched:
                self._policies_of_node.setdefault(node, []).append(name)

    def node_changed(self, node: str) -> None:
        """Recompute a node: its Node, OOMNode or agent changed."""
        for name in self._policies_of_node.get(node, ()):
            self._policies[name].outdated.add(node)
            self._policies[name].dirty = True

    def policy_changed(self, name: str) -> None:
        """Recompute a policy: its rollout took a step."""
        if computed := self._policies.get(name):
            computed.dirty = True

    def kills_changed(self, node: str) -> None:
        """Recount the kills of a node."""
        for name in self._policies_of_node.get(node, ()):
            self._policies[name].dirty = True

    def due_at(self) -> float:
        """Return the earliest time at which a policy must be computed."""
        return min(
            (computed.computed_at + self._wait_seconds(computed) for computed in self._policies.values()),
            default=float("inf"),
        )

    def _wait_seconds(self, computed: _Computed) -> float:
        if computed.dirty:
            return self._interval_seconds
        return _PENDING_SECONDS if computed.outdated else _RECOUNT_SECONDS

    def compute(self, *, now: float) -> Iterable[tuple[Policy, OOMPolicyStatus]]:
        """Yield each policy that is due with its status. `now`: seconds since the epoch."""
        assert self._resolution is not None
        by_node: dict[str, list[Incident]] | None = None
        summaries: dict[tuple[str, ...], OOMSummary] = {}
        for name, computed in list(self._policies.items()):
            policy = self._cache.policies.get(name)
            if policy is None or now < computed.computed_at + self._wait_seconds(computed):
                continue
            if by_node is None:
                by_node = _by_node(self._cache.corrected_incidents())
            matched = self._resolution.matched.get(name, ())
            # Policies that select the same nodes share one count.
            if matched not in summaries:
                summaries[matched] = fold_summary(
                    incidents=(incident for node in matched for incident in by_node.get(node, ())),
                    window=WINDOW,
                    window_seconds=WINDOW_SECONDS,
                    now=now,
                )
            computed.dirty, computed.computed_at = False, now
            yield policy, self._status(policy, computed, matched=matched, oom=summaries[matched], now=now)

    def _status(
        self,
        policy: Policy,
        computed: _Computed,
        *,
        matched: tuple[str, ...],
        oom: OOMSummary,
        now: float,
    ) -> OOMPolicyStatus:
        assert self._resolution is not None
        if policy.spec is not None and policy.spec.suspend:
            matched = ()
            computed.outdated.clear()
            computed.failing.clear()
        for node in computed.outdated:
            result = self._result(policy, node, now=now)
            if result is None or result.state == "InSync":
                computed.failing.pop(node, None)
            else:
                computed.failing[node] = result
        # Some results depend on the time alone.
        computed.outdated = {node for node, result in computed.failing.items() if result.state == "Pending"}
        facts = Facts(
            matched=len(matched),
            failing=list(computed.failing.values()),
            overrides=self._resolution.overrides.get(policy.name, {}),
            oom=oom,
            drifts=self._drifts(policy, matched),
            rollout=self._rollouts.statuses.get(policy.name),
            breaker=self._breakers.status(policy),
            cordons_nodes=self._cordons_nodes,
            adjustments=adjustment_totals(policy, (self._cache.oomnodes.get(name) for name in matched)),
        )
        return policy_status(policy, facts=facts, now=now)

    def _drifts(self, policy: Policy, matched: Iterable[str]) -> int:
        states = filter(None, map(self._cache.oomnodes.get, matched))
        return sum(
            sysctl.drift_count or 0
            for state in states
            for sysctl in state.sysctls.values()
            if sysctl.policy == policy.name
        )

    def _result(self, policy: Policy, name: str, *, now: float) -> NodeResult | None:
        assert self._resolution is not None
        node, state = self._cache.nodes.get(name), self._cache.oomnodes.get(name)
        if node is None:
            return None
        result = node_result(
            policy,
            node=node,
            state=state,
            desired=self._resolution.desired[name],
            adjustments=self._resolution.adjustments[name],
            unanswered_seconds=self._unanswered.seconds(name, state=state, now=now),
            agent=self._agents.get(name, UNKNOWN),
        )
        if (policy.name, name) in self._rollouts.held and result.state in _WITH_EARLIER_VALUES:
            return NodeResult(name, "Pending", "waiting for its turn in the rollout")
        return result


def _by_node(incidents: Iterable[Incident]) -> dict[str, list[Incident]]:
    found: dict[str, list[Incident]] = {}
    for incident in incidents:
        found.setdefault(incident.node, []).append(incident)
    return found
