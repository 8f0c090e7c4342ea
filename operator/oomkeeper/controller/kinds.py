"""The kinds that the controller follows, and how each becomes a record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oomkeeper.model.names import GROUP, VERSION
from oomkeeper.reporting.incident import Incident, read_incident

from .reading import read_namespace, read_node, read_node_state, read_policy, read_report
from .records import Namespace, Node, NodeState, Policy, Report

Record = Policy | Node | NodeState | Report | Namespace | Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind."""

    name: str
    group: str
    """Empty for core."""
    version: str
    plural: str
    read: Callable[[Mapping[str, Any]], Record]

    @property
    def root(self) -> str:
        """Path of the whole collection."""
        return (
            f"/apis/{self.group}/{self.version}/{self.plural}"
            if self.group
            else f"/api/{self.version}/{self.plural}"
        )

    def path(self, *, name: str, namespace: str) -> str:
        """Path of one object of a namespaced kind."""
        return self.root.removesuffix(self.plural) + f"namespaces/{namespace}/{self.plural}/{name}"

    @property
    def api_version(self) -> str:
        """As in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version


POLICY = Kind(name="OOMPolicy", group=GROUP, version=VERSION, plural="oompolicies", read=read_policy)
OOM_NODE = Kind(name="OOMNode", group=GROUP, version=VERSION, plural="oomnodes", read=read_node_state)
INCIDENT = Kind(name="OOMIncident", group=GROUP, version=VERSION, plural="oomincidents", read=read_incident)
REPORT = Kind(name="OOMReport", group=GROUP, version=VERSION, plural="oomreports", read=read_report)
NODE = Kind(name="Node", group="", version="v1", plural="nodes", read=read_node)
NAMESPACE = Kind(name="Namespace", group="", version="v1", plural="namespaces", read=read_namespace)

KINDS = (NODE, NAMESPACE, POLICY, OOM_NODE, INCIDENT, REPORT)


def key_of(obj: Mapping[str, Any]) -> str:
    """`name`, or `namespace/name`."""
    metadata = obj.get("metadata") or {}
    namespace, name = metadata.get("namespace"), str(metadata.get("name", ""))
    return f"{namespace}/{name}" if namespace else name
