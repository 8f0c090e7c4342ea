"""What a new or changed policy would set on each node. Pure: the controller's own resolution, once with the
present policies and once with the planned one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from oomkeeper.resources.oomnode import OOMNodeSpec

from . import shared_kernel
from .objects import Node, OOMNodeState, Policy
from .oomnode_spec import node_spec
from .panic_breaker import breaker_status, can_panic
from .precedence import Override, OverrideCount, Resolution, resolve
from .rollout import Member, in_order, max_nodes
from .rollouts import is_canary, is_limited

_ZONE_LABEL = "topology.kubernetes.io/zone"


class NodeChange(NamedTuple):
    """What a node would hold."""

    node: str
    before: OOMNodeSpec
    """When every present rollout is complete."""
    after: OOMNodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPlan:
    """The effect of a policy on what OOMNodes hold."""

    policy: Policy
    matched: tuple[str, ...]
    """Linux nodes that it would select."""
    changes: tuple[NodeChange, ...]
    """Nodes that would hold something else than now."""
    overrides: Mapping[Override, OverrideCount]
    """Its sysctls that another policy decides."""
    batch_nodes: int | None
    """Nodes that change at the same time; None: all of them."""
    first: tuple[str, ...]
    """The nodes of the first batch."""


def plan_policy(
    planned: Policy,
    *,
    policies: Iterable[Policy],
    nodes: Mapping[str, Node],
    oomnodes: Mapping[str, OOMNodeState],
    now: float,
) -> PolicyPlan:
    """Compare the resolution with and without the planned policy, which replaces one of its name among
    `policies`."""
    present = {name: state.spec for name, state in oomnodes.items()}
    boot_ids = shared_kernel.boot_ids(nodes, oomnodes)

    def resolved(with_these: Iterable[Policy]) -> Resolution:
        broken = [_with_breaker(policy, now=now) for policy in with_these]
        return resolve(policies=broken, nodes=nodes.values(), boot_ids=boot_ids, present=present)

    listed = list(policies)
    without = resolved(listed)
    with_it = resolved([*(policy for policy in listed if policy.name != planned.name), planned])
    changes = [
        NodeChange(name, before, after)
        for name in with_it.desired
        if (before := _spec(without, name)) != (after := _spec(with_it, name))
    ]
    matched = with_it.matched.get(planned.name, ())
    batch, first = None, tuple[str, ...]()
    if is_limited(planned) and planned.spec is not None:
        batch = max_nodes(planned.spec.rollout.max_concurrent, total=len(matched))
        changing = {change.node for change in changes}
        members = [
            Member(name, nodes[name].labels.get(_ZONE_LABEL, ""), boot_ids.get(name, name), False, False, "")
            for name in matched
            if name in changing
        ]
        ordered = [member.node for unit in in_order(members) for member in unit]
        canaries = [name for name in ordered if is_canary(planned, nodes[name].labels)]
        first = tuple((canaries or ordered)[:batch])
    return PolicyPlan(
        policy=planned,
        matched=matched,
        changes=tuple(changes),
        overrides=with_it.overrides.get(planned.name, {}),
        batch_nodes=batch,
        first=first,
    )


def _with_breaker(policy: Policy, *, now: float) -> Policy:
    """Return the policy with its panic breaker, as the controller would have it."""
    if not can_panic(policy):
        return policy
    before = policy.status.panic_breaker if policy.status is not None else None
    if before is None:
        # Its time must not make a difference between the two resolutions.
        return policy
    return replace(policy, breaker=breaker_status(policy, before=before, panics=(), now=now))


def _spec(resolution: Resolution, name: str) -> OOMNodeSpec:
    return node_spec(resolution.desired.get(name, ()), resolution.adjustments.get(name, ()))
