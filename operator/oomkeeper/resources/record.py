"""Reading and writing of the generated records; the one place where bounds are applied."""

from collections.abc import Mapping
from functools import cache
from operator import is_
from types import NoneType, UnionType
from typing import Any, ClassVar, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from oomkeeper.model.names import wire_name


class Bound(NamedTuple):
    """The room that the definition gives a field. None: not limited in this way."""

    max_length: int | None = None
    """Characters of a string, or of each string in a list or map."""
    max_items: int | None = None
    """Entries of a list or map."""
    minimum: int | None = None
    maximum: int | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """Base of the generated records: frozen, keyword-only, camelCase on the wire."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {}
    """Attribute name -> its bound, for attributes that have one."""


R = TypeVar("R", bound=Record)


class MalformedObjectError(ValueError):
    """An object that does not have the shape of its kind. The message names the field."""


def read(kind: type[R], data: bytes | str | Mapping[str, Any]) -> R:
    """Return the record that JSON text or a decoded object holds; unknown fields are ignored.

    Raises MalformedObjectError where a required field is missing or a value has the wrong type.
    """
    try:
        if isinstance(data, bytes | str):
            return msgspec.json.decode(data, type=kind)
        return msgspec.convert(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        raise MalformedObjectError(f"{kind.__name__}: {error}") from error


def read_part(kind: type[R], raw: object) -> tuple[R | None, str | None]:
    """Return the record that a part of an object holds, or the problem: for readers that never raise."""
    if not isinstance(raw, Mapping):
        return None, f"{kind.__name__}: expected an object"
    try:
        return read(kind, raw), None
    except MalformedObjectError as error:
        return None, str(error)


def max_items(kind: type[Record], attribute: str) -> int:
    """Return how many entries a list or map attribute may have. Raises KeyError where it has no bound."""
    limit = kind.BOUNDS[attribute].max_items
    if limit is None:
        raise KeyError(attribute)
    return limit


def max_length(kind: type[Record], attribute: str) -> int:
    """Return how many characters a string attribute may have. Raises KeyError where it has no bound."""
    limit = kind.BOUNDS[attribute].max_length
    if limit is None:
        raise KeyError(attribute)
    return limit


def bounded(record: R) -> R:
    """Return the record with every field within its bound: strings and lists lose their end, numbers are
    moved to the nearest allowed one. One field too long, and the API server would refuse the whole object."""
    changes: dict[str, Any] = {}
    for name, bound in _checked(type(record)):
        value = getattr(record, name)
        # Nearly all values, without a call.
        if value is None or value == () or (type(value) is str and len(value) <= (bound.max_length or 0)):
            continue
        within = _within(value, bound)
        if within is not value:
            changes[name] = within
    return msgspec.structs.replace(record, **changes) if changes else record


@cache
def _checked(kind: type[Record]) -> tuple[tuple[str, Bound], ...]:
    """Return the fields that a bound can change: those with one of their own, and those that hold records."""
    return tuple(
        (field.name, kind.BOUNDS.get(field.name, _UNBOUNDED))
        for field in msgspec.structs.fields(kind)
        if field.name in kind.BOUNDS or not _is_scalar(field.type)
    )


def _is_scalar(kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return all(map(_is_scalar, get_args(kind)))
    return kind in (str, int, float, bool, NoneType)


_UNBOUNDED = Bound()


def _within(value: Any, bound: Bound) -> Any:
    """Return the value itself where it is within the bound already."""
    if isinstance(value, str):
        too_long = bound.max_length is not None and len(value) > bound.max_length
        return value[: bound.max_length] if too_long else value
    if isinstance(value, Record):
        return bounded(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if bound.minimum is not None and value < bound.minimum:
            return bound.minimum
        return bound.maximum if bound.maximum is not None and value > bound.maximum else value
    if isinstance(value, tuple):
        items = [_within(item, bound) for item in value[: bound.max_items]]
        same = len(items) == len(value) and all(map(is_, items, value))
        return value if same else tuple(items)
    if isinstance(value, dict):
        entries = {key: _within(item, bound) for key, item in list(value.items())[: bound.max_items]}
        same = len(entries) == len(value) and all(entries[key] is value[key] for key in value)
        return value if same else entries
    return value


def to_document(record: Record) -> dict[str, Any]:
    """Return the object as it is sent to the API server: JSON-ready, in the wire's spelling, within its
    bounds, and without absent fields and empty lists. In server-side apply a field that is left out is
    released."""
    document: dict[str, Any] = _without_empty(msgspec.to_builtins(bounded(record)))
    return document


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item not in (None, [], ())}
    if isinstance(value, list | tuple):
        return [_without_empty(item) for item in value]
    return value
