"""The OOMNode objects that should be there, against those that are."""

from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

from oomkeeper.model.names import API_VERSION

from .reading import read_node_state
from .records import DesiredSysctl, Node, NodeState

Adjustments = tuple[Mapping[str, Any], ...]
"""OOMNode.spec.oomScoreAdjustments, by standing."""


class Plan(NamedTuple):
    """What to do about the OOMNodes."""

    apply: tuple[str, ...]
    """Nodes whose OOMNode is missing, says something else, or belongs to an earlier Node of that name."""
    delete: tuple[NodeState, ...]
    """OOMNodes whose Node is gone or no Linux node."""


def plan(
    *,
    nodes: Mapping[str, Node],
    states: Mapping[str, NodeState],
    desired: Mapping[str, tuple[DesiredSysctl, ...]],
    adjustments: Mapping[str, Adjustments],
    witnesses: Container[str],
) -> Plan:
    """Compare. `desired` has every Linux node; `witnesses` those that publish the host's kills."""
    return Plan(
        apply=tuple(
            name
            for name, sysctls in desired.items()
            if name in nodes
            and not up_to_date(
                states.get(name),
                node=nodes[name],
                sysctls=sysctls,
                adjustments=adjustments.get(name, ()),
                host_kills=name in witnesses,
            )
        ),
        delete=tuple(state for name, state in states.items() if name not in desired),
    )


def host_witnesses(nodes: Iterable[str], *, boot_ids: Mapping[str, str]) -> frozenset[str]:
    """The nodes that publish kills in no node's own cgroups: of those that share a kernel, the first by name.

    A node whose kernel is not known yet is taken to have one of its own.
    """
    first: dict[str, str] = {}
    for name in sorted(nodes):
        first.setdefault(boot_ids.get(name, f"node/{name}"), name)
    return frozenset(first.values())


def up_to_date(
    state: NodeState | None,
    *,
    node: Node,
    sysctls: tuple[DesiredSysctl, ...],
    adjustments: Adjustments = (),
    host_kills: bool = True,
) -> bool:
    """Whether the OOMNode says what it should, and nothing else."""
    return (
        state is not None
        and state.sysctls == sysctls
        and state.adjustments == adjustments
        and state.host_kills == host_kills
        and not state.extras
        and node.uid in state.owner_uids
    )


def manifest(
    *,
    node: Node,
    sysctls: Iterable[DesiredSysctl],
    adjustments: Adjustments = (),
    host_kills: bool = True,
) -> dict[str, Any]:
    """The controller's part of an OOMNode, for server-side apply.

    The owner makes the garbage collector remove it with the Node; without blockOwnerDeletion, for nobody
    should wait for it.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": "OOMNode",
        "metadata": {
            "name": node.name,
            "labels": {"app.kubernetes.io/managed-by": "oomkeeper"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}],
        },
        "spec": {
            "sysctls": entries(sysctls),
            "hostKills": host_kills,
            **({"oomScoreAdjustments": list(adjustments)} if adjustments else {}),
        },
    }


def entries(sysctls: Iterable[DesiredSysctl]) -> list[dict[str, Any]]:
    """OOMNode.spec.sysctls."""
    return [
        {
            "name": entry.name,
            "value": entry.value,
            "policy": entry.policy,
            "mode": entry.mode,
            "persistence": entry.persistence,
            "onRelease": entry.on_release,
            "acknowledge": list(entry.acknowledge),
        }
        for entry in sysctls
    ]


def says(
    obj: Mapping[str, Any],
    *,
    sysctls: tuple[DesiredSysctl, ...],
    adjustments: Adjustments = (),
    host_kills: bool = True,
) -> bool:
    """Whether an OOMNode's spec is exactly this."""
    state = read_node_state(obj)
    return (
        state.sysctls == sysctls
        and state.adjustments == adjustments
        and state.host_kills == host_kills
        and not state.extras
    )


def replacement(
    sysctls: Iterable[DesiredSysctl], *, adjustments: Adjustments = (), host_kills: bool = True
) -> dict[str, Any]:
    """A merge patch that puts the spec right, whoever wrote into it."""
    return {
        "spec": {
            "sysctls": entries(sysctls),
            "hostKills": host_kills,
            "oomScoreAdjustments": list(adjustments) or None,
        }
    }
