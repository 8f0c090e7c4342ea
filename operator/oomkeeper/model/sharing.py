"""One copy of equal values: thousands of objects of a cluster repeat names, settings and hours."""

from typing import Any, TypeVar

_T = TypeVar("_T")

_MOST = 8192
_seen: dict[Any, Any] = {}


def shared(value: _T) -> _T:
    """Return the first value seen that equals this one and has its type; one that has no hash as it is.

    At most 8192 are remembered; then all are forgotten, which costs memory and nothing else.
    """
    if len(_seen) >= _MOST:
        _seen.clear()
    key = (type(value), value)
    try:
        known: _T = _seen.setdefault(key, value)
    except TypeError:
        return value
    return known
