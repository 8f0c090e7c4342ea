"""pydantic's JSON schema -> a structural schema, the dialect that a CustomResourceDefinition takes.

A structural schema has no references, no anyOf between types and no null; unknown fields are pruned rather
than refused by a keyword (Kubernetes documentation, "Specifying a structural schema"). Whatever this writer
does not know raises, so that nothing of a model is lost in silence.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from .rules import VALIDATIONS

Schema = dict[str, Any]

_KEPT = (
    "nullable",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)
_DROPPED = {
    "title",
    # Said by the schema's closedness: the API server prunes unknown fields, and kubectl refuses them
    # beforehand.
    "additionalProperties",
}


class SchemaError(Exception):
    """A model that has no structural schema. Says which part and why."""


def structural_schema(model: type[BaseModel], *, only: Collection[str] | None = None) -> Schema:
    """The structural schema of a model, fields in the model's order; of the fields in `only` where that is
    given."""
    root = model.model_json_schema(by_alias=True, mode="validation")
    if only is not None:
        root["properties"] = {name: root["properties"][name] for name in only}
        root["required"] = [name for name in root.get("required", ()) if name in only]
    return _convert(root, root.get("$defs", {}), at=model.__name__)


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any], *, at: str) -> Schema:
    node = _flatten(node, definitions, at=at)
    result: Schema = {}
    if "description" in node:
        # A docstring's line breaks are the source file's. An indented line and a blank one are meant.
        result["description"] = re.sub(r"(?<!\n)\n(?![\n ])", " ", node["description"])
    if {part.get("type") for part in node.get("anyOf", ())} == {"integer", "string"}:
        result["x-kubernetes-int-or-string"] = True
    elif "anyOf" in node or "type" not in node:
        raise SchemaError(f"{at}: a value needs exactly one type")
    else:
        result["type"] = node["type"]
    match node.get("type"):
        case "integer":
            result["format"] = "int64"
        case "number":
            raise SchemaError(
                f"{at}: floats do not survive a round trip; use an integer with its unit in the name"
            )
        case "array":
            result["items"] = _convert(node["items"], definitions, at=f"{at}[]")
            result.setdefault("x-kubernetes-list-type", node.get("x-kubernetes-list-type", "atomic"))
        case "object" if "properties" in node:
            result["properties"] = {
                name: _convert(child, definitions, at=f"{at}.{name}")
                for name, child in node["properties"].items()
            }
            if node.get("required"):
                result["required"] = list(node["required"])
        case "object" if isinstance(node.get("additionalProperties"), Mapping):
            result["additionalProperties"] = _convert(node["additionalProperties"], definitions, at=f"{at}.*")
    if "enum" in node:
        result["enum"] = list(node["enum"])
    if "const" in node:
        result["enum"] = [node["const"]]
    if "format" in node:
        result["format"] = node["format"]
    if node.get("default") not in (None, []):
        result["default"] = node["default"]
    result |= {key: node[key] for key in _KEPT if key in node}
    if VALIDATIONS in node:
        result[VALIDATIONS] = [dict(rule) for rule in node[VALIDATIONS]]
    unknown = (
        set(node) - set(result) - _DROPPED - {"anyOf", "const", "default", "required", "properties", "$defs"}
    )
    if unknown:
        raise SchemaError(f"{at}: no structural form for {', '.join(sorted(unknown))}")
    _require_bounds(result, at=at)
    return result


def _flatten(node: Mapping[str, Any], definitions: Mapping[str, Any], *, at: str) -> Mapping[str, Any]:
    """Replace a reference by what it refers to, and `X or null` by X. What stands beside it wins over what it
    brings."""
    while True:
        beside = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
        if "$ref" in node:
            node = {**definitions[node["$ref"].removeprefix("#/$defs/")], **beside}
            continue
        choices = [part for part in node.get("anyOf", ()) if part.get("type") != "null"]
        if len(choices) == 1:
            node = {**choices[0], **beside}
            continue
        if "allOf" in node:
            raise SchemaError(f"{at}: allOf is not used by these models")
        return node


def _require_bounds(schema: Schema, *, at: str) -> None:
    """Everything that can grow has a bound: the API server's estimate of a CEL rule's cost rests on it."""
    bound = {"array": "maxItems", "string": "maxLength"}.get(schema.get("type", ""))
    if "additionalProperties" in schema:
        bound = "maxProperties"
    if bound and bound not in schema and "enum" not in schema and schema.get("format") != "date-time":
        raise SchemaError(f"{at}: needs {bound}")
