"""A kind's model and Resource -> its CustomResourceDefinition."""

import hashlib
import json
from typing import Any

from oomkeeper.model.names import GROUP, VERSION

from .meta import ApiObject, Column, Resource
from .structural import Schema, structural_schema

CATEGORY = "oom"
SCHEMA_ANNOTATION = f"{GROUP}/schema"
"""Says which schema this is: Helm never renews a CRD, so the chart asks before an upgrade whether it is
there."""

# Fixed by the API machinery; the model only tells them apart from a typing error.
_API_VERSION: Schema = {
    "type": "string",
    "description": f"Version of this schema: {GROUP}/{VERSION}.",
}
_METADATA: Schema = {"type": "object"}


def crd(model: type[ApiObject]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind, as JSON-ready values in a fixed order."""
    resource = model.resource
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
        "schema": {"openAPIV3Schema": object_schema(model)},
        "subresources": {"status": {}},
    }
    if resource.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in resource.selectable]
    spec: dict[str, Any] = {
        "group": GROUP,
        "names": {
            "categories": [CATEGORY],
            "kind": resource.kind,
            "listKind": f"{resource.kind}List",
            "plural": resource.plural,
            "shortNames": [resource.short],
            "singular": resource.singular,
        },
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "versions": [version],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "oomkeeper"},
            "annotations": {SCHEMA_ANNOTATION: _digest(spec)},
        },
        "spec": spec,
    }


def _digest(spec: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


def file_name(resource: Resource) -> str:
    """Name of the kind's file under crds/."""
    return f"{GROUP}_{resource.plural}.yaml"


def object_schema(model: type[ApiObject]) -> Schema:
    """The openAPIV3Schema of one kind."""
    schema = structural_schema(model, only=("spec", "status"))
    fixed = {
        "apiVersion": _API_VERSION,
        "kind": {"type": "string", "description": f"{model.resource.kind}."},
        "metadata": _METADATA,
    }
    schema["properties"] = fixed | schema["properties"]
    return schema


def _column(column: Column) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "description": column.what,
        "jsonPath": column.path,
    }
    if column.wide:
        result["priority"] = 1
    return result
