"""OOMNode.spec: what the controller writes, and which objects differ from it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from oomkeeper.model.names import API_VERSION
from oomkeeper.resources.oomnode import DesiredAdjustment, DesiredSysctl, OOMNodeSpec
from oomkeeper.resources.record import bounded, to_document

from .decode import decode_oomnode
from .objects import Node, OOMNodeState


class Plan(NamedTuple):
    """OOMNodes to write and to delete."""

    apply: Mapping[str, OOMNodeSpec]
    """Node -> spec, where its OOMNode is missing, differs, or belongs to an earlier Node of that name."""
    delete: tuple[OOMNodeState, ...]
    """OOMNodes whose Node was deleted or is no Linux node."""


def plan(
    *,
    nodes: Mapping[str, Node],
    oomnodes: Mapping[str, OOMNodeState],
    specs: Mapping[str, OOMNodeSpec],
) -> Plan:
    """Compare. `specs` holds every Linux node."""
    apply = {
        name: spec
        for name, spec in specs.items()
        if name in nodes and not up_to_date(oomnodes.get(name), node=nodes[name], spec=spec)
    }
    return Plan(apply=apply, delete=tuple(state for name, state in oomnodes.items() if name not in specs))


def node_spec(
    sysctls: tuple[DesiredSysctl, ...] = (),
    adjustments: tuple[DesiredAdjustment, ...] = (),
    *,
    host_kills: bool = True,
) -> OOMNodeSpec:
    """Return the spec within its bounds."""
    return bounded(OOMNodeSpec(sysctls=sysctls, oom_score_adjustments=adjustments, host_kills=host_kills))


def up_to_date(state: OOMNodeState | None, *, node: Node, spec: OOMNodeSpec) -> bool:
    """Return whether the OOMNode holds exactly this and belongs to this Node."""
    return state is not None and _holds(state, spec) and node.uid in state.owner_uids


def manifest(*, node: Node, spec: OOMNodeSpec) -> dict[str, Any]:
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
        "spec": to_document(spec),
    }


def spec_matches(obj: Mapping[str, Any], spec: OOMNodeSpec) -> bool:
    """Return whether the spec of an OOMNode object is exactly this."""
    return _holds(decode_oomnode(obj), spec)


def _holds(state: OOMNodeState, spec: OOMNodeSpec) -> bool:
    return state.spec == spec and not state.foreign


def replacement(spec: OOMNodeSpec) -> dict[str, Any]:
    """Return a merge patch that replaces the whole spec and all fields of other managers."""
    empty: dict[str, Any] = {"sysctls": [], "oomScoreAdjustments": None}
    return {"spec": empty | to_document(spec)}
