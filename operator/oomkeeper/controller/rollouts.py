"""The rollouts of all policies: for each policy, the nodes that keep its earlier values.

Nodes that have the new values are known from what was decided for their OOMNode.spec, after a start from the
object itself; phase and times from OOMPolicy.status.rollout.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from oomkeeper.model.names import ROLLOUT_PAUSE
from oomkeeper.model.policy import Mode, RolloutPhase
from oomkeeper.resources.oomnode import DesiredSysctl, OOMNodeSpec
from oomkeeper.resources.oompolicy import RolloutStatus

from .agent_health import UNKNOWN, AgentHealth
from .cache import ClusterCache
from .kill_increase import Increase, find_increase
from .node_result import node_result
from .objects import Policy
from .precedence import Resolution, sysctls_of
from .rollout import Limits, Member, max_nodes, next_step, soaks_since
from .rollout_claims import Claims, earlier_claims, is_reached
from .unanswered import UnansweredSince

_ZONE_LABEL = "topology.kubernetes.io/zone"
_NOTHING = OOMNodeSpec()


class RolloutChange(NamedTuple):
    """A new status of a rollout."""

    policy: Policy
    before: RolloutStatus | None
    after: RolloutStatus


@dataclass(slots=True)
class _Rollout:
    """What is known of one policy's rollout beyond the objects."""

    generation: int
    status: RolloutStatus | None
    """As decided last."""
    granted: set[str] = field(default_factory=set)
    """Nodes that this process has changed in this generation."""
    joined: set[str] = field(default_factory=set)
    """Of these, nodes that joined after the rollout was complete."""
    reached: frozenset[str] = frozenset()
    """Nodes that have the values of this generation, as decided last."""
    pending_since: dict[str, float] = field(default_factory=dict)
    """Reached node -> since when this process knows it to be Pending."""
    due_at: float = math.inf


class _View(NamedTuple):
    """The cluster, as one decision needs it."""

    wanted: Resolution
    """What the nodes would get if no rollout were under way."""
    holds: Mapping[str, OOMNodeSpec]
    """Node -> what its OOMNode should hold by the last decision, or holds."""
    kernels: Mapping[str, str]
    """Node -> its kernel."""
    siblings: Mapping[str, tuple[str, ...]]
    """Kernel that several nodes share -> these nodes."""
    matched: Mapping[str, frozenset[str]]
    """Policy -> its nodes."""


def is_limited(policy: Policy) -> bool:
    """Return whether changes of the policy reach its nodes in steps. By default, and in mode Audit, which
    changes nothing, they reach all nodes immediately."""
    spec = policy.spec
    if spec is None or policy.deleting or spec.suspend or spec.mode != Mode.ENFORCE:
        return False
    rollout = spec.rollout
    everything = rollout.max_concurrent == "100%" and not rollout.soak_seconds and rollout.canary is None
    return not everything or policy.rollout_request == ROLLOUT_PAUSE


def is_canary(policy: Policy, labels: Mapping[str, str]) -> bool:
    """Return whether a node with these labels changes before the others."""
    canary = policy.spec.rollout.canary if policy.spec is not None else None
    return canary is not None and canary.node_selector.matches(labels)


class Rollouts:
    """Decides one step of every rollout at a time."""

    def __init__(self, cache: ClusterCache, *, agents: Mapping[str, AgentHealth]) -> None:
        """`agents`: node -> present health of its agent."""
        self._cache = cache
        self._agents = agents
        self._rollouts: dict[str, _Rollout] = {}
        """By uid of the policy."""
        self._unanswered = UnansweredSince()
        self.held: dict[tuple[str, str], Claims] = {}
        """(policy, node) -> what the policy sets there until its rollout reaches the node."""
        self.statuses: dict[str, RolloutStatus] = {}
        """Policy -> how far its rollout is, for policies whose changes are limited."""

    def due_at(self) -> float:
        """Return when the time alone leads to the next step."""
        return min((rollout.due_at for rollout in self._rollouts.values()), default=math.inf)

    def decide(
        self,
        wanted: Resolution,
        *,
        policies: Mapping[str, Policy],
        specs: Mapping[str, OOMNodeSpec],
        boot_ids: Mapping[str, str],
        is_new: bool,
        now: float,
    ) -> list[RolloutChange]:
        """Decide the next steps; `held` and `statuses` are up to date afterwards. Return what changed.

        `wanted`: the resolution without any rollout; `policies`: those that it was made from; `specs`: node
        -> its OOMNode.spec by the last decision; `is_new`: the resolution is another one than the last
        time.
        """
        limited = [policy for policy in policies.values() if is_limited(policy)]
        uids = {policy.uid for policy in limited}
        self._rollouts = {uid: rollout for uid, rollout in self._rollouts.items() if uid in uids}
        names = {policy.name for policy in limited}
        for name in self.statuses.keys() - names:
            del self.statuses[name]
        held = {key: claims for key, claims in self.held.items() if key[0] in names}
        view: _View | None = None
        changes = []
        for policy in sorted(limited, key=lambda policy: policy.name):
            known = self._rollouts.get(policy.uid)
            settled = known is not None and known.status is not None and _is_complete(known.status)
            if settled and not is_new:
                continue
            view = view or self._view(wanted, specs=specs, boot_ids=boot_ids)
            held = {key: claims for key, claims in held.items() if key[0] != policy.name}
            before = known.status if known else policy.status.rollout if policy.status else None
            after = self._decide(policy, view=view, held=held, now=now)
            self.statuses[policy.name] = after
            if after != before:
                changes.append(RolloutChange(policy, before, after))
        self.held = held
        return changes

    def _view(
        self, wanted: Resolution, *, specs: Mapping[str, OOMNodeSpec], boot_ids: Mapping[str, str]
    ) -> _View:
        present = {name: state.spec for name, state in self._cache.oomnodes.items()}
        kernels = {name: boot_ids.get(name, f"node/{name}") for name in wanted.desired}
        shared = {kernel for kernel, nodes in Counter(kernels.values()).items() if nodes > 1}
        siblings: dict[str, tuple[str, ...]] = {}
        for name, kernel in kernels.items():
            if kernel in shared:
                siblings[kernel] = (*siblings.get(kernel, ()), name)
        matched = {policy: frozenset(nodes) for policy, nodes in wanted.matched.items()}
        return _View(wanted, {**present, **specs}, kernels, siblings, matched)

    def _decide(
        self, policy: Policy, *, view: _View, held: dict[tuple[str, str], Claims], now: float
    ) -> RolloutStatus:
        """Decide the next step of one policy. Adds the nodes that it does not reach yet to `held`."""
        assert policy.spec is not None
        generation = policy.spec_generation
        rollout = self._rollouts.get(policy.uid)
        superseded: frozenset[str] | None = None
        if rollout is None:
            written = policy.status.rollout if policy.status else None
            rollout = self._rollouts[policy.uid] = _Rollout(generation, written)
        elif rollout.generation != generation:
            rollout.generation = generation
            superseded = rollout.reached
            rollout.granted.clear()
            rollout.joined.clear()
            rollout.pending_since.clear()
        matched = view.wanted.matched.get(policy.name, ())
        # A node that is gone and comes back is a new one.
        rollout.granted &= view.matched.get(policy.name, frozenset())
        latest = {entry.name: entry for entry in sysctls_of(policy)}
        members = [
            member
            for name in matched
            if (member := self._member(policy, name, rollout, latest=latest, view=view, now=now))
        ]
        spec = policy.spec.rollout
        canary = spec.canary
        canary_soak = None
        if canary is not None:
            canary_soak = spec.soak_seconds if canary.soak_seconds is None else canary.soak_seconds
        reached = frozenset(member.node for member in members if member.reached)
        step = next_step(
            members,
            limits=Limits(
                max_nodes(spec.max_concurrent, total=len(members)),
                spec.soak_seconds,
                spec.halt_on_failure,
                canary_soak,
            ),
            generation=generation,
            previous=rollout.status,
            request=policy.rollout_request,
            joined=frozenset(rollout.joined),
            has_begun=superseded is None or not reached.isdisjoint(superseded),
            increase=self._increase(policy, rollout, members, now=now),
            policy=policy.name,
            now=now,
        )
        rollout.granted |= step.grant
        rollout.reached = reached | step.grant
        if step.status.joining:
            rollout.joined |= step.grant
        else:
            rollout.joined.clear()
        rollout.status, rollout.due_at = step.status, step.due_at
        for member in members:
            if not member.reached and member.node not in step.grant:
                held[policy.name, member.node] = self._kept(policy, member.node, latest=latest, view=view)
        return step.status

    def _increase(
        self, policy: Policy, rollout: _Rollout, members: Sequence[Member], *, now: float
    ) -> Increase | None:
        """Return the increase of OOM kills on the nodes that have soaked so far."""
        assert policy.spec is not None
        since = soaks_since(rollout.status, generation=policy.spec_generation)
        if since is None or not policy.spec.rollout.halt_on_failure:
            return None
        return find_increase(
            changed=[member.node for member in members if member.reached],
            others=[member.node for member in members if not member.reached and not member.away],
            incidents=self._cache.incidents.values(),
            nodes=self._cache.nodes,
            oomnodes=self._cache.oomnodes,
            since=since,
            now=now,
        )

    def _member(
        self,
        policy: Policy,
        name: str,
        rollout: _Rollout,
        *,
        latest: Mapping[str, DesiredSysctl],
        view: _View,
        now: float,
    ) -> Member | None:
        node, state = self._cache.nodes.get(name), self._cache.oomnodes.get(name)
        if node is None:
            return None
        holds = view.holds.get(name, _NOTHING)
        wanted = OOMNodeSpec(
            sysctls=view.wanted.desired[name], oom_score_adjustments=view.wanted.adjustments[name]
        )
        kernel = view.kernels[name]
        reached = name in rollout.granted or is_reached(
            policy.name,
            holds=holds,
            wanted=wanted,
            latest=latest,
            claims=lambda other, sysctl: self._claims(other, sysctl, node=name, view=view),
            any_mode=kernel in view.siblings,
        )
        agent = self._agents.get(name, UNKNOWN)
        has_sysctls = bool(latest) or any(entry.policy == policy.name for entry in holds.sysctls)
        member = Member(
            node=name,
            zone=node.labels.get(_ZONE_LABEL, ""),
            unit=kernel if has_sysctls else f"node/{name}",
            reached=reached,
            away=node.ready is False or agent.away,
            state="Waiting",
            message="the node is not Ready" if node.ready is False else agent.message,
            canary=is_canary(policy, node.labels),
        )
        if not reached:
            return member
        result = node_result(
            policy,
            node=node,
            state=state,
            desired=holds.sysctls,
            adjustments=holds.oom_score_adjustments,
            unanswered_seconds=self._unanswered.seconds(name, state=state, now=now),
            agent=agent,
        )
        pending_seconds = 0.0
        if result.state == "Pending":
            pending_seconds = now - rollout.pending_since.setdefault(name, now)
        else:
            rollout.pending_since.pop(name, None)
        return member._replace(state=result.state, message=result.message, pending_seconds=pending_seconds)

    def _claims(self, other: str, sysctl: str, *, node: str, view: _View) -> bool:
        """Return whether another policy applies to the node and sets the sysctl."""
        policy = self._cache.policies.get(other)
        if policy is None or node not in view.matched.get(other, ()):
            return False
        if policy.spec is None:
            return True
        return not policy.spec.suspend and sysctl in policy.spec.sysctls

    def _kept(self, policy: Policy, name: str, *, latest: Mapping[str, DesiredSysctl], view: _View) -> Claims:
        return earlier_claims(
            policy.name,
            holds=view.holds.get(name, _NOTHING),
            latest=latest,
            enforced=_enforced(
                policy.name,
                (view.holds.get(other, _NOTHING) for other in view.siblings.get(view.kernels[name], ())),
            ),
        )


def _enforced(policy: str, specs: Iterator[OOMNodeSpec]) -> Iterator[str]:
    """Yield the sysctls that a policy enforces on one of these nodes."""
    for spec in specs:
        for entry in spec.sysctls:
            if entry.policy == policy and entry.mode == Mode.ENFORCE:
                yield entry.name


def _is_complete(status: RolloutStatus) -> bool:
    return status.phase == RolloutPhase.COMPLETE
