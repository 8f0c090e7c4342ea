"""Policy precedence: which policy decides which sysctl on which node, and in which order a node gets
oom_score_adj entries.

Per sysctl and node the policy with the highest precedence wins: the higher priority, then the older, then the
first by name. An auditing policy never overrides an enforcing one, whatever their precedence: Audit promises
to change nothing, and the node would release the sysctl. Nodes that share one kernel get one value, that of
the highest precedence among their winners; a node of such a kernel that no policy selects for the sysctl
stays unmanaged (docs/decisions/101-one-value-per-kernel.md).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from . import shared_kernel
from .objects import DesiredSysctl, Node, Policy, selects
from .oomscoreadj import Entry, entries_of, ordered_entries

Precedence = tuple[int, float, str]
"""Sorts the highest first."""


def precedence(policy: Policy) -> Precedence:
    """Return the sort key of a policy."""
    priority = policy.spec.priority if policy.spec else 0
    return (-priority, policy.created, policy.name)


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
    adjustments: Mapping[str, tuple[Entry, ...]]
    """Every Linux node -> its oom_score_adj entries by precedence: the first that names a process decides."""
    matched: Mapping[str, tuple[str, ...]]
    """Valid policy (a suspended one too) -> the Linux nodes that it selects."""
    overrides: Mapping[str, Mapping[Override, OverrideCount]]
    """Policy -> its overridden sysctls. Policies without any are absent."""


@dataclass(slots=True)
class _Contest:
    """One sysctl on one node: the policy that decides it, and those that are overridden."""

    winner: Policy
    overridden: list[Policy] = field(default_factory=list)


def resolve(*, policies: Iterable[Policy], nodes: Iterable[Node], boot_ids: Mapping[str, str]) -> Resolution:
    """Decide every sysctl of every Linux node. `boot_ids`: node -> id of its kernel, where known."""
    ranked = sorted((policy for policy in policies if policy.spec and not policy.deleting), key=precedence)
    linux = sorted((node for node in nodes if node.linux), key=lambda node: node.name)
    matched: dict[str, list[str]] = {policy.name: [] for policy in ranked}
    contests: dict[str, dict[str, _Contest]] = {}
    entries = {policy.name: entries_of(policy) for policy in ranked}
    adjustments: dict[str, tuple[Entry, ...]] = {}
    for node in linux:
        active: list[Policy] = []
        contests[node.name] = {}
        for policy in ranked:
            if policy.spec and selects(policy.spec.node_selector, node.labels):
                matched[policy.name].append(node.name)
                if not policy.spec.suspend:
                    active.append(policy)
                    _enter(contests[node.name], policy=policy)
        adjustments[node.name] = ordered_entries(active, entries=entries)
    overrides: dict[str, dict[Override, OverrideCount]] = {}
    for by_sysctl in contests.values():
        for sysctl, contest in by_sysctl.items():
            for loser in contest.overridden:
                _count(overrides, loser=loser, sysctl=sysctl, winner=contest.winner)
    _unify_kernels(contests, boot_ids=boot_ids, overrides=overrides)
    return Resolution(
        desired={
            name: tuple(_desired(sysctl, contest.winner) for sysctl, contest in sorted(by_sysctl.items()))
            for name, by_sysctl in contests.items()
        },
        adjustments=adjustments,
        matched={name: tuple(names) for name, names in matched.items()},
        overrides=overrides,
    )


def _enter(contests: dict[str, _Contest], *, policy: Policy) -> None:
    """Enter a policy for its sysctls on a node. Policies must be entered by precedence."""
    assert policy.spec is not None
    for sysctl in policy.spec.sysctls:
        contest = contests.get(sysctl)
        if contest is None:
            contests[sysctl] = _Contest(policy)
        elif policy.spec.mode == "Enforce" and not _enforces(contest.winner):
            contest.overridden.append(contest.winner)
            contest.winner = policy
        else:
            contest.overridden.append(policy)


def _unify_kernels(
    contests: Mapping[str, dict[str, _Contest]],
    *,
    boot_ids: Mapping[str, str],
    overrides: dict[str, dict[Override, OverrideCount]],
) -> None:
    """Give the nodes of one kernel one winner per enforced sysctl: two agents that write one file would
    overwrite each other forever."""
    for siblings in shared_kernel.groups(contests, boot_ids=boot_ids):
        if len(siblings) < 2:
            continue
        for sysctl in sorted({sysctl for node in siblings for sysctl in contests[node]}):
            enforced = [
                contests[node][sysctl]
                for node in siblings
                if sysctl in contests[node] and _enforces(contests[node][sysctl].winner)
            ]
            if not enforced:
                continue
            best = min((contest.winner for contest in enforced), key=precedence)
            for contest in enforced:
                # Equal values do not conflict: each node keeps the policy that selects it.
                if _value(contest.winner, sysctl) != _value(best, sysctl):
                    _count(overrides, loser=contest.winner, sysctl=sysctl, winner=best, shared_kernel=True)
                    contest.winner = best


def _count(
    overrides: dict[str, dict[Override, OverrideCount]],
    *,
    loser: Policy,
    sysctl: str,
    winner: Policy,
    shared_kernel: bool = False,
) -> None:
    count = overrides.setdefault(loser.name, {}).setdefault(Override(sysctl, winner.name), OverrideCount())
    count.nodes += 1
    count.differing += _value(loser, sysctl) != _value(winner, sysctl)
    count.shared_kernel += shared_kernel


def _enforces(policy: Policy) -> bool:
    return policy.spec is not None and policy.spec.mode == "Enforce"


def _value(policy: Policy, sysctl: str) -> int | None:
    return policy.spec.sysctls.get(sysctl) if policy.spec else None


def _desired(sysctl: str, policy: Policy) -> DesiredSysctl:
    assert policy.spec is not None
    return DesiredSysctl(
        name=sysctl,
        value=policy.spec.sysctls[sysctl],
        policy=policy.name,
        mode=str(policy.spec.mode),
        persistence=str(policy.spec.persistence),
        on_release=str(policy.spec.on_release),
        acknowledge=tuple(sorted(map(str, policy.spec.panic_safety.acknowledge))),
    )
