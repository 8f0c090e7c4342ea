"""The kinds that the controller watches, and how each is decoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oomkeeper.model.names import GROUP, VERSION
from oomkeeper.reporting.incident import Incident, decode_incident

from .decode import (
    decode_container_kill,
    decode_namespace,
    decode_node,
    decode_oomnode,
    decode_policy,
    decode_report,
)
from .objects import KilledContainer, Namespace, Node, OOMNodeState, Policy, Report

Record = Policy | Node | OOMNodeState | Report | Namespace | Incident | KilledContainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object."""

    name: str
    group: str
    """Empty for core."""
    version: str
    plural: str
    decode: Callable[[Mapping[str, Any]], Record]

    @property
    def root(self) -> str:
        """Return the path of the whole collection."""
        return (
            f"/apis/{self.group}/{self.version}/{self.plural}"
            if self.group
            else f"/api/{self.version}/{self.plural}"
        )

    def path(self, *, name: str, namespace: str) -> str:
        """Return the path of one object of a namespaced kind."""
        return self.root.removesuffix(self.plural) + f"namespaces/{namespace}/{self.plural}/{name}"

    @property
    def api_version(self) -> str:
        """Return apiVersion as objects of the kind have it."""
        return f"{self.group}/{self.version}" if self.group else self.version


POLICY = Kind(name="OOMPolicy", group=GROUP, version=VERSION, plural="oompolicies", decode=decode_policy)
OOM_NODE = Kind(name="OOMNode", group=GROUP, version=VERSION, plural="oomnodes", decode=decode_oomnode)
INCIDENT = Kind(
    name="OOMIncident", group=GROUP, version=VERSION, plural="oomincidents", decode=decode_incident
)
CONTAINER_KILL = Kind(
    name="ContainerKill", group=GROUP, version=VERSION, plural="containerkills", decode=decode_container_kill
)
REPORT = Kind(name="OOMReport", group=GROUP, version=VERSION, plural="oomreports", decode=decode_report)
NODE = Kind(name="Node", group="", version="v1", plural="nodes", decode=decode_node)
NAMESPACE = Kind(name="Namespace", group="", version="v1", plural="namespaces", decode=decode_namespace)

KINDS = (NODE, NAMESPACE, POLICY, OOM_NODE, INCIDENT, CONTAINER_KILL, REPORT)


def key_of(obj: Mapping[str, Any]) -> str:
    """Return `name`, or `namespace/name`."""
    metadata = obj.get("metadata") or {}
    namespace, name = metadata.get("namespace"), str(metadata.get("name", ""))
    return f"{namespace}/{name}" if namespace else name
