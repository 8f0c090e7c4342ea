"""Cordon a node that panicked, until it was up for a while (panicSafety.cordon).

Who cordoned is in the Node: the controller owns spec.unschedulable in metadata.managedFields exactly as long
as its own cordon is in force. `kubectl uncordon` takes that ownership away, and one who cordons the
node as well keeps theirs when the controller releases its own. So a person's cordon is never removed
(docs/decisions/113-cordons-are-owned-fields.md). The annotation names the last panic that was dealt with, so
no panic cordons twice.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from oomkeeper.model.names import PANIC_CORDON_ANNOTATION
from oomkeeper.model.times import format_time, parse_time

from .cache import ClusterCache
from .event_objects import ClusterEvent, Subject
from .objects import Node, OOMNodeState, Policy, selects
from .panic_breaker import can_panic


class NodeCordon(NamedTuple):
    """What a Node should hold of the controller's fields."""

    node: Node
    unschedulable: bool
    note: str
    """Value of the annotation: policy, and time of the panic."""
    event: ClusterEvent | None


def asks_for_cordons(policy: Policy) -> bool:
    """Return whether nodes of the policy are cordoned after a panic."""
    return policy.spec is not None and policy.spec.panic_safety.cordon and can_panic(policy)


def cordons(cache: ClusterCache, *, policies: Iterable[Policy], now: float) -> Iterator[NodeCordon]:
    """Yield each Node whose cordon should change. `policies`: with their breakers; `now`: seconds since the
    epoch."""
    asking = [policy for policy in policies if asks_for_cordons(policy) and policy.breaker is not None]
    for name, state in cache.oomnodes.items():
        node = cache.nodes.get(name)
        if node is None or not (node.cordoned_by_us or (asking and state.recent_panics)):
            continue
        mine = [policy for policy in asking if node.linux and selects(_selector(policy), node.labels)]
        change = _change(node, state, mine, now=now)
        if change is not None:
            yield change


def _change(node: Node, state: OOMNodeState, policies: list[Policy], *, now: float) -> NodeCordon | None:
    handled = node.cordon_note or ""
    handled_at = parse_time(handled.rpartition(" ")[2]) or 0.0
    panic, policy = max(
        (
            (when, policy.name)
            for policy in policies
            for when in state.recent_panics
            if when >= _since(policy)
        ),
        default=(0.0, ""),
    )
    is_new = int(panic) > handled_at
    soak_seconds = max((_soak_seconds(policy) for policy in policies), default=0)
    # A time in the future is of a wrong clock, and would prolong the cordon.
    starts = [when for when in (node.ready_since, panic, handled_at) if when is not None and when <= now]
    up_for = now - max(starts, default=now) if node.ready else -1.0
    soaks = bool(policies) and up_for < soak_seconds
    note = f"{policy} {format_time(panic)}" if is_new else handled
    if node.cordoned_by_us:
        if soaks:
            return NodeCordon(node, True, note, None) if is_new else None
        message = f"uncordoned: up for {soak_seconds} s after an OOM panic" if policies else "uncordoned"
        return NodeCordon(node, False, note, _event(state, "NodeUncordoned", message))
    if not is_new:
        return None
    if node.unschedulable or not soaks:
        # Another's cordon, or it is over: only noted.
        return NodeCordon(node, False, note, None)
    message = f"cordoned after an OOM panic until it was up for {soak_seconds} s, as policy {policy} asks"
    return NodeCordon(node, True, note, _event(state, "NodeCordoned", message))


def manifest(cordon: NodeCordon) -> dict[str, Any]:
    """Return what the controller applies to the Node: all that it owns there. The uid keeps apply from making
    a Node that was deleted."""
    node: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": cordon.node.name,
            "uid": cordon.node.uid,
            "annotations": {PANIC_CORDON_ANNOTATION: cordon.note},
        },
    }
    if cordon.unschedulable:
        node["spec"] = {"unschedulable": True}
    return node


def _event(state: OOMNodeState, reason: str, message: str) -> ClusterEvent:
    subject = Subject("OOMNode", state.name, state.uid)
    return ClusterEvent(subject, reason.lower(), "Normal", reason, message)


def _selector(policy: Policy) -> Any:
    return policy.spec.node_selector if policy.spec is not None else None


def _soak_seconds(policy: Policy) -> int:
    return policy.spec.rollout.soak_seconds if policy.spec is not None else 0


def _since(policy: Policy) -> float:
    """Return the time from which panics count for the policy."""
    return (parse_time(policy.breaker.counted_from) if policy.breaker else None) or 0.0
