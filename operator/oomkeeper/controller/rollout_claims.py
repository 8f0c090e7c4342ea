"""What a policy sets on a node before and after its rollout reaches the node.

A node that is not reached yet keeps what its OOMNode.spec holds of the policy: nothing else remembers the
values of an earlier generation.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from oomkeeper.resources.oomnode import DesiredAdjustment, DesiredSysctl, OOMNodeSpec

PANIC_ON_OOM = "vm.panic_on_oom"


class Claims(NamedTuple):
    """What a policy sets on a node."""

    sysctls: tuple[DesiredSysctl, ...] = ()
    adjustments: tuple[DesiredAdjustment, ...] = ()


def is_reached(
    policy: str,
    *,
    holds: OOMNodeSpec,
    wanted: OOMNodeSpec,
    latest: Mapping[str, DesiredSysctl],
    claims: Callable[[str, str], bool],
    any_mode: bool,
) -> bool:
    """Return whether a node has been given the present values of a policy.

    `holds`: its OOMNode.spec; `wanted`: what it would hold if no rollout were under way; `latest`: every
    sysctl of the policy's present spec; `claims`: whether a policy (first) applies to the node and sets a
    sysctl (second); `any_mode`: the node shares its kernel, so the mode tells which node enforces.

    A sysctl that moves to another policy is the change of the policy that sets it from then on. Only if the
    earlier policy does not set it any more, the change is immediate: it was deleted, suspended or edited.
    """
    before = {entry.name: entry for entry in holds.sysctls}
    after = {entry.name: entry for entry in wanted.sysctls}
    for name, entry in before.items():
        if entry.policy != policy:
            continue
        target = latest.get(name)
        if _is_taken_back(name, target):
            continue
        if target is None:
            return False
        decided = after.get(name)
        if decided is not None and decided.policy == policy and not any_mode:
            target = decided
        elif entry.mode != target.mode:
            target = replace(target, mode=entry.mode)
        if entry != target:
            return False
    for name, entry in after.items():
        if entry.policy != policy:
            continue
        held = before.get(name)
        if held is None or (held.policy != policy and claims(held.policy, name)):
            return False
    return _of(policy, holds.oom_score_adjustments) == _of(policy, wanted.oom_score_adjustments)


def earlier_claims(
    policy: str, *, holds: OOMNodeSpec, latest: Mapping[str, DesiredSysctl], enforced: Iterable[str] = ()
) -> Claims:
    """Return what the node keeps of a policy until the rollout reaches it.

    `enforced`: sysctls that the policy enforces through another node of the same kernel. A vm.panic_on_oom
    that the present spec takes back is not kept: that never waits.
    """
    enforced = frozenset(enforced)
    sysctls = [
        replace(entry, mode="Enforce") if entry.name in enforced else entry
        for entry in holds.sysctls
        if entry.policy == policy
    ]
    target = latest.get(PANIC_ON_OOM)
    if _is_taken_back(PANIC_ON_OOM, target):
        kept = [entry for entry in sysctls if entry.name != PANIC_ON_OOM]
        if len(kept) < len(sysctls) and target is not None:
            kept.append(target)
        sysctls = kept
    return Claims(tuple(sysctls), _of(policy, holds.oom_score_adjustments))


def _is_taken_back(name: str, target: DesiredSysctl | None) -> bool:
    """Return whether a sysctl on a node changes to this immediately."""
    return name == PANIC_ON_OOM and (target is None or target.value == 0)


def _of(policy: str, entries: Iterable[DesiredAdjustment]) -> tuple[DesiredAdjustment, ...]:
    return tuple(entry for entry in entries if entry.policy == policy)
