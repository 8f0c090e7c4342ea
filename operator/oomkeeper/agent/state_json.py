"""JSON in the state database: read tolerantly, so that a new field needs no migration."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def encode_json(value: object) -> str:
    """Return the value as it is stored."""
    return msgspec.json.encode(value).decode()


def decode_json(text: str, kind: type[T]) -> T:
    """Return a stored value. Raises msgspec.DecodeError."""
    return msgspec.json.decode(text, type=kind)


def decode_json_or_none(text: str, kind: type[T]) -> T | None:
    """Return a stored value; None for one that another release stored in another form."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None
