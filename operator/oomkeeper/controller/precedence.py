"""Policy precedence: which policy decides which sysctl on which node, and in which order a node gets
oom_score_adj entries.

Per sysctl and node the policy with the highest precedence wins: the higher priority, then the older, then the
first by name. An auditing policy never overrides an enforcing one, whatever their precedence: Audit promises
to change nothing, and the node would release the sysctl. Nodes that share one kernel get one value, that of
the highest precedence among their winners; a node of such a kernel that no policy selects for the sysctl
stays unmanaged (docs/decisions/101-one-value-per-kernel.md).

A policy whose content is invalid keeps its last valid version; if none is known, because the controller was
restarted, the nodes keep the values of it that they have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from oomkeeper.resources.oomnode import DesiredAdjustment, DesiredSysctl, OOMNodeSpec

from . import shared_kernel
from .objects import Node, Policy, selects
from .oomscoreadj import entries_of, ordered_entries
from .panic_breaker import panic_limit
from .rollout_claims import PANIC_ON_OOM, Claims

Precedence = tuple[int, float, str]
"""Sorts the highest first."""


def precedence(policy: Policy) -> Precedence:
    """Return the sort key of a policy."""
    return (-policy.priority, policy.created, policy.name)


class Override(NamedTuple):
    """A sysctl of a policy that another policy decides."""

    sysctl: str
    by: str


@dataclass(slots=True)
class OverrideCount:
    """On how many nodes an override takes place."""

    nodes: int = 0
    differing: int = 0
    """Of these, nodes on which the two values differ."""
    shared_kernel: int = 0
    """Of these, nodes on which it is due to another node of the same kernel."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The result for the whole cluster."""

    desired: Mapping[str, tuple[DesiredSysctl, ...]]
    """Every Linux node -> its sysctls by name; empty where no policy selects it."""
    adjustments: Mapping[str, tuple[DesiredAdjustment, ...]]
    """Every Linux node -> its oom_score_adj entries by precedence: the first that names a process decides."""
    matched: Mapping[str, tuple[str, ...]]
    """Policy (a suspended one too) -> the Linux nodes that it selects; for an invalid policy without a valid
    version those that still hold values of it."""
    overrides: Mapping[str, Mapping[Override, OverrideCount]]
    """Policy -> its overridden sysctls. Policies without any are absent."""


class _Claim(NamedTuple):
    """What a policy wants for one sysctl on one node."""

    policy: Policy
    wanted: DesiredSysctl

    @property
    def enforces(self) -> bool:
        return self.wanted.mode == "Enforce"


@dataclass(slots=True)
class _Contest:
    """One sysctl on one node: the claim that decides it, and those that are overridden."""

    winner: _Claim
    overridden: list[_Claim] = field(default_factory=list)


def resolve(
    *,
    policies: Iterable[Policy],
    nodes: Iterable[Node],
    boot_ids: Mapping[str, str],
    present: Mapping[str, OOMNodeSpec] = MappingProxyType({}),
    held: Mapping[tuple[str, str], Claims] = MappingProxyType({}),
) -> Resolution:
    """Decide every sysctl of every Linux node.

    `boot_ids`: node -> id of its kernel, where known; `present`: node -> its OOMNode.spec, from which an
    invalid policy without a known valid version keeps what it has; `held`: (policy, node) -> what the policy
    sets there until its rollout reaches the node.
    """
    ranked = sorted((policy for policy in policies if not policy.deleting), key=precedence)
    linux = sorted((node for node in nodes if node.linux), key=lambda node: node.name)
    matched: dict[str, list[str]] = {policy.name: [] for policy in ranked}
    contests: dict[str, dict[str, _Contest]] = {}
    sysctls = {policy.name: sysctls_of(policy) for policy in ranked}
    entries = {policy.name: entries_of(policy) for policy in ranked}
    adjustments: dict[str, tuple[DesiredAdjustment, ...]] = {}
    for node in linux:
        spec = present.get(node.name, _NOTHING)
        of_node: list[DesiredAdjustment] = []
        contests[node.name] = {}
        for policy in ranked:
            if policy.spec is None:
                wanted = tuple(entry for entry in spec.sysctls if entry.policy == policy.name)
                adjusted = tuple(e for e in spec.oom_score_adjustments if e.policy == policy.name)
                if not wanted and not adjusted:
                    continue
            elif selects(policy.spec.node_selector, node.labels):
                wanted, adjusted = held.get(
                    (policy.name, node.name), (sysctls[policy.name], entries[policy.name])
                )
            else:
                continue
            matched[policy.name].append(node.name)
            if policy.spec is None or not policy.spec.suspend:
                of_node += adjusted
                _enter(contests[node.name], policy=policy, wanted=wanted)
        adjustments[node.name] = ordered_entries(of_node)
    overrides: dict[str, dict[Override, OverrideCount]] = {}
    for by_sysctl in contests.values():
        for contest in by_sysctl.values():
            for loser in contest.overridden:
                _count(overrides, loser=loser, winner=contest.winner)
    _unify_kernels(contests, boot_ids=boot_ids, present=present, overrides=overrides)
    return Resolution(
        desired={
            name: tuple(contest.winner.wanted for _, contest in sorted(by_sysctl.items()))
            for name, by_sysctl in contests.items()
        },
        adjustments=adjustments,
        matched={name: tuple(names) for name, names in matched.items()},
        overrides=overrides,
    )


_NOTHING = OOMNodeSpec()


def _enter(contests: dict[str, _Contest], *, policy: Policy, wanted: Iterable[DesiredSysctl]) -> None:
    """Enter a policy for its sysctls on a node. Policies must be entered by precedence."""
    for entry in wanted:
        claim = _Claim(policy, entry)
        contest = contests.get(entry.name)
        if contest is None:
            contests[entry.name] = _Contest(claim)
        elif claim.enforces and not contest.winner.enforces:
            contest.overridden.append(contest.winner)
            contest.winner = claim
        else:
            contest.overridden.append(claim)


def _unify_kernels(
    contests: Mapping[str, dict[str, _Contest]],
    *,
    boot_ids: Mapping[str, str],
    present: Mapping[str, OOMNodeSpec],
    overrides: dict[str, dict[Override, OverrideCount]],
) -> None:
    """Give the nodes of one kernel one value per enforced sysctl, and let one of their agents enforce it: two
    that write one file would overwrite each other, and each take the other's value for the original. The
    other agents only report, as in mode Audit."""
    for siblings in shared_kernel.groups(contests, boot_ids=boot_ids):
        if len(siblings) < 2:
            continue
        for sysctl in sorted({sysctl for node in siblings for sysctl in contests[node]}):
            enforced = {
                node: contests[node][sysctl]
                for node in siblings
                if sysctl in contests[node] and contests[node][sysctl].winner.enforces
            }
            if not enforced:
                continue
            best = min(
                (contest.winner for contest in enforced.values()), key=lambda claim: precedence(claim.policy)
            )
            enforcer = _enforcer(sysctl, enforced, present=present)
            for node, contest in enforced.items():
                # Equal values do not conflict: each node keeps the policy that selects it.
                if contest.winner.wanted.value != best.wanted.value:
                    _count(overrides, loser=contest.winner, winner=best, shared_kernel=True)
                    contest.winner = best
                if node != enforcer:
                    wanted = replace(contest.winner.wanted, mode="Audit")
                    contest.winner = contest.winner._replace(wanted=wanted)


def _enforcer(sysctl: str, nodes: Iterable[str], *, present: Mapping[str, OOMNodeSpec]) -> str:
    """Return the node whose agent enforces: the one that does so now, for it knows the original value; else
    the first by name."""
    ordered = sorted(nodes)
    for node in ordered:
        entries = present.get(node, _NOTHING).sysctls
        if any(entry.name == sysctl and entry.mode == "Enforce" for entry in entries):
            return node
    return ordered[0]


def _count(
    overrides: dict[str, dict[Override, OverrideCount]],
    *,
    loser: _Claim,
    winner: _Claim,
    shared_kernel: bool = False,
) -> None:
    override = Override(loser.wanted.name, winner.policy.name)
    count = overrides.setdefault(loser.policy.name, {}).setdefault(override, OverrideCount())
    count.nodes += 1
    count.differing += loser.wanted.value != winner.wanted.value
    count.shared_kernel += shared_kernel


def sysctls_of(policy: Policy) -> tuple[DesiredSysctl, ...]:
    """Return a policy's sysctls as OOMNode.spec holds them: vm.panic_on_oom with the panic breaker, and 0
    where that has tripped."""
    spec = policy.spec
    if spec is None:
        return ()
    breaker = policy.breaker
    return tuple(
        DesiredSysctl(
            name=name,
            value=0 if name == PANIC_ON_OOM and breaker and breaker.tripped else value,
            policy=policy.name,
            mode=str(spec.mode),
            persistence=str(spec.persistence),
            on_release=str(spec.on_release),
            acknowledge=tuple(sorted(map(str, spec.panic_safety.acknowledge))),
            panic_limit=panic_limit(policy) if name == PANIC_ON_OOM else None,
        )
        for name, value in spec.sysctls.items()
    )
