"""Which policy holds which sysctl on which node, and whose oom_score_adj entries go there in which order.

Per key and node the policy with the highest standing wins: the higher priority, then the older, then the
first by name. An enforcing policy is never displaced by an auditing one, whatever their standing: Audit
promises to change nothing, and the node would let go of the key. Nodes that share one kernel are given one
value, that of the highest standing among their winners; a node of such a kernel that no policy selects for
the key stays as it is, unmanaged (docs/decisions/101-one-value-per-kernel.md).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .adjustments import Entry, entries_of, lined_up
from .records import DesiredSysctl, Node, Policy, selects

Standing = tuple[int, float, str]
"""Sorts the highest first."""


def standing(policy: Policy) -> Standing:
    """Where a policy stands among others."""
    priority = policy.spec.priority if policy.spec else 0
    return (-priority, policy.created, policy.name)


class Defeat(NamedTuple):
    """A key of a policy that another policy holds."""

    sysctl: str
    by: str


@dataclass(slots=True)
class Tally:
    """How often one Defeat came about."""

    nodes: int = 0
    differing: int = 0
    """On how many of them the other's value is not the policy's own."""
    shared_kernel: int = 0
    """On how many of them only because another node of the same kernel holds another value."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome for the whole cluster."""

    desired: Mapping[str, tuple[DesiredSysctl, ...]]
    """Every Linux node -> its sysctls by name; empty where no policy selects it."""
    adjustments: Mapping[str, tuple[Entry, ...]]
    """Every Linux node -> its oom_score_adj entries by standing: the agent lets the first decide."""
    matched: Mapping[str, tuple[str, ...]]
    """Valid policy (a suspended one too) -> the Linux nodes that it selects."""
    defeats: Mapping[str, Mapping[Defeat, Tally]]
    """Policy -> what it loses. Policies that lose nothing are absent."""


@dataclass(slots=True)
class _Seat:
    """One key on one node: its holder, and who else wants it."""

    holder: Policy
    losers: list[Policy] = field(default_factory=list)


def resolve(*, policies: Iterable[Policy], nodes: Iterable[Node], boot_ids: Mapping[str, str]) -> Resolution:
    """Settle every key of every Linux node. `boot_ids`: node -> id of its kernel, where known."""
    ranked = sorted((policy for policy in policies if policy.spec and not policy.deleting), key=standing)
    linux = sorted((node for node in nodes if node.linux), key=lambda node: node.name)
    matched: dict[str, list[str]] = {policy.name: [] for policy in ranked}
    seats: dict[str, dict[str, _Seat]] = {}
    offers = {policy.name: entries_of(policy) for policy in ranked}
    adjustments: dict[str, tuple[Entry, ...]] = {}
    for node in linux:
        asking: list[Policy] = []
        taken: dict[str, _Seat] = {}
        seats[node.name] = taken
        for policy in ranked:
            if policy.spec and selects(policy.spec.node_selector, node.labels):
                matched[policy.name].append(node.name)
                if not policy.spec.suspend:
                    asking.append(policy)
                    _claim(taken, policy=policy)
        adjustments[node.name] = lined_up(asking, offers=offers)
    defeats: dict[str, dict[Defeat, Tally]] = {}
    for taken in seats.values():
        for key, seat in taken.items():
            for loser in seat.losers:
                _record(defeats, loser=loser, key=key, holder=seat.holder)
    _unify_kernels(seats, boot_ids=boot_ids, defeats=defeats)
    return Resolution(
        desired={
            name: tuple(_entry(key, seat.holder) for key, seat in sorted(taken.items()))
            for name, taken in seats.items()
        },
        adjustments=adjustments,
        matched={name: tuple(names) for name, names in matched.items()},
        defeats=defeats,
    )


def _claim(taken: dict[str, _Seat], *, policy: Policy) -> None:
    """`policy` asks for its keys on a node; policies of higher standing have asked before."""
    assert policy.spec is not None
    for key in policy.spec.sysctls:
        seat = taken.get(key)
        if seat is None:
            taken[key] = _Seat(policy)
        elif policy.spec.mode == "Enforce" and not _enforces(seat.holder):
            seat.losers.append(seat.holder)
            seat.holder = policy
        else:
            seat.losers.append(policy)


def _unify_kernels(
    seats: Mapping[str, dict[str, _Seat]],
    *,
    boot_ids: Mapping[str, str],
    defeats: dict[str, dict[Defeat, Tally]],
) -> None:
    """Give nodes of one kernel one holder per enforced key: two agents that write one file would never
    stop."""
    kernels: dict[str, list[str]] = {}
    for node in seats:
        if boot_id := boot_ids.get(node):
            kernels.setdefault(boot_id, []).append(node)
    for siblings in kernels.values():
        if len(siblings) < 2:
            continue
        for key in sorted({key for node in siblings for key in seats[node]}):
            held = [
                seats[node][key]
                for node in siblings
                if key in seats[node] and _enforces(seats[node][key].holder)
            ]
            if not held:
                continue
            best = min((seat.holder for seat in held), key=standing)
            for seat in held:
                # The same value twice is no fight: each node keeps the policy that selects it.
                if _value(seat.holder, key) != _value(best, key):
                    _record(defeats, loser=seat.holder, key=key, holder=best, shared_kernel=True)
                    seat.holder = best


def _record(
    defeats: dict[str, dict[Defeat, Tally]],
    *,
    loser: Policy,
    key: str,
    holder: Policy,
    shared_kernel: bool = False,
) -> None:
    tally = defeats.setdefault(loser.name, {}).setdefault(Defeat(key, holder.name), Tally())
    tally.nodes += 1
    tally.differing += _value(loser, key) != _value(holder, key)
    tally.shared_kernel += shared_kernel


def _enforces(policy: Policy) -> bool:
    return policy.spec is not None and policy.spec.mode == "Enforce"


def _value(policy: Policy, key: str) -> int | None:
    return policy.spec.sysctls.get(key) if policy.spec else None


def _entry(key: str, policy: Policy) -> DesiredSysctl:
    assert policy.spec is not None
    return DesiredSysctl(
        name=key,
        value=policy.spec.sysctls[key],
        policy=policy.name,
        mode=str(policy.spec.mode),
        persistence=str(policy.spec.persistence),
        on_release=str(policy.spec.on_release),
        acknowledge=tuple(sorted(map(str, policy.spec.panic_safety.acknowledge))),
    )
