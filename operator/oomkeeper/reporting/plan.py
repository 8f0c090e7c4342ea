"""A plan: what a policy would change, grouped by nodes where that is equal; and as a JSON record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oomkeeper.model.json_types import JsonDocument
from oomkeeper.model.policy import AdjustmentState, SysctlState
from oomkeeper.resources.oomnode import NodePlan, PlannedAdjustment, PlannedSysctl
from oomkeeper.resources.record import to_document

_REFUSED = (SysctlState.REFUSED, SysctlState.UNSUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What would happen on one node."""

    node: str
    plan: NodePlan
    unanswered: str | None = None
    """Why the agent did not answer: `plan` then has only what the API server knows."""

    @property
    def changes(self) -> bool:
        """Whether a value would change."""
        return (
            any(one.before != one.after for one in self.plan.sysctls)
            or any(
                one.changing and one.state in (AdjustmentState.IN_SYNC, AdjustmentState.PENDING)
                for one in self.plan.oom_score_adjustments
            )
            or self.plan.restored_processes > 0
        )

    @property
    def refuses(self) -> bool:
        """Whether the node would not apply something."""
        return any(map(is_refused, self.plan.sysctls)) or any(
            one.state == AdjustmentState.REFUSED for one in self.plan.oom_score_adjustments
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Nodes on which the same would happen. Counts of processes are sums; lists of processes are of the first
    node."""

    nodes: tuple[str, ...]
    plan: NodePlan
    unanswered: str | None
    adjustments: tuple[PlannedAdjustment, ...]
    restored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole plan."""

    policy: str
    target: str
    """Where it would be applied: the cluster's nodes, or this host."""
    selected: int
    results: Sequence[NodeResult]
    """Of the nodes that would hold something else."""
    batch_nodes: int | None = None
    first: tuple[str, ...] = ()
    soak_seconds: int = 0
    overridden: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Sysctl -> policy that decides it, and on how many nodes."""
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether a value would change on a node."""
        return any(result.changes for result in self.results)

    @property
    def refuses(self) -> bool:
        """Whether a node would not apply something."""
        return any(result.refuses for result in self.results)


def is_refused(sysctl: PlannedSysctl) -> bool:
    """Return whether the node would not apply the value."""
    return sysctl.state in _REFUSED or (sysctl.reason is not None and sysctl.before == sysctl.after)


def groups(results: Sequence[NodeResult]) -> list[Group]:
    """Return the nodes grouped by what would happen to them, the largest group first."""
    found: dict[object, list[NodeResult]] = {}
    for result in results:
        found.setdefault(_key(result), []).append(result)
    made = []
    for members in found.values():
        first = members[0].plan
        made.append(
            Group(
                nodes=tuple(member.node for member in members),
                plan=first,
                unanswered=members[0].unanswered,
                adjustments=_summed([member.plan.oom_score_adjustments for member in members]),
                restored=sum(member.plan.restored_processes for member in members),
            )
        )
    return sorted(made, key=lambda group: (-len(group.nodes), group.nodes))


def _key(result: NodeResult) -> object:
    plan = result.plan
    adjustments = tuple((one.policy, one.name, one.state, one.reason) for one in plan.oom_score_adjustments)
    return plan.sysctls, adjustments, plan.choice_before, plan.choice_after, plan.problem, result.unanswered


def _summed(lists: Sequence[Sequence[PlannedAdjustment]]) -> tuple[PlannedAdjustment, ...]:
    return tuple(
        PlannedAdjustment(
            policy=same[0].policy,
            name=same[0].name,
            selected=sum(one.selected for one in same),
            changing=sum(one.changing for one in same),
            overridden=sum(one.overridden for one in same),
            state=same[0].state,
            reason=same[0].reason,
            message=same[0].message,
        )
        for same in zip(*lists, strict=True)
    )


def plan_record(plan: Plan) -> JsonDocument:
    """Return the plan as a JSON document: every node by itself."""
    nodes = []
    for result in plan.results:
        document = to_document(result.plan)
        for key in ("id", "expires"):
            document.pop(key, None)
        document = {"node": result.node, **document}
        if result.unanswered is not None:
            document["unanswered"] = result.unanswered
        nodes.append(document)
    return {
        "policy": plan.policy,
        "target": plan.target,
        "selectedNodes": plan.selected,
        "changes": plan.changes,
        "refusals": plan.refuses,
        "rollout": {
            "batchNodes": plan.batch_nodes,
            "firstBatch": list(plan.first),
            "soakSeconds": plan.soak_seconds,
        },
        "overridden": [
            {"sysctl": sysctl, "by": by, "nodes": nodes} for sysctl, (by, nodes) in plan.overridden.items()
        ],
        "notes": list(plan.notes),
        "nodes": nodes,
    }
