"""The panic breaker: too many OOM panics on the nodes of a policy set vm.panic_on_oom to 0 on all of them.

The agents report the panics of their nodes after the reboot. What was decided is in
OOMPolicy.status.panicBreaker and stays until a person resets it. Each node applies the same limit to its own
panics, also while the API server is unreachable (agent/panic_breaker.py).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from oomkeeper.model.names import PANIC_BREAKER_ANNOTATION
from oomkeeper.model.policy import Mode
from oomkeeper.model.times import duration_seconds, format_time, parse_time
from oomkeeper.resources.oomnode import PanicLimit
from oomkeeper.resources.oompolicy import PanicBreakerStatus
from oomkeeper.resources.record import max_length

from .cache import ClusterCache
from .objects import Policy, selects
from .rollout_claims import PANIC_ON_OOM

RESET = "reset"
"""Value of the annotation. It may have any suffix: only a value that was not read before resets."""
_REQUEST_LENGTH = max_length(PanicBreakerStatus, "request")


class BreakerChange(NamedTuple):
    """A breaker that has tripped, was reset, or is new."""

    policy: Policy
    before: PanicBreakerStatus | None
    after: PanicBreakerStatus | None


def can_panic(policy: Policy) -> bool:
    """Return whether the policy makes nodes panic."""
    spec = policy.spec
    if spec is None or policy.deleting or spec.suspend or spec.mode != Mode.ENFORCE:
        return False
    return spec.sysctls.get(PANIC_ON_OOM, 0) > 0


def breaker_status(
    policy: Policy, *, before: PanicBreakerStatus | None, panics: Iterable[float], now: float
) -> PanicBreakerStatus:
    """Return the state of the breaker of a policy that can panic nodes.

    `before`: as decided last; `panics`: times of the OOM panics of its nodes; `now`: seconds since the epoch.
    """
    assert policy.spec is not None
    request = policy.breaker_request[:_REQUEST_LENGTH] if policy.breaker_request else None
    if before is not None and before.tripped and not _is_reset(policy, before, request=request):
        return PanicBreakerStatus(
            generation=before.generation,
            tripped=True,
            tripped_at=before.tripped_at,
            panics=before.panics,
            counted_from=before.counted_from,
            request=request,
        )
    # A reset forgets the panics that led to it. Rounded up: none of them may trip it again.
    counted_from = before.counted_from if before and not before.tripped else format_time(math.ceil(now))
    start, window = parse_time(counted_from) or 0.0, duration_seconds(policy.spec.panic_safety.window)
    count = sum(time >= start and now - time <= window for time in panics)
    tripped = count > policy.spec.panic_safety.max_panics
    return PanicBreakerStatus(
        generation=policy.spec_generation,
        tripped=tripped,
        tripped_at=format_time(now) if tripped else None,
        panics=count,
        counted_from=counted_from,
        request=request,
    )


def _is_reset(policy: Policy, before: PanicBreakerStatus, *, request: str | None) -> bool:
    if before.generation != policy.spec_generation:
        return True
    return (request or "").startswith(RESET) and request != before.request


def reset_command(policy: Policy, breaker: PanicBreakerStatus) -> str:
    """Return the command that resets a breaker that has tripped."""
    value = RESET if not (policy.breaker_request or "").startswith(RESET) else f"{RESET}-{breaker.tripped_at}"
    return f"kubectl annotate oompolicy {policy.name} {PANIC_BREAKER_ANNOTATION}={value} --overwrite"


def panic_limit(policy: Policy) -> PanicLimit | None:
    """Return the limit that each node applies to its own panics; None where the policy panics no node."""
    breaker = policy.breaker
    if policy.spec is None or breaker is None or breaker.tripped:
        return None
    return PanicLimit(
        max_panics=policy.spec.panic_safety.max_panics,
        window_seconds=duration_seconds(policy.spec.panic_safety.window),
        counted_from=breaker.counted_from,
    )


class PanicBreakers:
    """The breakers of all policies."""

    def __init__(self, cache: ClusterCache) -> None:
        self._cache = cache
        self._statuses: dict[str, PanicBreakerStatus] = {}
        """By uid of the policy, as decided last."""

    def look(self, *, now: float) -> Iterator[BreakerChange]:
        """Decide every breaker; yield those that change what the nodes should hold."""
        present: dict[str, PanicBreakerStatus] = {}
        for policy in list(self._cache.policies.values()):
            if not can_panic(policy):
                continue
            known = self._statuses.get(policy.uid)
            before = known or (policy.status.panic_breaker if policy.status else None)
            after = breaker_status(policy, before=before, panics=self._panics(policy), now=now)
            present[policy.uid] = after
            if known is None or _effect(known) != _effect(after) or known.panics != after.panics:
                yield BreakerChange(policy, before, after)
        self._statuses = present

    def _panics(self, policy: Policy) -> Iterator[float]:
        assert policy.spec is not None
        for name, state in self._cache.oomnodes.items():
            node = self._cache.nodes.get(name) if state.recent_panics else None
            if node is not None and node.linux and selects(policy.spec.node_selector, node.labels):
                yield from state.recent_panics

    def status(self, policy: Policy) -> PanicBreakerStatus | None:
        """Return the breaker of a policy; None where it panics no node."""
        return self._statuses.get(policy.uid)

    def policies(self) -> Mapping[str, Policy]:
        """Return all policies, each with its breaker."""
        return {
            name: replace(policy, breaker=breaker) if (breaker := self._statuses.get(policy.uid)) else policy
            for name, policy in self._cache.policies.items()
        }


def _effect(status: PanicBreakerStatus) -> object:
    return status.tripped, status.counted_from, status.generation, status.request
