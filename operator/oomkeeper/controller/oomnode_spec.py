"""OOMNode.spec: what the controller writes, and which objects differ from it."""

from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

from oomkeeper.model.names import API_VERSION

from .decode import decode_oomnode
from .objects import DesiredSysctl, Node, OOMNodeState

Adjustments = tuple[Mapping[str, Any], ...]
"""OOMNode.spec.oomScoreAdjustments, in order of precedence."""


class Plan(NamedTuple):
    """OOMNodes to write and to delete."""

    apply: tuple[str, ...]
    """Nodes whose OOMNode is missing, differs, or belongs to an earlier Node of that name."""
    delete: tuple[OOMNodeState, ...]
    """OOMNodes whose Node was deleted or is no Linux node."""


def plan(
    *,
    nodes: Mapping[str, Node],
    oomnodes: Mapping[str, OOMNodeState],
    desired: Mapping[str, tuple[DesiredSysctl, ...]],
    adjustments: Mapping[str, Adjustments],
    host_kill_nodes: Container[str],
) -> Plan:
    """Compare. `desired` holds every Linux node; `host_kill_nodes`: those whose agents publish host kills."""
    return Plan(
        apply=tuple(
            name
            for name, sysctls in desired.items()
            if name in nodes
            and not up_to_date(
                oomnodes.get(name),
                node=nodes[name],
                sysctls=sysctls,
                adjustments=adjustments.get(name, ()),
                host_kills=name in host_kill_nodes,
            )
        ),
        delete=tuple(state for name, state in oomnodes.items() if name not in desired),
    )


def up_to_date(
    state: OOMNodeState | None,
    *,
    node: Node,
    sysctls: tuple[DesiredSysctl, ...],
    adjustments: Adjustments = (),
    host_kills: bool = True,
) -> bool:
    """Return whether the OOMNode holds exactly this and belongs to this Node."""
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
    """Return the controller's part of an OOMNode, for server-side apply.

    The garbage collector deletes it with its owner, the Node; without blockOwnerDeletion the Node's deletion
    does not wait for it.
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
    """Return OOMNode.spec.sysctls."""
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


def spec_matches(
    obj: Mapping[str, Any],
    *,
    sysctls: tuple[DesiredSysctl, ...],
    adjustments: Adjustments = (),
    host_kills: bool = True,
) -> bool:
    """Return whether an OOMNode's spec is exactly this."""
    state = decode_oomnode(obj)
    return (
        state.sysctls == sysctls
        and state.adjustments == adjustments
        and state.host_kills == host_kills
        and not state.extras
    )


def replacement(
    sysctls: Iterable[DesiredSysctl], *, adjustments: Adjustments = (), host_kills: bool = True
) -> dict[str, Any]:
    """Return a merge patch that replaces the whole spec, whoever wrote to it."""
    return {
        "spec": {
            "sysctls": entries(sysctls),
            "hostKills": host_kills,
            "oomScoreAdjustments": list(adjustments) or None,
        }
    }
