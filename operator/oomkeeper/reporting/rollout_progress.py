"""How far the rollout of one OOMPolicy is, for people and for an exit status."""

from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import JsonDocument
from oomkeeper.model.policy import RolloutPhase
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oompolicy import NodeCounts, OOMPolicyStatus, RolloutStatus
from oomkeeper.resources.record import read_part

_BROKEN = ("refused", "unsupported", "drifted")
"""Counts of nodes on which the new values are not in force, although the nodes and their agents work."""
_AWAY = ("unreachable", "agent_silent", "unmanaged")
_WORDS = {
    "refused": "refuse a value",
    "unsupported": "do not have a setting",
    "drifted": "have another value",
    "unreachable": "are not Ready",
    "agent_silent": "have an agent that does not work",
    "unmanaged": "have no agent",
}


class Progress(NamedTuple):
    """One state of a rollout."""

    line: str
    """One sentence."""
    ended: bool = False
    """Whether nothing more happens by itself."""
    failed: bool = False


def progress_of(obj: JsonDocument) -> Progress:
    """Return the progress of a policy as the API server answers it."""
    meta = read_part(ObjectMeta, obj.get("metadata"))[0] or ObjectMeta()
    status = read_part(OOMPolicyStatus, obj.get("status") or {})[0] or OOMPolicyStatus()
    name = printable(meta.name or "")
    if meta.deletion_timestamp is not None:
        return Progress(f"policy {name} is being deleted", ended=True, failed=True)
    if (status.observed_generation or 0) < (meta.generation or 0):
        return Progress(f"generation {meta.generation}: waiting for the controller to read it")
    ready = next((one for one in status.conditions if one.type == "Ready"), None)
    if ready is not None and ready.reason in ("InvalidSpec", "PanicBreakerTripped"):
        return Progress(f"{ready.reason}: {printable(ready.message)}", ended=True, failed=True)
    rollout = status.rollout
    if rollout is None:
        return Progress(f"policy {name} is suspended: nothing is rolled out", ended=True)
    return _of(rollout, status.nodes or NodeCounts())


def _of(rollout: RolloutStatus, nodes: NodeCounts) -> Progress:
    head = f"generation {rollout.generation}: {rollout.phase}, {rollout.progress} nodes"
    if rollout.phase != RolloutPhase.COMPLETE:
        line = f"{head}: {printable(rollout.message)}"
        halted = rollout.phase == RolloutPhase.HALTED
        return Progress(line, ended=halted, failed=halted)
    counts = {name: getattr(nodes, name) for name in (*_BROKEN, *_AWAY)}
    other = [f"{count} {_WORDS[name]}" for name, count in counts.items() if count]
    line = f"{head}{': ' + ', '.join(other) if other else ' have the values'}"
    return Progress(line, ended=True, failed=any(counts[name] for name in _BROKEN))
