"""Read JSON that no schema vouches for: a value of the wrong type counts as absent."""

from collections.abc import Mapping
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """The list, or an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The string, or an empty one."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int | None:
    """The integer, or None. JSON's true is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
