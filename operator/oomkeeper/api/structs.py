"""Generate the msgspec Structs of package `resources` from the pydantic models, one module per module here.

A Struct has the model's fields, defaults and descriptions. Enums and times become `str`, and bounds become
data (`BOUNDS`) that `resources.record` applies on writing, so that reading stays tolerant.
"""

import json
import textwrap
import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from oomkeeper.model.names import wire_name

from . import (
    adjustment,
    containerkill,
    killrecord,
    meta,
    oomincident,
    oomnode,
    oompolicy,
    oomreport,
    selector,
)
from .base import ApiModel

_MODULES = (meta, selector, adjustment, oompolicy, oomnode, oomincident, containerkill, oomreport, killrecord)
_WIDTH = 110

_LEFT_OUT = {(meta.ObjectMeta, "managed_fields"), (meta.ObjectMeta, "self_link")}
"""Fields that no program here reads, and that can be large."""


def files() -> dict[str, str]:
    """Return the generated modules: file name -> text."""
    return {f"{_short(module.__name__)}.py": _module(module) for module in _MODULES}


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _models(module: types.ModuleType) -> Iterator[type[ApiModel]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, ApiModel) and value.__module__ == module.__name__:
            yield value


class _Uses:
    """Names that a module's text needs from elsewhere."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module.__name__
        self.any = self.field = False
        self.records: dict[str, set[str]] = {}

    def record(self, model: type[ApiModel]) -> str:
        if model.__module__ != self._module:
            self.records.setdefault(_short(model.__module__), set()).add(model.__name__)
        return model.__name__


def _module(module: types.ModuleType) -> str:
    uses = _Uses(module)
    classes = [_class(model, uses) for model in _models(module)]
    bounds = any("BOUNDS" in text for text in classes)
    typing = [name for name, used in (("Any", uses.any), ("ClassVar", bounds)) if used]
    imports = ["from collections.abc import Mapping"] if bounds else []
    imports += [f"from typing import {', '.join(typing)}"] if typing else []
    third = ["from msgspec import field"] if uses.field else []
    own = [f"from .{name} import {', '.join(sorted(found))}" for name, found in sorted(uses.records.items())]
    own.append(f"from .record import {'Bound, ' if bounds else ''}Record")
    own.sort()
    head = f'"""Generated from `{module.__name__}` by `make crds`; edit the model, not this file."""'
    parts = ["\n".join(group) for group in (imports, third, own) if group]
    return "\n\n".join([head, *parts]) + "\n\n\n" + "\n\n\n".join(classes) + "\n"


def _class(model: type[ApiModel], uses: _Uses) -> str:
    base = _base(model)
    inherited = base.model_fields if base else {}
    parent = uses.record(base) if base else "Record"
    lines = [f"class {model.__name__}({parent}, frozen=True, kw_only=True):"]
    lines += _docstring(model.__doc__ or "")
    schema = model.model_json_schema(by_alias=True).get("properties", {})
    bounds: dict[str, str] = {}
    own = {name: found for name, found in model.model_fields.items() if name not in inherited}
    for name, found in model.model_fields.items():
        if (model, name) not in _LEFT_OUT and (bound := _bound(schema[found.alias or name])):
            bounds[name] = bound
    if own:
        lines.append("")
    for name, found in own.items():
        if (model, name) in _LEFT_OUT:
            continue
        lines += _field(name, found, uses)
    if bounds:
        lines += ["", "    BOUNDS: ClassVar[Mapping[str, Bound]] = {"]
        lines += [f'        "{name}": {bound},' for name, bound in bounds.items()]
        lines.append("    }")
    return "\n".join(lines)


def _base(model: type[ApiModel]) -> type[ApiModel] | None:
    """The model whose fields this one extends, if any."""
    bases: list[type[ApiModel]] = [base for base in model.__bases__ if issubclass(base, ApiModel)]
    return next((base for base in bases if base not in (ApiModel, meta.ApiObject)), None)


def _docstring(text: str) -> list[str]:
    text = " ".join(text.split())
    lines = textwrap.wrap(text, width=_WIDTH - 10) or [""]
    if len(lines) == 1:
        return [f'    """{lines[0]}"""']
    return [f'    """{lines[0]}', *(f"    {line}" for line in lines[1:-1]), f'    {lines[-1]}"""']


def _field(name: str, found: FieldInfo, uses: _Uses) -> Iterator[str]:
    spelled = _type(found.annotation, uses)
    default = _default(found, uses)
    if found.alias not in (None, wire_name(name)):
        uses.field = True
        inner = [f'name="{found.alias}"']
        if default is not None:
            inner.append(default[6:-1] if default.startswith("field(") else f"default={default}")
        default = f"field({', '.join(inner)})"
    line = f"    {name}: {spelled}" + ("" if default is None else f" = {default}")
    yield line
    if found.description:
        yield from _docstring(found.description.split("\n\n")[0])


def _type(annotation: Any, uses: _Uses) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0], uses)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(_type(arg, uses) for arg in args))
    if origin is tuple:
        return f"tuple[{_type(args[0], uses)}, ...]"
    if origin is dict:
        return f"dict[{_type(args[0], uses)}, {_type(args[1], uses)}]"
    if origin is Literal or annotation in (AwareDatetime, datetime):
        return "str"
    if annotation is types.NoneType:
        return "None"
    if annotation is Any:
        uses.any = True
        return "Any"
    if isinstance(annotation, type):
        if issubclass(annotation, ApiModel):
            return uses.record(annotation)
        if issubclass(annotation, StrEnum):
            return "str"
        if annotation in (str, int, bool, float):
            return annotation.__name__
    raise TypeError(f"no Struct type for {annotation!r}")


def _default(found: FieldInfo, uses: _Uses) -> str | None:
    factory = found.default_factory
    if factory is not None:
        uses.field = True
        if factory is dict:
            return "field(default_factory=dict)"
        if isinstance(factory, type) and issubclass(factory, ApiModel):
            return f"field(default_factory={uses.record(factory)})"
        raise TypeError(f"no default for {factory!r}")
    if found.is_required():
        return None
    default = found.default
    if isinstance(default, str):
        return json.dumps(str(default))
    if default is None or isinstance(default, bool | int) or default == ():
        return repr(default)
    raise TypeError(f"no default for {default!r}")


def _bound(schema: Mapping[str, Any]) -> str:
    """The call that makes a field's Bound; empty where it has none."""
    options = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    if len(options) == 1:
        schema = options[0] | {key: value for key, value in schema.items() if key != "anyOf"}
    inner = schema.get("items") or schema.get("additionalProperties") or {}
    inner = inner if isinstance(inner, Mapping) else {}
    found = {
        "max_length": schema.get("maxLength", inner.get("maxLength")),
        "max_items": schema.get("maxItems", schema.get("maxProperties")),
        "minimum": schema.get("minimum"),
        "maximum": schema.get("maximum"),
    }
    said = ", ".join(f"{key}={value}" for key, value in found.items() if value is not None)
    return f"Bound({said})" if said else ""
