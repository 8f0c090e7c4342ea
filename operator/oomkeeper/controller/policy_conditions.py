"""Conditions of an OOMPolicy: Ready, Progressing, Degraded, Conflicted; Reconciling or Stalled during a
rollout; and UnknownFields as a warning.

Reconciling and Stalled are the conditions of kstatus, by which Flux and other tools decide whether to wait
(sigs.k8s.io/cli-utils pkg/kstatus): present only while True, and never both.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from oomkeeper.model.policy import RolloutPhase
from oomkeeper.resources.oompolicy import PanicBreakerStatus, RolloutStatus

from .conditions import Condition
from .node_result import NodeResult
from .objects import Policy
from .panic_breaker import reset_command
from .precedence import Override, OverrideCount

_FAILED = ("Refused", "Unsupported", "Drifted", "AgentSilent", "Unreachable", "Unmanaged")
WORST_FIRST = (*_FAILED, "Overridden", "Pending")
_NAMED_OVERRIDES = 3


def policy_conditions(
    policy: Policy,
    *,
    matched: int,
    failing: Sequence[NodeResult],
    overrides: Mapping[Override, OverrideCount],
    overridden_entries: Sequence[str],
    rollout: RolloutStatus | None = None,
    breaker: PanicBreakerStatus | None = None,
    cordons_nodes: bool = False,
) -> list[Condition]:
    """Return the conditions.

    `matched`: nodes that the policy selects; `failing`: results on those that are not in sync;
    `overridden_entries`: oom_score_adj entries that lose to other policies; `rollout`: how far it is, if
    changes of the policy are limited; `breaker`: the panic breaker, if the policy can panic nodes;
    `cordons_nodes`: whether the controller may cordon Nodes.
    """
    listed = _main_conditions(policy, matched, failing, overrides, overridden_entries, rollout)
    if breaker is not None and breaker.tripped:
        listed = _tripped(policy, breaker, listed)
    return [
        *listed,
        *_not_cordoning(policy, cordons_nodes=cordons_nodes),
        *_unknown_fields(policy),
    ]


def _main_conditions(
    policy: Policy,
    matched: int,
    failing: Sequence[NodeResult],
    overrides: Mapping[Override, OverrideCount],
    overridden_entries: Sequence[str],
    rollout: RolloutStatus | None,
) -> list[Condition]:
    if policy.invalid is not None:
        stays = (
            f"generation {policy.spec_generation} stays in force"
            if policy.spec is not None
            else "nodes keep the values that they have"
        )
        waiting = f"{stays} until the spec is fixed"
        return [
            Condition("Ready", False, "InvalidSpec", f"{policy.invalid}; {waiting}"),
            Condition("Progressing", False, "InvalidSpec", waiting),
            Condition("Degraded", True, "InvalidSpec", f"{policy.invalid}; {waiting}"),
            _conflicted(overrides, overridden_entries),
        ]
    if policy.spec is not None and policy.spec.suspend:
        suspended = "spec.suspend is true: the policy applies to no node"
        return [
            Condition("Ready", False, "Suspended", suspended),
            Condition("Progressing", False, "Suspended", suspended),
            Condition("Degraded", False, "Suspended", suspended),
            Condition("Conflicted", False, "Suspended", suspended),
        ]
    counts = Counter(result.state for result in failing)
    rolls_out = rollout is not None and rollout.phase != RolloutPhase.COMPLETE
    return [
        *(_rollout(rollout) if rollout and rolls_out else [_ready(matched, counts), _progressing(counts)]),
        _degraded(policy, failing, counts),
        _conflicted(overrides, overridden_entries),
    ]


def _tripped(policy: Policy, breaker: PanicBreakerStatus, listed: Sequence[Condition]) -> list[Condition]:
    """Return the conditions with a breaker that has tripped: it outweighs a rollout."""
    panics = "1 OOM panic" if breaker.panics == 1 else f"{breaker.panics} OOM panics"
    window = policy.spec.panic_safety.window if policy.spec else ""
    message = (
        f"{panics} within {window}: vm.panic_on_oom is set to 0 on every node of the policy until it is "
        f"reset: {reset_command(policy, breaker)}"
    )
    reason = "PanicBreakerTripped"
    others = [one for one in listed if one.type not in ("Ready", "Reconciling", "Stalled")]
    return [
        Condition("Ready", False, reason, message),
        *others,
        Condition("Stalled", True, reason, message),
        Condition("PanicBreaker", True, reason, message),
    ]


def _rollout(rollout: RolloutStatus) -> list[Condition]:
    """Return Ready, Progressing, and Reconciling or Stalled during a rollout."""
    message = f"{rollout.updated} of {rollout.total} nodes have the new values; {rollout.message}"
    if rollout.phase == RolloutPhase.HALTED:
        reason, last = "RolloutHalted", Condition("Stalled", True, "RolloutHalted", message)
    else:
        paused = rollout.phase == RolloutPhase.PAUSED
        reason = "RolloutPaused" if paused else "RolloutInProgress"
        last = Condition("Reconciling", True, reason, message)
    moves = rollout.phase in (RolloutPhase.PROGRESSING, RolloutPhase.SOAKING)
    return [
        Condition("Ready", False, reason, message),
        Condition("Progressing", moves, reason, message),
        last,
    ]


def _ready(matched: int, counts: Counter[str]) -> Condition:
    in_sync = matched - counts.total()
    if not matched:
        return Condition("Ready", True, "NoNodesMatch", "spec.nodeSelector selects no Linux node")
    message = f"every value is in force on {in_sync} of {matched} nodes"
    if in_sync == matched:
        return Condition("Ready", True, "InSync", message)
    worst = next(state for state in WORST_FIRST if counts[state])
    return Condition("Ready", False, f"Nodes{worst}", message)


def _progressing(counts: Counter[str]) -> Condition:
    if counts["Pending"]:
        message = f"{_nodes(counts['Pending'])} not reported on the latest spec yet"
        return Condition("Progressing", True, "WaitingForAgents", message)
    return Condition("Progressing", False, "UpToDate", "every agent has reported on the latest spec")


def _degraded(policy: Policy, failing: Sequence[NodeResult], counts: Counter[str]) -> Condition:
    audits = policy.spec is not None and policy.spec.mode == "Audit"
    # A difference is what an auditing policy is there to find.
    states = [state for state in _FAILED if counts[state] and not (audits and state == "Drifted")]
    if not states:
        return Condition("Degraded", False, "AsExpected", "no node failed to apply the policy")
    first = min((result for result in failing if result.state == states[0]), key=lambda found: found.node)
    number = "1 node" if counts[states[0]] == 1 else f"{counts[states[0]]} nodes"
    return Condition("Degraded", True, f"Nodes{states[0]}", f"{number}; {first.node}: {first.message}")


def _conflicted(overrides: Mapping[Override, OverrideCount], entries: Sequence[str]) -> Condition:
    if shared := sorted(override for override, count in overrides.items() if count.shared_kernel):
        message = f"nodes that share a kernel cannot differ; another policy decides {_named(shared)}"
        return Condition("Conflicted", True, "SharedKernel", message)
    if differing := sorted(override for override, count in overrides.items() if count.differing):
        message = f"another policy sets a different value: {_named(differing)}"
        return Condition("Conflicted", True, "Overridden", message)
    if entries:
        message = f"another policy decides for processes of oomScoreAdjustments {'; '.join(entries)}"
        return Condition("Conflicted", True, "Overridden", message)
    return Condition("Conflicted", False, "NoConflict", "no other policy sets a different value")


def _not_cordoning(policy: Policy, *, cordons_nodes: bool) -> list[Condition]:
    """Return a warning if the policy asks for cordons that the controller may not set."""
    if cordons_nodes or policy.spec is None or not policy.spec.panic_safety.cordon:
        return []
    message = (
        "panicSafety.cordon has no effect: this controller runs without --cordon-nodes (chart value "
        "controller.cordonNodes)"
    )
    return [Condition("CordonsNodes", False, "NotEnabled", message)]


def _unknown_fields(policy: Policy) -> list[Condition]:
    """Return a warning if the spec holds fields of a newer version, else nothing."""
    if not policy.unknown_fields:
        return []
    fields = ", ".join(policy.unknown_fields)
    message = f"ignored, because this version of oomkeeper does not know them: {fields}"
    return [Condition("UnknownFields", True, "Ignored", message)]


def _nodes(number: int) -> str:
    return "1 node has" if number == 1 else f"{number} nodes have"


def _named(overrides: Sequence[Override]) -> str:
    named = ", ".join(f"{override.sysctl} (by {override.by})" for override in overrides[:_NAMED_OVERRIDES])
    more = len(overrides) - _NAMED_OVERRIDES
    return named if more <= 0 else f"{named} and {more} more"
