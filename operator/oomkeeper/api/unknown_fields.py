"""Fields that a newer version of oomkeeper wrote and this version does not know."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from .problems import format_path, model_in


def without_unknown_fields(
    model: type[BaseModel], body: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the object without fields that the model does not have, and the paths of these fields.

    Keys of maps, such as labels and sysctls, are not fields and stay.
    """
    unknown: list[str] = []
    known = _known(model, body, path=(), unknown=unknown)
    return known, tuple(unknown)


def _known(
    model: type[BaseModel], body: Mapping[str, Any], *, path: tuple[str | int, ...], unknown: list[str]
) -> dict[str, Any]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    result: dict[str, Any] = {}
    for key, value in body.items():
        if key not in fields:
            unknown.append(format_path((*path, key)))
            continue
        inner = model_in(fields[key].annotation)
        if inner is not None and isinstance(value, Mapping):
            value = _known(inner, value, path=(*path, key), unknown=unknown)
        elif inner is not None and isinstance(value, list):
            value = [
                _known(inner, item, path=(*path, key, index), unknown=unknown)
                if isinstance(item, Mapping)
                else item
                for index, item in enumerate(value)
            ]
        result[key] = value
    return result
